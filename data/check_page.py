"""The report of `shaper data check` as a page."""

from html import escape
from pathlib import Path

from data.check import Report, TableReport
from data.lake.coverage import coverage, periods
from data.lake.drawing import svg
from data.lake.page import page


def check_page(report: Report) -> str:
    """A self-contained page: the verdict, the coverage drawn, and what there is to say about each table."""
    count = sum(len(table.faults) for table in report.tables)
    lead = (
        "No faults."
        if report.ok
        else f"{count} fault{'s' if count > 1 else ''}: training and forecasting refuse such tables."
    )
    readable = all(table.first is not None for table in report.tables)
    drawings = (
        [f"<figure>{svg(a, b, own)}</figure>" for a, b, own in periods(coverage(Path(report.folder)))]
        if readable
        else []
    )
    return page(f"Check of {report.folder}", lead, [*drawings, *map(section, report.tables)])


def section(table: TableReport) -> str:
    """One table."""
    span = (
        f"{table.first:%Y-%m-%d %H:%M:%S} to {table.last:%Y-%m-%d %H:%M:%S}"
        if table.first and table.last
        else "no rows"
    )
    verdict = (
        f'<span class="bad">{len(table.faults)} faults</span>' if table.faults else '<span class="good">sound</span>'
    )
    return (
        f"<section><h2>{escape(table.name)} · {verdict}</h2>"
        f'<p class="soft">{table.rows:,} rows, {span}</p>'
        f"{listed(table.faults, 'bad')}{listed(table.notes, '')}</section>"
    )


def listed(sentences: tuple[str, ...], kind: str) -> str:
    """Sentences as a list; nothing when there are none."""
    return (
        f'<ul class="{kind}">' + "".join(f"<li>{escape(text)}</li>" for text in sentences) + "</ul>"
        if sentences
        else ""
    )
