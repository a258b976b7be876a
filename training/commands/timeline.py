"""Draw what sidecars lived through, side by side: demand, capacity ordered, warm and used, and what became of orders."""

import argparse
from pathlib import Path

EXAMPLE = """example:
  mkdir -p var/lived/forecast-led && curl -s http://127.0.0.1:8080/v1/series > var/lived/forecast-led/series.json
  shaper timeline var/lived/forecast-led var/lived/reactive --out var/timeline

A record is a folder, whose name it bears: `series.json` is what `/v1/series` of a sidecar answered, `orders.parquet` (optional)
what clients saw of their orders: ts, tier, served, took_s. Writes report.html.
"""


def main(argv: list[str]) -> int:
    """Run `shaper timeline`; returns the exit status. Raises DataError."""
    arguments = parser().parse_args(argv)
    from training.lived import read_lived
    from training.pages.timeline import page
    from training.report.page import write_page

    records = [read_lived(folder) for folder in arguments.record]
    content = page(records, arguments.tier, arguments.within)
    path = write_page(content, arguments.out / "report.html")
    for shown in (content.sections[0].tables[0].header, *content.sections[0].tables[0].rows):
        print(", ".join(shown))
    print(f"written to {path}")
    return 0


def parser() -> argparse.ArgumentParser:
    """Describe the options."""
    made = argparse.ArgumentParser(
        prog="shaper timeline",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("record", type=Path, nargs="+", help="folder of a record")
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for report.html")
    made.add_argument("--tier", default="critical", help="tier whose punctuality is drawn (default: critical)")
    made.add_argument(
        "--within", type=float, default=1.0, metavar="S", help="an order is on time when served within (default: 1 s)"
    )
    return made
