"""Many small parts become one, so that a feed that appends every few seconds does not leave a file for each.

Decided here: how many, how small, and in which order files appear and vanish. The wide part appears by one rename; the
narrow ones are then dead by their names alone (see `data.parts`), so a process that is killed in between loses nothing.
"""

from pathlib import Path

import polars as pl

from data.parts import Part, part, parts

FULL_BYTES = 4 << 20  # parts of this size are left alone
FOLD_AT = 16  # small parts that a partition may have


def fold(partition: Path) -> None:
    """Fold the last parts of a partition into one when there are many, and remove what was folded before."""
    live = parts(partition)
    small = trailing_small(live)
    if len(small) >= FOLD_AT:
        name = f"part-{small[0].first:08d}-{small[-1].last:08d}.parquet"
        partial = partition / f".{name}.partial"
        pl.scan_parquet([one.path for one in small], missing_columns="insert", hive_partitioning=False).sink_parquet(
            partial
        )
        partial.replace(partition / name)
        live = parts(partition)
    for dead in {part(path) for path in partition.glob("part-*.parquet")} - set(live):
        dead.path.unlink()


def trailing_small(live: list[Part]) -> list[Part]:
    """The run of small parts at the end of the numbers (a run, because a fold covers all numbers between its ends)."""
    small: list[Part] = []
    for one in reversed(live):
        if one.first < 0 or one.path.stat().st_size >= FULL_BYTES:
            break
        small.insert(0, one)
    return small
