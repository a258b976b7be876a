"""Show what a history covers.

Decided here: the options of `shaper data status`.
"""

import argparse
import json
from pathlib import Path

EXAMPLE = "example:\n  shaper data status var/lake --html var/status.html"


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `status` to the sub-commands of `shaper data`."""
    summary = "what a history covers, by table and chain or symbol, drawn as time lines with their gaps"
    look = commands.add_parser(
        "status", help=summary, description=f"{summary[0].upper()}{summary[1:]}.", epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    look.add_argument("folder", type=Path, metavar="DIR", help="a lake, or a folder with e.g. blocks.parquet")
    look.add_argument("--json", action="store_true", help="print the lanes as JSON")
    look.add_argument("--html", type=Path, metavar="FILE", help="also write a page with the drawing")
    look.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """`shaper data status`."""
    from data.lake.coverage import coverage
    from data.lake.drawing import status_page
    from data.lake.page import write
    from data.lake.terminal import show

    lanes = coverage(options.folder)
    if options.html:
        write(options.html, status_page(lanes, f"Coverage of {options.folder}"))
    if options.json:
        print(json.dumps({"folder": str(options.folder), "lanes": [lane.plain for lane in lanes]}, indent=1))
        return 0
    show(lanes, str(options.folder))
    if options.html:
        print(f"page: {options.html}")
    return 0
