"""Threads of a process for scans allocate from one arena, as the GNU library itself counts them."""

import ctypes
import subprocess
import sys

import pytest

COUNT = """
import ctypes, sys, threading
from spokestream.pipelines.node.workers.allocation import share_arena

if sys.argv[1] == "shared":
    share_arena()
libc, every = ctypes.CDLL(None), threading.Barrier(8)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p

def allocate():
    every.wait()
    libc.malloc(1000)
    every.wait()

threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
file = ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


def arenas(how):
    said = subprocess.run([sys.executable, "-c", COUNT, how], capture_output=True, text=True, check=True).stdout
    return said.count("<heap nr=")


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="another C library than the GNU one")
def test_eight_threads_share_an_arena():
    assert arenas("shared") == 1 < arenas("not shared")
