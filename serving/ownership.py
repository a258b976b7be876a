"""Folders that belong to one process at a time: two that wrote the same trail or state would each spoil the other's.

Decided here: the lock is the operating system's, so that it ends with its process, however that ends.
"""

from pathlib import Path

from filelock import FileLock, Timeout

from data.errors import DataError

LOCK = ".lock"


def own(folder: Path, key: str) -> FileLock:
    """Make a folder where there is none, and hold it until the lock is released or the process ends.

    Raises DataError, naming the key that configures it, when it cannot be used or another process holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, timeout=0, thread_local=False)  # closed by another thread than opened
        lock.acquire()
    except Timeout as error:
        raise DataError(
            str(folder), expected="a folder of its own", found="one that another process uses",
            remedy=f"end that process, or name another folder as {key}",
        ) from error  # fmt: skip
    except OSError as error:
        raise DataError(
            str(folder), expected="a folder to write in", found=str(error), remedy=f"correct {key}"
        ) from error
    return lock
