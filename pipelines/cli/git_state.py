"""The state of the checkout that the software runs from."""

import subprocess
from pathlib import Path

__all__ = ["git_state"]

MOST_SECONDS = 5.0
"""How long git may take; on a slow network drive the state stays unknown."""


def git_state(root: Path | None = None) -> str:
    """The commit of a checkout, as `8d3ae86` or `8d3ae86, modified`; empty for an installed package or without git.

    Args:
        root: the folder that holds `.git`; by default the one that this software runs from.

    """
    root = Path(__file__).resolve().parents[2] if root is None else root
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--exclude=*", "--dirty=, modified"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MOST_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
