"""Coverage as lines of block characters.

Decided here: the height of a cell is the covered share of its time, and a cell with any gap is never full, so that
even a gap of one row can be seen.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.console import Console, Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from data.lake.coverage import Gap, Lane, periods

CELLS = 48
HEIGHTS = "▁▂▃▄▅▆▇"
FULL, EMPTY = "█", "·"
LISTED = 8  # gaps in the list below


def drawing(lanes: tuple[Lane, ...], cells: int = CELLS) -> RenderableType:
    """Every period as a grid of lanes, and the longest gaps."""
    grids: list[RenderableType] = [period(first, last, own, cells) for first, last, own in periods(lanes)]
    return Group(*grids, longest(lanes))


def period(first: datetime, last: datetime, lanes: Sequence[Lane], cells: int) -> Grid:
    """The lanes of one period under their common axis."""
    grid = Grid(box=None, pad_edge=False, title_justify="left")
    grid.add_column("table", no_wrap=True)
    grid.add_column("", no_wrap=True)
    grid.add_column(axis(first, last, cells), no_wrap=True, min_width=cells)
    for name in ("rows", "step", "gaps", "missing"):
        grid.add_column(name, justify="right", no_wrap=True)
    for lane in lanes:
        step = short(timedelta(seconds=lane.step_s)) if lane.step_s else "-"
        gap = Text(f"{len(lane.gaps):,}", style="yellow" if lane.gaps else "green")
        share = f"{lane.missing_share:.2%}" if lane.gaps else "-"
        grid.add_row(lane.table, lane.entity, row(lane, first, last, cells), f"{lane.rows:,}", step, gap, share)
    grid.add_row("")
    return grid


def axis(first: datetime, last: datetime, cells: int) -> str:
    """First and last time at the two ends of a line."""
    form = "%Y-%m-%d" if last - first > timedelta(days=2) else "%Y-%m-%d %H:%M"
    left, right = f"{first:{form}}", f"{last:{form}}"
    return left + right.rjust(cells - len(left))


def row(lane: Lane, first: datetime, last: datetime, cells: int) -> Text:
    """One lane."""
    text = Text()
    for share, is_broken in shares(lane, first, last, cells):
        if share is None:
            text.append(EMPTY, style="dim")
        elif not is_broken:
            text.append(FULL, style="green")
        else:
            text.append(
                HEIGHTS[min(int(share * len(HEIGHTS)), len(HEIGHTS) - 1)], style="yellow" if share > 0.5 else "red"
            )
    return text


def shares(lane: Lane, first: datetime, last: datetime, cells: int) -> list[tuple[float | None, bool]]:
    """For each cell: the covered share of its time within the lane (None outside of it), and whether a gap touches it."""
    width_s = (last - first).total_seconds() / cells
    begin, end = ((at - first).total_seconds() / width_s for at in (lane.first, lane.last))
    lost = [0.0] * cells
    touched = [False] * cells
    for gap in lane.gaps:
        a, b = ((at - first).total_seconds() / width_s for at in (gap.start, gap.end))
        for cell in range(max(int(a), 0), min(int(b), cells - 1) + 1):
            lost[cell] += max(min(b, cell + 1) - max(a, cell), 0.0)
            touched[cell] = True
    inside = [int(begin) <= cell <= max(end, begin) or cell == min(int(begin), cells - 1) for cell in range(cells)]
    return [(max(1 - lost[cell], 0.0) if inside[cell] else None, touched[cell]) for cell in range(cells)]


def longest(lanes: tuple[Lane, ...]) -> RenderableType:
    """The longest gaps of all lanes as a list."""
    every = sorted(((gap, lane) for lane in lanes for gap in lane.gaps), key=lambda one: one[0].start - one[0].end)
    if not every:
        return Text("no gap", style="green")
    grid = Grid(box=None, pad_edge=False, title=f"longest of {len(every):,} gaps", title_justify="left")
    for name in ("table", "", "from", "to", "length", "rows missing"):
        grid.add_column(name, justify="right" if name in ("length", "rows missing") else "left", no_wrap=True)
    for gap, lane in every[:LISTED]:
        grid.add_row(lane.table, lane.entity, *cells_of(gap))
    return grid


def cells_of(gap: Gap) -> tuple[str, str, str, str]:
    """From, to, length and missing rows of a gap, as text."""
    missing = "-" if gap.missing is None else f"{gap.missing:,}"
    return f"{gap.start:%Y-%m-%d %H:%M:%S}", f"{gap.end:%Y-%m-%d %H:%M:%S}", short(gap.end - gap.start), missing


def short(length: timedelta) -> str:
    """A length of time in its two largest units, e.g. 5m, 1h 20m, 3d 4h."""
    seconds = length.total_seconds()
    if seconds < 60:
        return f"{seconds:.3g}s"
    units = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)]
    left, words = round(seconds), []
    for unit, size in units:
        if left >= size:
            words.append(f"{left // size}{unit}")
            left %= size
    return " ".join(words[:2])


def show(lanes: tuple[Lane, ...], title: str) -> None:
    """Print the coverage of a folder."""
    console = Console()
    console.print(Text(title, style="bold"), drawing(lanes, max(24, min(CELLS, console.width - 60))), sep="\n")
