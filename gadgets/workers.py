"""Threads of a computation: each takes whole pieces of it, and every operation within a piece runs on one thread.

The alternative, threads inside every torch and finufft operation, loses twice: pieces last a millisecond, so that
much of the time goes into waking threads, and the two libraries bring an OpenMP each, whose waiting threads hold the
cores that the other needs. Whole pieces also give the same bits whatever the number of threads.
"""

from concurrent.futures import ThreadPoolExecutor

import torch

__all__ = ["workers"]


def workers(threads: int) -> ThreadPoolExecutor:
    """A pool in which torch does not start threads of its own; to be shut down by whoever asked for it."""
    return ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
