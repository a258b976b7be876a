"""Numerical routines of scipy that decisions use.

Decided here: they are loaded on first use, or by `load` once a process answers, for importing them is a third of a sidecar's start.
"""

from functools import cache
from typing import Any


@cache
def optimize() -> Any:
    """Root finding, minimisation and linear programming."""
    import scipy.optimize

    return scipy.optimize


@cache
def special() -> Any:
    """Distribution functions of arrays."""
    import scipy.special

    return scipy.special


def load() -> None:
    """Have all of them ready."""
    optimize()
    special()
