"""Threads for computations: each thread computes whole pieces, and all operations within a piece run on one thread.

The alternative is threads inside every operation of torch and finufft. It is slower for two reasons: an operation
lasts about a millisecond, so that waking the threads takes much of the time; and each library has its own OpenMP,
whose waiting threads occupy the cores that the other library needs. With whole pieces, the result also has the same
bits for any number of threads.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import torch

__all__ = ["KeptWorkers", "workers"]


def workers(threads: int) -> ThreadPoolExecutor:
    """A pool of threads in which torch starts no threads of its own. The caller must shut it down."""
    return ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))


class KeptWorkers:
    """Pools of `workers` that live as long as this object, one for each number of threads.

    Libraries keep what they have prepared for a network in caches of the thread. In new threads, the first tile takes a
    third longer.
    """

    def __init__(self) -> None:
        self._pools: dict[tuple[int, int], ThreadPoolExecutor] = {}

    def __call__(self, threads: int) -> ThreadPoolExecutor:
        """The pool with this number of threads; a process that was forked has none of the threads of its parent."""
        key = os.getpid(), threads
        if key not in self._pools:
            self._pools[key] = workers(threads)
        return self._pools[key]
