"""shaper data pull: fetch history from public sources into a lake.

Decided here: which sources there are, and what a pull says when it is over.
"""

import asyncio
import json
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from data.lake.append import append
from data.sources import binance, binance_rest, deribit, dumpster, evm, live_command, mempool_space
from data.sources.engine import Outcome, Source, Store, pull
from data.sources.progress import Drawn
from data.sources.web import Manners, Web

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    Commands = _SubParsersAction[ArgumentParser]

EXAMPLE = """example:
  shaper data pull binance --symbol ETHUSDT --symbol BTCUSDT --kind klines --kind fundingRate \\
      --since 2024-01-01 --until 2024-03-01 --out var/history
A pull that was interrupted goes on where it stood when the same command is run again."""


@dataclass(frozen=True)
class Choice:
    """A source by its name on the command line: what it is, example options, how to make it, how to behave towards it."""

    about: str
    example: str
    add_options: Callable[[ArgumentParser], None]
    from_options: Callable[[Namespace], Source]
    per_second: float = 0.0
    breather: Callable[[Mapping[str, str]], float] | None = None


CHOICES: Mapping[str, Choice] = MappingProxyType(
    {
        "binance": Choice(
            "Binance's public archive: candles, trades, funding, open interest, liquidations",
            "--symbol ETHUSDT --kind klines --kind fundingRate --since 2024-01-01",
            binance.add_options,
            binance.from_options,
        ),
        "evm": Choice(
            "blocks of an EVM chain over JSON-RPC: base fees, gas, tips",
            "--rpc http://127.0.0.1:8545 --since 2024-03-01 --until 2024-03-02",
            evm.add_options,
            evm.from_options,
        ),
        "binance-rest": Choice(
            "Binance's REST: the newest candles and funding",
            "--symbol ETHUSDT --symbol BTCUSDT --since 2024-03-01T12:00",
            binance_rest.add_options,
            binance_rest.from_options,
            breather=binance_rest.breather,
        ),
        "dumpster": Choice(
            "Flashbots' Mempool Dumpster: Ethereum's mempool minute by minute, arrivals, inclusion delay",
            "--since 2024-01-01 --until 2024-01-08",
            dumpster.add_options,
            dumpster.from_options,
        ),
        "mempool-space": Choice(
            "mempool.space: Bitcoin's mempool, recorded and now",
            "--period 1w",
            mempool_space.add_options,
            mempool_space.from_options,
            mempool_space.PER_SECOND,
        ),
        "deribit": Choice(
            "Deribit: the DVOL index, trades, liquidations, instruments",
            "--kind dvol --kind trades --instrument ETH-PERPETUAL --since 2024-03-01 --until 2024-03-02",
            deribit.add_options,
            deribit.from_options,
            deribit.PER_SECOND,
        ),
    }
)


def register(subparsers: "Commands") -> None:
    """Add `pull` to the commands of `shaper data`; its function is in `run` of the parsed options."""
    parser = subparsers.add_parser(
        "pull",
        help="fetch history from public sources",
        description="Fetch history from a public source into a lake of canonical tables.",
        epilog=EXAMPLE,
        formatter_class=RawDescriptionHelpFormatter,
    )
    sources = parser.add_subparsers(metavar="SOURCE", required=True, dest="source")
    for name, choice in CHOICES.items():
        source = add_source(sources, name, choice.about, choice.example)
        choice.add_options(source)
        add_manners(source)
        source.set_defaults(run=run)
    live = add_source(sources, "evm-live", live_command.ABOUT, live_command.EXAMPLE)
    live_command.add_options(live)
    live.set_defaults(run=live_command.run)


def add_source(sources: "Commands", name: str, about: str, example: str) -> ArgumentParser:
    """A sub-command of `pull` with an example at the end of its help."""
    return sources.add_parser(
        name,
        help=about,
        description=f"{about[0].upper()}{about[1:]}.",
        epilog=f"example:\n  shaper data pull {name} {example} --out var/history",
        formatter_class=RawDescriptionHelpFormatter,
    )


def add_manners(parser: ArgumentParser) -> None:
    """Options that every source has."""
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the lake")
    parser.add_argument("--concurrency", type=positive, default=4, metavar="N", help="requests at once (default: 4)")
    parser.add_argument("--attempts", type=positive, default=6, metavar="N", help="tries of a request (default: 6)")
    parser.add_argument(
        "--timeout", type=seconds, default=30.0, metavar="S", help="seconds to wait for an answer (default: 30)"
    )
    parser.add_argument(
        "--again", action="store_true", help="pull parts that are finished, too (say, after removing tables)"
    )
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def positive(text: str) -> int:
    """A whole number above 0."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def seconds(text: str) -> float:
    """A time above 0."""
    value = float(text)
    if not 0.0 < value < float("inf"):
        raise ValueError(text)
    return value


def run(options: Namespace) -> int:
    """Pull; returns 0. Raises DataError when a part failed for good or there was nothing to pull."""
    choice = CHOICES[options.source]
    source = choice.from_options(options)
    manners = Manners(
        attempts=options.attempts,
        concurrency=options.concurrency,
        timeout_s=options.timeout,
        per_second=choice.per_second,
        breather=choice.breather,
    )
    outcome = asyncio.run(pulled(source, Store(options.out, append, options.again), manners, options.source))
    print(as_json(outcome)) if options.json else show(outcome, options.out)
    outcome.require_success(f"shaper data pull {options.source}")
    return 0


async def pulled(source: Source, store: Store, manners: Manners, title: str) -> Outcome:
    """Pull with progress drawn."""
    async with Web(manners) as web:
        with Drawn(title) as progress:
            return await pull(source, store, web, progress)


def as_json(outcome: Outcome) -> str:
    """The outcome for other programs."""
    return json.dumps(
        {
            "parts": outcome.parts,
            "finished_earlier": outcome.skipped,
            "absent": outcome.absent,
            "failures": [str(failure) for failure in outcome.failures],
            "tables": {name: asdict(counts) for name, counts in sorted(outcome.tables.items())},
        },
        indent=2,
    )


def show(outcome: Outcome, folder: Path) -> None:
    """The outcome for people."""
    table = Table(
        "table", "new rows", "known", "conflicting", "broken", title=f"pulled into {folder}", title_justify="left"
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for name, counts in sorted(outcome.tables.items()):
        table.add_row(name, *(f"{count:,}" for count in asdict(counts).values()))
    console = Console()
    console.print(table)
    console.print(f"{outcome.parts} parts, {outcome.skipped} of them finished earlier, {len(outcome.failures)} failed")
    for failure in outcome.failures[1:]:  # the first one is the error that the command ends with
        console.print(f"  {failure}", markup=False, soft_wrap=True)
    if outcome.absent:
        console.print(f"{len(outcome.absent)} parts are not published (yet), e.g. {outcome.absent[0]}", soft_wrap=True)
    if any(counts.conflicting or counts.broken for counts in outcome.tables.values()):
        console.print(f"rows set aside with their reasons: {folder / '_quarantine'}", soft_wrap=True)
