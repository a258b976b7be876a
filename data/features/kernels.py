"""The steps of which features are computed, over plain arrays: a column in, a column out, NaN where unknown.

Decided here: a kernel is told how many of the newest rows are wanted and is given its inputs up to the same newest row, so it
costs what is new and not what there is. Sums are taken of whole numbers modulo 2^64 and selections are exact, so a row has the
same bits however many rows come with it. Unknown is NaN, also where arithmetic has no answer.
"""

from collections.abc import Callable, Mapping
from functools import reduce
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.fixedpoint import GRAINS

Array = NDArray[Any]  # numbers, or whether something holds
Kernel = Callable[..., Any]  # (rows wanted, inputs) -> the newest rows, as many as wanted
FEW = 16  # rows up to which a quantile is taken of each window alone


def newest(values: Array, rows: int) -> Array:
    """The newest rows of a column; a number stands for all rows."""
    return values[values.shape[0] - rows :] if isinstance(values, np.ndarray) else values


def rowwise(function: Callable[..., Any]) -> Kernel:
    """A kernel that computes each row from the same row of its inputs."""
    return lambda rows, *inputs: function(*[newest(values, rows) for values in inputs])


def shift(rows: int, values: Array, ticks: int) -> Array:
    """Values so many ticks ago."""
    end = max(values.shape[0] - ticks, 0)
    found = values[max(end - rows, 0) : end]
    return found if len(found) == rows else np.concatenate([np.full(rows - len(found), np.nan), found])


def known(rows: int, values: Array) -> Array:
    """Which values are known; empty where all are."""
    found = np.isfinite(newest(values, rows))
    return np.empty(0, np.bool_) if found.all() else found


def grains(rows: int, values: Array, of: Array) -> Array:
    """Sums up to each row of values as whole multiples of 2^-31, after a 0; what is not `known` adds nothing."""
    scaled = (np.where(of, newest(values, rows), 0.0) if len(of) else newest(values, rows)) * GRAINS
    return running(np.rint(scaled, out=scaled))


def wholes(rows: int, values: Array, of: Array) -> Array:
    """Sums up to each row of whole numbers, after a 0; what is not `known` adds nothing."""
    return running(np.where(of, newest(values, rows), 0.0) if len(of) else newest(values, rows))


def counts(_: int, of: Array) -> Array:
    """How many values up to each row are `known`, after a 0; empty where all are."""
    return running(of) if len(of) else np.empty(0, np.int64)


def running(values: Array) -> Array:
    """Sums of whole numbers up to each row modulo 2^64, after a 0."""
    sums = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values.astype(np.int64), out=sums[1:])
    return sums


def window_total(rows: int, sums: Array, window: int) -> Array:
    """What was added to a running sum in the window that ends with each row."""
    end, start = sums[len(sums) - rows :], len(sums) - rows - window
    if start >= 0:
        return np.asarray(end - sums[start : start + rows])
    return np.asarray(end - np.concatenate([np.zeros(min(-start, rows), np.int64), sums[: max(start + rows, 0)]]))


def divisor(rows: int, sums: Array, counted: Array, window: int, least: int) -> Array | float:
    """Known values in the window that ends with each row, NaN where fewer than `least`; one number where all are known."""
    length = len(sums) - 1
    if len(counted):
        count = window_total(rows, counted, window)
    elif length - rows + 1 >= window:
        return float(window)
    else:
        count = np.minimum(np.arange(length - rows + 1, length + 1), window)
    return np.where(count < least, np.nan, count)


def window_sum(rows: int, sums: Array, counted: Array, window: int, least: int) -> Array:
    """Sum of the known whole numbers in a window, unknown if fewer than `least` are known."""
    total, count = window_total(rows, sums, window), divisor(rows, sums, counted, window, least)
    return np.where(np.isnan(count), np.nan, total.astype(np.float64))


def window_mean(rows: int, sums: Array, counted: Array, window: int, least: int) -> Array:
    """Mean of the known values in a window, unknown if fewer than `least` are known; `sums` are of `grains`."""
    total = window_total(rows, sums, window).astype(np.float64)
    total /= divisor(rows, sums, counted, window, least) * GRAINS
    return total


