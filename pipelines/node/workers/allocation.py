"""How a process takes memory from the system and returns it, where the C library is that of GNU.

This file imports nothing large: it is the first that the processes for scans import.
"""

import ctypes

__all__ = ["return_memory", "share_arena"]

M_ARENA_MAX = -8
"""The number of the setting in `malloc.h` of the GNU library: the most arenas, from which threads allocate."""
ONE_ARENA = 1
"""Threads of every scan are new, and took arenas at random. `malloc_trim` returns the end of only the first of them:
after each of 60 small scans of five kinds, a process with two arenas kept 417 to 481 MB, by chance. With one it keeps
417 MB from the tenth scan on, and a slice of 350 x 350 pixels takes as long."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
OWN_PAGES, UNUSED = 16 << 20, 256 << 20
"""Size from which an array has pages of its own, which its scan must get and return every time, and the unused memory
that a scan may keep until its end. By default the library moves both limits as it sees larger arrays: a process grew
with every scan, and the maps of a slice of 350 x 350 pixels took 20,000 more pages, which the system had to clear."""


def share_arena() -> None:
    """Let all threads that are started from now on allocate from one arena, whose memory can be returned."""
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(M_ARENA_MAX, ONE_ARENA)
        mallopt(M_MMAP_THRESHOLD, OWN_PAGES)
        mallopt(M_TRIM_THRESHOLD, UNUSED)


def return_memory() -> None:
    """Return unused memory to the system, which the C library otherwise keeps."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
