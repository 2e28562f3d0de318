"""Threads for computations: each thread computes whole pieces, and all operations within a piece run on one thread.

The alternative is threads inside every operation of torch and finufft. It is slower for two reasons: an operation
lasts about a millisecond, so that waking the threads takes much of the time; and each library has its own OpenMP,
whose waiting threads occupy the cores that the other library needs. With whole pieces, the result also has the same
bits for any number of threads.
"""

from concurrent.futures import ThreadPoolExecutor

import torch

__all__ = ["workers"]


def workers(threads: int) -> ThreadPoolExecutor:
    """A pool of threads in which torch starts no threads of its own. The caller must shut it down."""
    return ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
