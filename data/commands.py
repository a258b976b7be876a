"""Look at recorded history, or generate a simulated one.

Decided here: the options of `shaper data check`, and how its report looks in a terminal.
"""

import argparse
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from data.imports import commands as imports
from data.lake import commands as lake
from data.sources import commands as sources
from data.world import commands as worlds

if TYPE_CHECKING:
    from data.check import Report, TableReport


def main(argv: list[str]) -> int:
    """Run `shaper data …`; returns 0, or 1 when the history has faults."""
    options = parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = options.run
    return run(options)


def parser() -> argparse.ArgumentParser:
    """The options of all sub-commands."""
    top = argparse.ArgumentParser(
        prog="shaper data", description="Look at recorded history, or generate a simulated one.", epilog=EXAMPLES["data"],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    look = add(
        commands, "check", "what is in a folder of tables: rows, range, gaps and faults; exit status 1 on faults"
    )
    look.add_argument("folder", type=Path, metavar="DIR", help="folder with e.g. blocks.parquet and bars.parquet")
    look.add_argument("--json", action="store_true", help="print the report as JSON")
    look.add_argument("--html", type=Path, metavar="FILE", help="also write the report as a page")
    look.add_argument("--max-age", metavar="LENGTH", help="fault when a newest row is older than this, e.g. 10m")
    look.set_defaults(run=check)
    sources.register(commands)
    imports.register(commands)
    lake.register(commands)
    worlds.register(commands)
    return top


EXAMPLES = {
    "data": "example:\n  shaper data simulate --out var/world --days 21 --seed 1 && shaper data check var/world",
    "check": "example:\n  shaper data check var/world",
}


def add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, summary: str
) -> argparse.ArgumentParser:
    """A sub-command with its example at the end of its help."""
    return commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", epilog=EXAMPLES[name],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip


def check(options: argparse.Namespace) -> int:
    """`shaper data check`."""
    from data.check import inspect
    from data.check_page import check_page
    from data.imports.candles import interval_s
    from data.lake.page import write

    now = datetime.now(UTC)
    report = inspect(options.folder, now, timedelta(seconds=interval_s(options.max_age)) if options.max_age else None)
    if options.html:
        write(options.html, check_page(report))
    if options.json:
        print(json.dumps(report.plain, indent=1))
    else:
        show(report)
    return 0 if report.ok else 1


def show(report: "Report") -> None:
    """Print a report as a table, and its faults below."""
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(
        "table", Column("rows", justify="right"), "from .. to", "notes", title=report.folder, title_justify="left"
    )
    for entry in report.tables:
        table.add_row(entry.name, f"{entry.rows:,}", moments(entry), "\n".join(entry.notes))
    console = Console()
    console.print(table)
    if report.ignored:
        console.print(f"not canonical tables, ignored: {', '.join(report.ignored)}", markup=False)
    for entry in report.tables:
        for fault in entry.faults:
            console.print(f"FAULT {entry.name}: {fault}", style="red", markup=False, soft_wrap=True)
    console.print(
        "no faults" if report.ok else "faults found: training and forecasting refuse such tables", markup=False
    )


def moments(entry: "TableReport") -> str:
    """First and last time of a table, to the second, below each other."""
    ends = [end for end in (entry.first, entry.last) if end is not None]
    return "\n".join(f"{end:%Y-%m-%d %H:%M:%S}" for end in ends) or "-"
