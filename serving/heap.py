"""The C heap of the sidecar.

Decided here: all threads share one arena. With one for each (glibc's own choice, up to eight a core), what one thread takes and
another gives back leaves holes in all of them: 18 MiB after 336,000 rows and as many orders, and rising; with one, 2 to 4 MiB after
half as many.
"""

import ctypes

ARENA_MAX = -8  # M_ARENA_MAX of mallopt(3)


def one_arena() -> None:
    """Have threads that begin from now on share the arena of the first; does nothing where the C library has no such option."""
    choose = getattr(ctypes.CDLL(None), "mallopt", None)
    if choose is not None:
        choose(ARENA_MAX, 1)
