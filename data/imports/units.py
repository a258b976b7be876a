"""Units in which files write what is canonical here.

Decided here: which units stand for one another; a unit of another kind than the column's is refused.
"""

from data.errors import UsageError

SIZES = {
    "wei": {"wei": 1.0, "gwei": 1e9, "ether": 1e18},
    "gwei": {"wei": 1e-9, "gwei": 1.0, "ether": 1e9},
    "s": {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0},
    "usd": {"usd": 1.0, "cent": 0.01, "thousand usd": 1e3, "million usd": 1e6},
}
PLAIN = {"1": 1.0, "percent": 1e-2, "basis point": 1e-4, "thousand": 1e3, "million": 1e6, "billion": 1e9}


def factor(unit: str, column: str) -> float:
    """By how much to multiply a value in a unit to have the unit of a canonical column (the end of its name).

    Raises UsageError for a unit that does not measure the same thing.
    """
    units = SIZES.get(column.rpartition("_")[2], PLAIN)
    if unit not in units:
        raise UsageError(
            f"units.{column}", expected=f"one of {', '.join(units)}", found=repr(unit), remedy="correct the mapping"
        )
    return units[unit]
