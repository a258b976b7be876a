"""Bring files of other tools into a lake.

Decided here: the options of `shaper data import`, and that rows set aside make it end with status 1.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from data.lake.append import Appended

EXAMPLE = """examples:
  shaper data import freqtrade user_data/data/binance --out var/lake
  shaper data import cryo blocks/ --gas-limit 30000000 --out var/lake
  shaper data import ccxt eth.json --symbol ETH/USDT:USDT --interval 5m --out var/lake
  shaper data import mapped fees.csv --mapping fees.toml --out var/lake"""

FORMATS = "canonical", "ccxt", "cryo", "freqtrade", "mapped"


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `import` to the sub-commands of `shaper data`."""
    summary = "bring files of other tools into a lake; the same file twice changes nothing"
    take = commands.add_parser(
        "import", help=summary, description=f"{summary[0].upper()}{summary[1:]}.", epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    take.add_argument("format", choices=FORMATS, help="what wrote the files")
    take.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files, or folders of them")
    take.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the lake; it is made when it is not there"
    )
    take.add_argument("--symbol", help="market, e.g. ETH-PERP or ETH/USDT:USDT")
    take.add_argument("--interval", metavar="LENGTH", help="time frame of candles, e.g. 5m")
    take.add_argument("--chain", help="name of the chain, e.g. ethereum")
    take.add_argument("--gas-limit", type=int, metavar="GAS", help="gas limit of the blocks where files lack it")
    take.add_argument("--mapping", type=Path, metavar="FILE", help="mapping file (TOML) for `mapped`")
    take.add_argument("--origin", metavar="TEXT", help="kept with every row (default: the format and the file's name)")
    take.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """`shaper data import`."""
    from rich.console import Console
    from rich.progress import Progress

    from data.imports.candles import interval_s
    from data.imports.chunk import Options
    from data.imports.formats import FORMATS, bring_in, inputs
    from data.lake.append import Appended

    options = Options(
        arguments.symbol,
        interval_s(arguments.interval) if arguments.interval else None,
        arguments.chain,
        arguments.gas_limit,
        arguments.mapping,
        arguments.origin,
    )
    kind = FORMATS[arguments.format]
    paths = inputs(kind, arguments.paths)
    total: dict[str, Appended] = {}
    with Progress(console=Console(stderr=True), transient=True) as bar:
        job = bar.add_task("importing", total=len(paths))
        for path in paths:
            bar.update(job, description=path.name)
            for table, done in bring_in(arguments.out, kind.read(path, options)).items():
                total[table] = total.get(table, Appended()) + done
            bar.advance(job)
    return report(arguments.out, total)


def report(out: Path, total: "Mapping[str, Appended]") -> int:
    """Print what became of the rows; 1 when some were set aside."""
    for table, done in sorted(total.items()):
        print(
            f"{table}: {done.new:,} new, {done.known:,} known, {done.conflicting:,} conflicting, {done.broken:,} broken"
        )
    aside = sum(done.conflicting + done.broken for done in total.values())
    if aside:
        print(f"{aside:,} rows were set aside with their reasons in {out / '_quarantine'}", file=sys.stderr)
    else:
        print(f"next: shaper data status {out}")
    return 1 if aside else 0
