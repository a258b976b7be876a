"""The heap of a process of its own, for what one test chooses would hold for all."""

import platform
import subprocess
import sys

import pytest

COUNTS = """
import ctypes, sys, threading
if sys.argv[1] == "one":
    from serving.heap import one_arena
    one_arena()
libc, barrier = ctypes.CDLL(None), threading.Barrier(4)
libc.malloc.restype = ctypes.c_void_p
def take():
    libc.malloc(ctypes.c_size_t(50_000))
    barrier.wait(10)
threads = [threading.Thread(target=take) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


def arenas(choice: str) -> int:
    run = subprocess.run([sys.executable, "-c", COUNTS, choice], capture_output=True, text=True, check=True)
    return run.stdout.count("<heap nr=")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has arenas to count")
def test_threads_share_one_arena_where_each_would_have_its_own() -> None:
    assert arenas("one") == 1 < arenas("many")
