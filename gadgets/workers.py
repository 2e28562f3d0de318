"""Threads of a computation: each takes whole pieces of it, and every operation in a piece runs on one thread.

The alternative, threads inside every torch and finufft operation, is slower for two reasons. Operations last about a
millisecond, so that much of the time goes into waking threads; and each library brings its own OpenMP, whose waiting
threads occupy the cores that the other needs. Whole pieces also give the same bits whatever the number of threads.
"""

from concurrent.futures import ThreadPoolExecutor

import torch

__all__ = ["workers"]


def workers(threads: int) -> ThreadPoolExecutor:
    """A pool in which torch starts no threads of its own; the caller shuts it down."""
    return ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
