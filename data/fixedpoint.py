"""Sums of real numbers that come out the same whatever is summed before, beside or in parallel.

Decided here: floats are summed as whole multiples of 2^-36. Whole-number sums are exact, so neither the order of rows, nor
threads, nor the history that a rolling window has passed over can change a bit. What is summed (logarithms, shares) stays
below 2^10 in size and windows below 2^14 rows, so the sums fit 63 bits; the resolution is 1.5e-11. Over the windows of features
values are rounded to multiples of 2^-31: as floats their sums are exact up to 2^22 in size, as whole numbers up to 2^32.
"""

import polars as pl

SCALE = float(2**36)
GRAINS = float(2**31)


def fixed(value: pl.Expr) -> pl.Expr:
    """A number as a whole multiple of 2^-36; null stays null."""
    return (value * SCALE).round().cast(pl.Int64)


def grained(value: pl.Expr) -> pl.Expr:
    """A number rounded to a multiple of 2^-31 (4.7e-10); null stays null."""
    return (value * GRAINS).round() / GRAINS


def real(value: pl.Expr) -> pl.Expr:
    """The number that a multiple of 2^-36 stands for."""
    return value.cast(pl.Float64) / SCALE


def group_mean(value: pl.Expr) -> pl.Expr:
    """Mean over a group (for use in `agg`); null where the group has no known value."""
    return real(fixed(value).sum()) / pl.when(value.count() > 0).then(value.count())
