"""`shaper data simulate` and `shaper data facts`: generate a world, and hold it against history.

Decided here: their options, and that a folder that holds something is never written over.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import UsageError

if TYPE_CHECKING:
    from data.world.constants import World

Tell = Callable[[float, str], None]


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the two sub-commands."""
    register_simulate(commands)
    register_facts(commands)


def register_simulate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `simulate`."""
    from data.world.scenario import names, read

    listed = "\n".join(f"  {name:<26}{read(name).summary}" for name in names())
    summary = "generate a seeded world: prices, positions, blocks, nodes and orders that react to each other"
    world = commands.add_parser(
        "simulate", help=summary, description=f"{summary[0].upper()}{summary[1:]}.\n\nscenarios:\n{listed}",
        epilog="example:\n  shaper data simulate --out var/world --days 21 --seed 1\n"
        "  shaper data simulate systemic-liquidation --out var/storm --days 3 --seed 1",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    world.add_argument(
        "scenario", nargs="?", default="market", help="which world, or a TOML file of your own (default: market)"
    )
    world.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new or empty folder for the tables")
    world.add_argument("--days", type=positive, default=21.0, help="length in days (default: 21)")
    world.add_argument("--seed", type=int, default=0, help="equal seeds give equal worlds (default: 0)")
    world.add_argument(
        "--like", type=Path, metavar="DIR", help="calibrate the world to the history in this folder first"
    )
    world.add_argument(
        "--orders", action="store_true", help="also write every single order (about 4 million rows a day)"
    )
    world.set_defaults(run=simulate)


def register_facts(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `facts`."""
    summary = "stylised facts of a history, side by side with those of another"
    facts = commands.add_parser(
        "facts", help=summary, description=f"{summary[0].upper()}{summary[1:]}.",
        epilog="example:\n  shaper data facts var/world --versus var/history --html var/facts.html",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    facts.add_argument("folder", type=Path, metavar="DIR", help="folder of tables")
    facts.add_argument("--versus", type=Path, metavar="DIR", help="folder of tables to hold it against")
    facts.add_argument("--html", type=Path, metavar="FILE", help="also draw them on a page")
    facts.add_argument("--json", action="store_true", help="print them as JSON")
    facts.set_defaults(run=show_facts)


def positive(text: str) -> float:
    """A number of days above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected days above 0, found {text}")
    return value


def simulate(options: argparse.Namespace) -> int:
    """`shaper data simulate`."""
    from rich.progress import Progress

    from data.history import write_table
    from data.world.flow import write_orders
    from data.world.generate import generate
    from data.world.scenario import applied, read

    scenario = read(options.scenario)
    out: Path = options.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(
            str(out), expected="a new or empty folder", found="something in its place", remedy="choose another --out"
        )
    with Progress(transient=True) as bar:
        job = bar.add_task("simulating", total=1.0)

        def tell(share: float, stage: str) -> None:
            bar.update(job, completed=share, description=stage)

        world = applied(scenario, calibrated(options.like, tell) if options.like else None)
        frames = generate(options.days, options.seed, progress=tell, world=world)
        for name, frame in frames.items():
            path = write_table(out, name, frame)
            bar.console.print(
                f"{path}: {frame.height:,} rows, {path.stat().st_size / 1e6:.1f} MB", markup=False, highlight=False
            )
        if options.orders:
            rows = write_orders(out, frames["request_counts"], world, options.seed, tell)
            bar.console.print(f"{out / 'orders'}: {rows:,} rows", markup=False, highlight=False)
    print(f"next: shaper data check {out}")
    return 0


def calibrated(folder: Path, tell: Tell) -> "World":
    """The world calibrated to the history in a folder."""
    from data.history import History
    from data.world.likeness import like

    return like(History.open(folder), tell)


def show_facts(options: argparse.Namespace) -> int:
    """`shaper data facts`."""
    from rich.console import Console
    from rich.table import Column, Table

    from data.history import History
    from data.lake.page import write
    from data.world.facts import measure
    from data.world.facts_page import facts_page, sides

    folders = [options.folder, *([options.versus] if options.versus else [])]
    measured = [measure(History.open(folder)) for folder in folders]
    short = [folder.name for folder in folders]
    names = short if len(set(short)) == len(short) and all(short) else [str(folder) for folder in folders]
    if options.html:
        write(options.html, facts_page(tuple(zip(names, measured, strict=True))))
    if options.json:
        print(json.dumps({str(f): one.plain for f, one in zip(folders, measured, strict=True)}, indent=1))
        return 0
    table = Table(
        Column("fact", no_wrap=True),
        *(Column(name, justify="right") for name in names),
        title="stylised facts",
        title_justify="left",
    )
    for label, *cells in sides(measured):
        table.add_row(label, *cells)
    Console().print(table)
    return 0