def window_most(rows: int, values: Array, window: int, least: int) -> Array:
    """Largest known value in a window, unknown if fewer than `least` are known."""
    values = newest(values, min(len(values), rows + window - 1))
    of = known(len(values), values)
    before = np.full(rows + window - 1 - len(values), -np.inf)
    most, width = np.concatenate([before, np.where(of, values, -np.inf) if len(of) else values]), 1
    while width < window:  # maxima of twice as many rows, and at last of the window
        step = min(width, window - width)
        most, width = np.maximum(most[:-step], most[step:]), width + step
    enough = divisor(rows, np.empty(len(values) + 1), counts(rows, of), window, least)
    return np.where(np.isnan(enough), np.nan, most)


def window_quantile(rows: int, values: Array, window: int, least: int, share: float) -> Array:
    """Quantile of the known values in a window between its neighbours, unknown if fewer than `least` are known."""
    values = newest(values, min(len(values), rows + window - 1))
    if rows <= FEW:
        ends = range(len(values) - rows + 1, len(values) + 1)
        return np.array([quantile(values[max(0, end - window) : end], least, share) for end in ends])
    unknown = np.isnan(values)
    found = rolled(np.where(unknown, 0.0, values), window, least, share)
    if unknown.any():
        count = window_total(len(values), running(~unknown), window)
        found[count < least] = np.nan
        mixed = np.flatnonzero((count >= least) & (count < np.minimum(np.arange(1, len(values) + 1), window)))
        for run in np.split(mixed, np.flatnonzero(np.diff(mixed) > window) + 1):
            if len(run):  # polars takes far longer where a value is unknown, so of those rows alone
                first, last = max(run[0] - window + 1, 0), run[-1] + 1
                found[run[0] : last] = rolled(values[first:last], window, least, share)[run[0] - first :]
    return newest(found, rows)


def rolled(values: Array, window: int, least: int, share: float) -> Array:
    """Quantile of the known values in the window that ends with each row."""
    found = pl.Series(values, nan_to_null=True).rolling_quantile(share, "linear", window, min_samples=least)
    return found.fill_null(np.nan).to_numpy(writable=True)


def quantile(values: Array, least: int, share: float) -> float:
    """Quantile of the known among some values, as polars computes it."""
    told = values[~np.isnan(values)]
    if len(told) < least:
        return np.nan
    place = share * (len(told) - 1)
    below = int(place)
    if below == place:
        return float(np.partition(told, below)[below])
    ranked = np.partition(told, (below, below + 1))
    return float((place - below) * (ranked[below + 1] - ranked[below]) + ranked[below])


def looked_up(table: Array, places: Array) -> Array:
    """Values of a table at some places, which are whole numbers."""
    return np.asarray(table[places.astype(np.intp)])


def mean_of_known(*columns: Array) -> Array:
    """Mean of the known values of each row."""
    total, count = np.zeros(len(columns[0])), np.zeros(len(columns[0]))
    for values in columns:
        told = ~np.isnan(values)
        total += np.where(told, values, 0.0)
        count += told
    return np.where(count > 0, total / count, np.nan)


def least_of_known(*columns: Array) -> Array:
    """Smallest known value of each row."""
    return np.asarray(reduce(np.fmin, columns))


def most_of_known(*columns: Array) -> Array:
    """Largest known value of each row."""
    return np.asarray(reduce(np.fmax, columns))


# What needs nothing but the same row of its inputs, by polars' names of operators, functions and types.
ROWWISE: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "Plus": np.add,
        "Minus": np.subtract,
        "Multiply": np.multiply,
        "TrueDivide": np.true_divide,
        "FloorDivide": np.floor_divide,
        "Modulus": np.remainder,
        "Gt": np.greater,
        "GtEq": np.greater_equal,
        "LtEq": np.less_equal,
        "Eq": np.equal,
        "And": np.logical_and,
        "Exp": np.exp,
        "Log": np.log,
        "Abs": np.abs,
        "Sqrt": np.sqrt,
        "Round": np.rint,
        "Clip": np.maximum,
        "Int64": np.trunc,
        "Float64": np.float64,
        "Ternary": np.where,
        "MeanHorizontal": mean_of_known,
        "MinHorizontal": least_of_known,
        "MaxHorizontal": most_of_known,
    }
)
