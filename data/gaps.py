"""Gaps and oddities of recorded tables, as sentences.

Decided here: how long a pause must be to be worth a note, by table. Rows are canonical, valid and in order.
"""

from datetime import timedelta

import polars as pl

from data.lake.feerule import fee_rule
from data.ticks_orders import BUSY_PER_S, known_seconds, per_second

LONG_PAUSE = 2.5  # times the usual step, from which a pause is noted
ARRIVAL_PAUSE_S = 60


def bar_notes(bars: pl.DataFrame) -> list[str]:
    """Missing candles by symbol, and candles without a trade."""
    empty = bars.filter(pl.col("volume") == 0).height
    gaps = [
        note
        for (symbol,), rows in bars.partition_by("symbol", as_dict=True, maintain_order=True).items()
        for note in bar_gaps(str(symbol), rows)
    ]
    return [*gaps, *([f"{empty} bars without volume"] if empty else [])]


def bar_gaps(symbol: str, bars: pl.DataFrame) -> list[str]:
    """The gaps of one symbol."""
    late = pl.col("ts").diff().dt.total_seconds() - pl.col("interval_s").shift(1)
    gaps = bars.select("ts", (late.alias("late_s")), "interval_s").filter(pl.col("late_s") > 0)
    if gaps.is_empty():
        return [f"{symbol}: no gap"]
    missing = int(gaps.select((pl.col("late_s") // pl.col("interval_s")).sum()).item())
    return [f"{symbol}: {gaps.height} gaps, {missing} bars missing, {longest(gaps)}"]


def longest(gaps: pl.DataFrame) -> str:
    """The longest of some gaps with columns `late_s` and `ts` (their end)."""
    ts, late_s = gaps.sort("late_s").select("ts", "late_s").row(-1)
    return f"the longest {timedelta(seconds=late_s)} before {ts:%Y-%m-%d %H:%M:%S}"


def block_notes(blocks: pl.DataFrame) -> list[str]:
    """Holes in the numbers, missed slots, and blocks that do not follow EIP-1559, by chain."""
    return [
        f"{chain}: {note}"
        for (chain,), rows in blocks.partition_by("chain", as_dict=True, maintain_order=True).items()
        for note in chain_notes(rows)
    ]


def chain_notes(blocks: pl.DataFrame) -> list[str]:
    """Notes on one chain."""
    jump = pl.col("number").diff() - 1
    holes = blocks.filter(jump > 0)
    missing = blocks.select(jump.clip(0).sum()).item()
    pause = pl.col("ts").diff().dt.total_seconds()
    usual = blocks.select(pause.median()).item()
    missed = 0 if not usual else int(blocks.select(((pause / usual).round() - 1).clip(0).sum()).item())
    odd = fee_rule(blocks).breaks
    over = blocks.filter(pl.col("gas_used") > pl.col("gas_limit")).height
    return [
        f"{holes.height} holes in the numbers, {missing} blocks missing" if holes.height else "no hole in the numbers",
        *([f"{missed} missed slots of {usual:g} s"] if missed else []),
        *([f"{odd} base fees are not what EIP-1559 sets"] if odd else []),
        *([f"{over} blocks used more gas than their limit"] if over else []),
    ]


def count_notes(counts: pl.DataFrame) -> list[str]:
    """Seconds without a row, and silent seconds that look like outages of the collector."""
    seconds = per_second(counts)
    first, last = counts.select(a=pl.col("ts").min(), b=pl.col("ts").max()).row(0)
    span_s = int((last - first).total_seconds()) + 1
    unknown = known_seconds(seconds, last + timedelta(seconds=1)).filter(pl.col("orders").is_null()).height
    silent = seconds.filter(pl.col("orders") == 0).height + span_s - seconds.height
    absent = span_s - seconds.height
    return [
        f"{absent} of {span_s} seconds have no row" if absent else "no gap",
        *([f"{silent} silent seconds"] if silent else []),
        *([f"{unknown} of them taken for outages (the stream had {BUSY_PER_S}/s or more)"] if unknown else []),
    ]


def arrival_notes(arrivals: pl.DataFrame) -> list[str]:
    """Pauses of a minute or more between requests."""
    gaps = arrivals.select("ts", pl.col("ts").diff().dt.total_seconds().alias("late_s"))
    gaps = gaps.filter(pl.col("late_s") >= ARRIVAL_PAUSE_S)
    return [f"{gaps.height} pauses of a minute or more, {longest(gaps)}"] if gaps.height else ["no pause of a minute"]


def pause_notes(rows: pl.DataFrame, group: str) -> list[str]:
    """Pauses much longer than the usual step, by group."""
    return [
        f"{name}: {note}"
        for (name,), part in rows.partition_by(group, as_dict=True, maintain_order=True).items()
        for note in long_pauses(part)
    ]


def long_pauses(rows: pl.DataFrame) -> list[str]:
    """Pauses of one group."""
    step = pl.col("ts").diff().dt.total_milliseconds() / 1000
    usual = rows.select(step.median()).item() or 0.0
    gaps = rows.select("ts", step.alias("late_s")).filter(pl.col("late_s") > LONG_PAUSE * usual)
    every = f"a row every {timedelta(seconds=round(usual))}"
    return [f"{every}, {gaps.height} gaps, {longest(gaps)}" if gaps.height else f"{every}, no gap"]
