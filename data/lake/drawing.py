"""Coverage as a drawing: one lane for each chain or symbol, gaps in another colour, never thinner than can be seen."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from html import escape

from data.lake.coverage import Gap, Lane, periods
from data.lake.page import page, table
from data.lake.terminal import cells_of, short

XOf = Callable[[datetime], float]

LEFT, WIDTH, RIGHT, LANE = 190, 700, 130, 26
TOP = 30
THINNEST = 1.5
STEPS = [timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 720)] + [
    timedelta(days=days) for days in (1, 2, 7)
]
MOST_GAPS = 400  # drawn in a lane; shorter ones would lie on top of each other
LISTED = 25


def status_page(lanes: tuple[Lane, ...], title: str) -> str:
    """The page of `shaper data status`."""
    total = sum(lane.rows for lane in lanes)
    drawings = [f"<figure>{svg(first, last, own)}</figure>" for first, last, own in periods(lanes)]
    return page(
        title, f"{len(lanes)} lanes, {total:,} rows. Green is there, orange is missing.", [*drawings, gap_list(lanes)]
    )


def svg(first: datetime, last: datetime, lanes: Sequence[Lane]) -> str:
    """The lanes of one period under their common axis."""
    height = TOP + LANE * len(lanes) + 8
    span_s = (last - first).total_seconds()

    def x(at: datetime) -> float:
        return LEFT + WIDTH * (at - first).total_seconds() / span_s

    marks = "".join(
        f'<line class="grid" x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{TOP - 6}" y2="{height}"/>'
        f'<text class="soft" text-anchor="middle" x="{x(at):.1f}" y="{TOP - 12}">{label}</text>'
        for at, label in ticks(first, last)
    )
    drawn = "".join(draw(lane, TOP + LANE * place, x) for place, lane in enumerate(lanes))
    return f'<svg viewBox="0 0 {LEFT + WIDTH + RIGHT} {height}" role="img" aria-label="coverage">{marks}{drawn}</svg>'


def draw(lane: Lane, y: int, x: XOf) -> str:
    """One lane at a height."""
    name = f"{lane.table} {lane.entity}".strip()
    begin, width = x(lane.first), max(x(lane.last) - x(lane.first), THINNEST)
    note = f"{name}: {lane.rows:,} rows, {lane.first:%Y-%m-%d %H:%M} to {lane.last:%Y-%m-%d %H:%M}, {len(lane.gaps):,} gaps"
    bar = (
        f'<text x="0" y="{y + 14}">{escape(name)}</text>'
        f'<rect class="bed" x="{LEFT}" y="{y + 3}" width="{WIDTH}" height="14" rx="2"/>'
        f'<rect class="here" x="{begin:.1f}" y="{y + 3}" width="{width:.1f}" height="14" rx="2">'
        f"<title>{escape(note)}</title></rect>"
    )
    holes = "".join(hole(gap, y, x) for gap in sorted(lane.gaps, key=lambda gap: gap.start - gap.end)[:MOST_GAPS])
    count = f"{lane.rows:,}" + (f" · {len(lane.gaps):,} gaps" if lane.gaps else "")
    return f'{bar}{holes}<text class="soft" x="{LEFT + WIDTH + 10}" y="{y + 14}">{count}</text>'


def hole(gap: Gap, y: int, x: XOf) -> str:
    """One gap, at least as wide as can be seen."""
    start, end, length, missing = cells_of(gap)
    note = f"{start} to {end}: {length}" + (f", {missing} rows missing" if gap.missing is not None else "")
    width = max(x(gap.end) - x(gap.start), THINNEST)
    return f'<rect class="gap" x="{x(gap.start):.1f}" y="{y + 3}" width="{width:.1f}" height="14"><title>{note}</title></rect>'


def ticks(first: datetime, last: datetime, most: int = 8) -> list[tuple[datetime, str]]:
    """Round times between two, at most `most`, with their labels: first days of months where they are far apart."""
    step = next((step for step in STEPS if (last - first) / step <= most), None)
    if step is None:
        return month_ticks(first, last, most)
    epoch = datetime(1970, 1, 5, tzinfo=UTC)  # a Monday, so that weeks start there
    start = epoch + -(-(first - epoch) // step) * step
    form = "%Y-%m-%d" if step >= timedelta(days=1) else "%m-%d %H:%M"
    return [(at, f"{at:{form}}") for at in (start + step * count for count in range(most + 1)) if at <= last]


def month_ticks(first: datetime, last: datetime, most: int) -> list[tuple[datetime, str]]:
    """First days of every 1, 2, 3, 6, 12, 24, … months."""
    begin, end = (12 * at.year + at.month - 1 for at in (first, last))
    step = next(step for step in (1, 2, 3, 6, *(12 * 2**power for power in range(12))) if (end - begin) / step <= most)
    months = [month for month in range(begin, end + 1) if month % step == 0]
    starts = [datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in months]
    return [(at, f"{at:%Y-%m}") for at in starts if first <= at <= last]


def gap_list(lanes: tuple[Lane, ...]) -> str:
    """The longest gaps as a table."""
    every = sorted(((gap, lane) for lane in lanes for gap in lane.gaps), key=lambda one: one[0].start - one[0].end)
    if not every:
        return "<section><p>No gap.</p></section>"
    rows = [(f"{lane.table} {lane.entity}".strip(), *cells_of(gap)) for gap, lane in every[:LISTED]]
    heads = ("lane", "from", "to", "length", "rows missing")
    steps = table(
        ("lane", "rows", "usual step", "gaps", "missing time"),
        [
            (
                f"{lane.table} {lane.entity}".strip(),
                f"{lane.rows:,}",
                short(timedelta(seconds=lane.step_s)) if lane.step_s else "-",
                f"{len(lane.gaps):,}",
                f"{lane.missing_share:.3%}",
            )
            for lane in lanes
        ],
        frozenset({1, 2, 3, 4}),
    )
    return (
        f"<section><h2>Lanes</h2>{steps}</section>"
        f"<section><h2>Longest of {len(every):,} gaps</h2>{table(heads, rows, frozenset({3, 4}))}</section>"
    )
