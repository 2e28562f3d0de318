"""Which processes of the node the system serves first: those of replays get the time that all others leave.

A low priority (`nice`) is not enough. A scan at a scanner's pace wakes up for every few spokes, and each time it would
wait some milliseconds until the system interrupts a replay. A process that only fills idle time is interrupted at once
(SCHED_IDLE, `man 7 sched`). Systems other than Linux do not have it, and serve all alike.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["claim", "give_way"]


def give_way(pid: int) -> bool:
    """Let a process with all its threads get only the time that others leave. Returns whether that is possible."""
    return sys.platform == "linux" and _schedule(pid, os.SCHED_IDLE)


def claim(pid: int) -> bool:
    """Let a process have its share again. Returns whether that is possible: in most systems only root may do it."""
    return sys.platform != "linux" or _schedule(pid, os.SCHED_OTHER)


def _schedule(pid: int, policy: int) -> bool:
    try:
        while others := [thread for thread in _threads(pid) if _policy(thread) not in (policy, None)]:
            for thread in others:  # a new thread has the policy of the one that starts it, which may have had its own
                with suppress(ProcessLookupError):
                    os.sched_setscheduler(thread, policy, os.sched_param(0))
    except OSError:
        return False
    return True


def _threads(pid: int) -> list[int]:
    return [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]


def _policy(thread: int) -> int | None:
    """How a thread is scheduled; None if it has ended."""
    with suppress(ProcessLookupError):
        return os.sched_getscheduler(thread)
    return None
