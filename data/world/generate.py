"""One call from a seed to the canonical tables of a world that never happened."""

from collections.abc import Callable
from datetime import UTC, datetime

import polars as pl

from data.errors import UsageError
from data.world import book, chain, market, mempool, nodes, orders, script
from data.world.constants import DAY_S, World
from data.world.desk import Ledger
from data.world.noise import Chance, Clock
from data.world.orders import Happened
from data.world.script import Script

START = datetime(2024, 1, 1, tzinfo=UTC)
LONGEST_DAYS = 366.0

Tell = Callable[[float, str], None]


def generate(
    days: float,
    seed: int,
    start: datetime = START,
    progress: Tell | None = None,
    world: World | None = None,
) -> dict[str, pl.DataFrame]:
    """Canonical tables of a simulated world, UTC, sorted by their keys.

    `bars`, `blocks`, `funding`, `request_counts`, `liquidations`, `positions`, `mempool` and `nodes`. `days` are rounded down
    to whole 5-minute bars; `start` is aware and on the 5-minute grid. Equal arguments give equal tables to the bit, and more
    days only append rows. `progress` is told the share done (0..1) and what comes next. Raises UsageError for arguments that
    make no world.
    """
    world = world or World()
    clock, chance = _clock(days, start, world), _chance(seed)
    tell = progress or _silent
    tell(0.0, "prices")
    happened, ledgers = _happened(world, clock, chance, tell)
    path, blocks, plot = happened.path, happened.blocks, happened.script
    tell(0.3, "orders")
    causes = orders.causes(world.orders, happened, clock, chance)
    counts = orders.table(world.orders, causes, clock, chance)
    tell(0.6, "pending transactions")
    pending = mempool.simulate(world.pool, world.chain, blocks, chance)
    tell(0.8, "tables")
    tables = {
        "bars": market.bars(world.market, path, clock, chance),
        "blocks": chain.table(world.chain, blocks),
        "funding": market.funding(world.market, path, clock, chance),
        "request_counts": counts,
        "liquidations": book.liquidations(ledgers, clock),
        "positions": book.positions(world.book, ledgers, clock),
        "mempool": mempool.table(world.pool, pending, blocks, clock),
        "nodes": nodes.table(world.network, world.market, happened, clock, chance),
    }
    tell(1.0, "done")
    return {name: heard(name, frame, plot, clock) for name, frame in tables.items()}


def outline(days: float, seed: int, start: datetime = START, world: World | None = None) -> dict[str, pl.DataFrame]:
    """The `bars` and `blocks` of the same world alone, in a fraction of the time. Raises like `generate`."""
    world = world or World()
    clock, chance = _clock(days, start, world), _chance(seed)
    happened, _ = _happened(world, clock, chance, _silent)
    tables = {
        "bars": market.bars(world.market, happened.path, clock, chance),
        "blocks": chain.table(world.chain, happened.blocks),
    }
    return {name: heard(name, frame, happened.script, clock) for name, frame in tables.items()}


def _happened(world: World, clock: Clock, chance: Chance, tell: Tell) -> tuple[Happened, tuple[Ledger, Ledger]]:
    """What the script, the market, the positions and the chain did, before anybody ordered anything."""
    plot = script.write(world.episodes, clock, chance)
    path = market.simulate(world.market, plot, clock, chance)
    tell(0.05, "positions")
    path, ledgers = book.trade(world.book, world.market, path, clock, chance)
    tell(0.2, "blocks")
    return Happened(path, chain.simulate(world.chain, path, plot, clock, chance), plot), ledgers


def heard(name: str, frame: pl.DataFrame, plot: Script, clock: Clock) -> pl.DataFrame:
    """The rows of a table but for those of the times in which its feed is silent."""
    for one in plot.occasions:
        if name in one.episode.silent:
            first, last = (datetime.fromtimestamp(clock.start_s + at_s, UTC) for at_s in one.silence_s)
            frame = frame.filter((pl.col("ts") < first) | (pl.col("ts") >= last))
    return frame


def _silent(_share: float, _what: str) -> None:
    """Progress that nobody watches."""


def _chance(seed: int) -> Chance:
    """The streams of a seed."""
    if seed < 0:
        raise UsageError("seed", expected="0 or above", found=str(seed), remedy="choose another seed")
    return Chance(seed)


def _clock(days: float, start: datetime, world: World) -> Clock:
    """The grid of a world that starts at `start` and lasts for `days`."""
    bars = int(days * DAY_S / market.BAR_S + 1e-6) if 0 < days <= LONGEST_DAYS else 0
    if bars < 1:
        raise UsageError(
            "days",
            expected=f"5 minutes to {LONGEST_DAYS:.0f} days",
            found=f"{days} days",
            remedy="choose another length",
        )
    if start.tzinfo is None or start.timestamp() % market.BAR_S:
        raise UsageError(
            "start",
            expected="an aware time on the 5-minute grid",
            found=start.isoformat(),
            remedy="write it like 2024-01-01T00:00:00+00:00",
        )
    return Clock(int(start.timestamp()), world.step_s, bars * market.BAR_S // world.step_s)
