"""One call from a seed to the canonical tables of a world that never happened."""

from collections.abc import Callable
from datetime import UTC, datetime

import polars as pl

from data.errors import UsageError
from data.world import chain, market, orders
from data.world.constants import DAY_S, World
from data.world.noise import Chance, Clock

START = datetime(2024, 1, 1, tzinfo=UTC)
LONGEST_DAYS = 366.0


def generate(
    days: float,
    seed: int,
    start: datetime = START,
    progress: Callable[[float, str], None] | None = None,
    world: World | None = None,
) -> dict[str, pl.DataFrame]:
    """Canonical tables `bars`, `blocks`, `funding` and `request_counts` of a simulated world, UTC, sorted by their keys.

    `days` are rounded down to whole 5-minute bars; `start` is aware and on the 5-minute grid. Equal arguments give equal
    tables to the bit, and more days only append rows. `progress` is told the share done (0..1) and what comes next.
    Raises UsageError for arguments that make no world.
    """
    world = world or World()
    clock, chance = _clock(days, start, world), _chance(seed)
    tell = progress or _silent
    tell(0.0, "prices")
    path = market.simulate(world.market, clock, chance)
    tell(0.1, "blocks")
    blocks = chain.simulate(world.chain, path, clock, chance)
    tell(0.3, "orders")
    causes = orders.causes(world.orders, path, blocks, clock, chance)
    counts = orders.table(world.orders, causes, clock, chance)
    tell(0.9, "tables")
    tables = {
        "bars": market.bars(world.market, path, clock, chance),
        "blocks": chain.table(world.chain, blocks),
        "funding": market.funding(world.market, path, clock, chance),
        "request_counts": counts,
    }
    tell(1.0, "done")
    return tables


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
