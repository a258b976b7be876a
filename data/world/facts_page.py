"""Stylised facts as a page and as rows of text: one column a history, and each curve drawn with all of them.

Decided here: how a fact is written, and how curves of several histories share one frame.
"""

from collections.abc import Iterator, Sequence
from html import escape

from data.lake.page import page, table
from data.world.axes import Axis
from data.world.curves import Curve
from data.world.facts import Facts, both

WIDTH, HEIGHT, LEFT, TOP, BOTTOM, RIGHT = 430, 250, 48, 14, 40, 12
INKS = ("var(--here)", "var(--gap)", "var(--bad)")
DASHES = ("", "7 4", "2 3")
LAYOUT = """<style>.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 1rem; }
.curves figure { margin: 0; } .curves svg { min-width: 380px; } figcaption { font-weight: 600; margin-bottom: .4rem; }
.key { display: inline-block; margin-right: 1.2rem; } .key svg { display: inline; width: 34px; min-width: 34px; height: 10px; }
</style>"""

Named = tuple[str, Facts]


def facts_page(named: Sequence[Named]) -> str:
    """A self-contained page of one history, or of some side by side."""
    names = [name for name, _ in named]
    title = "Stylised facts: " + " and ".join(names)
    lead = (
        "What prices, base fees and orders do, measured in the same way on each." if len(named) > 1 else "As measured."
    )
    numbers = frozenset(range(1, len(named) + 1))
    numeric = table(("fact", *names), [(label, *cells) for label, *cells in sides([one for _, one in named])], numbers)
    figures = "".join(figure(curves) for curves in shared(named))
    return page(
        title, lead, [LAYOUT, keys(names), f'<div class="curves">{figures}</div>', f"<section>{numeric}</section>"]
    )


def sides(measured: Sequence[Facts]) -> list[list[str]]:
    """Rows of text: the label of each fact, then its value in each history."""
    return [[label, *map(written, values)] for label, values in both(measured)]


def written(value: float | None) -> str:
    """A value to three digits that matter, a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def shared(named: Sequence[Named]) -> Iterator[list[tuple[int, Curve]]]:
    """The curves of each name that some history has, with the places of the histories that have it."""
    order = dict.fromkeys(curve.name for _, facts in named for curve in facts.curves)
    for name in order:
        yield [(place, curve) for place, (_, facts) in enumerate(named) for curve in facts.curves if curve.name == name]


def keys(names: Sequence[str]) -> str:
    """Which line is which."""
    lines = [
        f'<span class="key"><svg viewBox="0 0 34 10">{stroke(place, "M0 5 L34 5")}</svg> {escape(name)}</span>'
        for place, name in enumerate(names)
    ]
    return f"<p>{''.join(lines)}</p>"


def stroke(place: int, path: str) -> str:
    """A path in the ink of a history."""
    ink, dash = INKS[place % len(INKS)], DASHES[place % len(DASHES)]
    return f'<path d="{path}" fill="none" stroke="{ink}" stroke-width="2" stroke-dasharray="{dash}"/>'


def figure(curves: Sequence[tuple[int, Curve]]) -> str:
    """One frame with the same curve of several histories."""
    first = curves[0][1]
    across = Axis.of([x for _, curve in curves for x in curve.x], "x" in first.logs)
    up = Axis.of([y for _, curve in curves for y in curve.y], "y" in first.logs)
    lines = "".join(stroke(place, path(curve, across, up)) for place, curve in curves)
    middle, base = LEFT + (WIDTH - LEFT - RIGHT) / 2, HEIGHT - 6
    label = f'<text class="soft" text-anchor="middle" x="{middle}" y="{base}">{escape(first.across)}</text>'
    drawing = f"{grid_across(across)}{grid_up(up)}{lines}{label}"
    return (
        f"<figure><figcaption>{escape(first.title)}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(first.title)}">{drawing}</svg></figure>'
    )


def path(curve: Curve, across: Axis, up: Axis) -> str:
    """The curve as an SVG path; points that a logarithmic axis cannot show are left out."""
    points = [(x, y) for x, y in zip(curve.x, curve.y, strict=True) if across.shows(x) and up.shows(y)]
    return "M" + " L".join(f"{x_of(across, x):.1f} {y_of(up, y):.1f}" for x, y in points) if points else ""


def x_of(axis: Axis, value: float) -> float:
    """Horizontal place of a value."""
    return LEFT + (WIDTH - LEFT - RIGHT) * axis.share(value)


def y_of(axis: Axis, value: float) -> float:
    """Vertical place of a value."""
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * axis.share(value)


def grid_across(axis: Axis) -> str:
    """Vertical lines at round values, with the values below."""
    return "".join(
        f'<line class="grid" x1="{x_of(axis, mark):.1f}" x2="{x_of(axis, mark):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        f'<text class="soft" text-anchor="middle" x="{x_of(axis, mark):.1f}" y="{HEIGHT - BOTTOM + 15}">{mark:g}</text>'
        for mark in axis.marks
    )


def grid_up(axis: Axis) -> str:
    """Horizontal lines at round values, with the values to the left."""
    return "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y_of(axis, mark):.1f}" y2="{y_of(axis, mark):.1f}"/>'
        f'<text class="soft" text-anchor="end" x="{LEFT - 6}" y="{y_of(axis, mark) + 4:.1f}">{mark:g}</text>'
        for mark in axis.marks
    )
