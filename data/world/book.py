"""A book of leveraged positions: who holds what, whom the price liquidates, and the tables that tell of it.

Decided here: how accounts come and go, and that without depth (`depth_usd` infinite) the book only watches the price.
"""

import math
from dataclasses import replace

import numpy as np
import polars as pl

from data.world.constants import HOUR_S, Book, Market
from data.world.desk import LONG, NEVER, SHORT, Desk, Holdings, Ledger, Whole, run
from data.world.market import SYMBOLS, Path, stamps
from data.world.noise import Chance, Clock, Series, delayed

SCATTER = 0.03  # deviation of ln entry price over the price at the start, of those who were there before


def trade(book: Book, market: Market, path: Path, clock: Clock, chance: Chance) -> tuple[Path, tuple[Ledger, Ledger]]:
    """The path with the impact of liquidations, and the ledgers of ETH and BTC."""
    logs = [
        math.log(market.start_usd[place]) + np.cumsum(returns) for place, returns in enumerate((path.eth, path.btc))
    ]
    eth, btc = (Desk(log, holdings(book, place, log, clock, chance)) for place, log in enumerate(logs))
    shifts = run(book, (eth, btc), clock.step_s)
    ledgers = (eth.ledger, btc.ledger)
    if math.isinf(book.depth_usd):
        return path, ledgers
    moved, other = (np.diff(shift, prepend=0.0) for shift in shifts)
    usual = market.jump_scale * math.exp(market.log_volatility)
    pushed = np.add(*(_forced_usd(ledger, clock.count) for ledger in ledgers)) / book.depth_usd
    return replace(
        path, eth=path.eth + moved, btc=path.btc + other, jumps=path.jumps + book.rush * pushed / usual
    ), ledgers


def holdings(book: Book, place: int, log_price: Series, clock: Clock, chance: Chance) -> Holdings:
    """Everybody who ever holds the symbol at `place`: those who are there at the start, then those who come."""
    symbol = SYMBOLS[place]
    per_step = np.full(clock.count, book.accounts * clock.step_s / book.stay_s)
    counts = chance.events(f"entries {symbol}", per_step)
    entered = np.concatenate([np.zeros(book.accounts, np.int64), np.repeat(np.arange(clock.count), counts)])
    draws = {name: chance.stream(f"{name} {symbol}") for name in ("stay", "leverage", "size", "side", "scatter")}
    stay_s = draws["stay"].exponential(book.stay_s, len(entered))
    levels = np.searchsorted(np.cumsum(book.leverage_shares)[:-1], draws["leverage"].random(len(entered)), side="right")
    size = book.median_usd * np.exp(book.spread * draws["size"].standard_normal(len(entered)))
    trend = log_price - _before(log_price, int(6 * HOUR_S) // clock.step_s)
    longs = draws["side"].random(len(entered)) < 1 / (1 + np.exp(-book.trend * trend[entered]))
    side = np.where(longs, LONG, SHORT)
    room = np.log1p(side * (book.maintenance - 1 / np.array(book.leverages)[levels]))  # from entry to liquidation
    entry = log_price[entered].copy()
    scatter = SCATTER * draws["scatter"].standard_normal(book.accounts)
    # Nobody is there at the start who would have been liquidated before.
    entry[: book.accounts] += np.where(np.abs(scatter) < np.abs(room[: book.accounts]), scatter, 0.0)
    leaves = entered + 1 + (stay_s // clock.step_s).astype(np.int64)
    return Holdings(entered, leaves, side, np.minimum(size, book.largest_usd), entry, entry + room)


def positions(book: Book, ledgers: tuple[Ledger, Ledger], clock: Clock) -> pl.DataFrame:
    """The canonical `positions`: every open one at each writing of the book, sorted by symbol, time and account."""
    first = -clock.start_s % book.snapshot_s // clock.step_s
    steps = np.arange(first, clock.count, book.snapshot_s // clock.step_s)
    frames = [_snapshots(SYMBOLS[place], ledgers[place], steps, clock) for place in (1, 0)]
    return pl.concat(frames)


def liquidations(ledgers: tuple[Ledger, Ledger], clock: Clock) -> pl.DataFrame:
    """The canonical `liquidations`, sorted by time and symbol."""
    frames = [_forced(SYMBOLS[place], ledger, clock) for place, ledger in enumerate(ledgers)]
    return pl.concat(frames).sort("ts", "symbol", maintain_order=True)


def _forced(symbol: str, ledger: Ledger, clock: Clock) -> pl.DataFrame:
    """Liquidations of one symbol in the order of their positions' entry."""
    which = np.flatnonzero(ledger.forced != NEVER)
    return pl.DataFrame(
        {
            "ts": stamps(clock.start_s + (ledger.forced[which] + 1) * clock.step_s - 1),  # when its step is nearly over
            "symbol": pl.repeat(symbol, len(which), dtype=pl.String, eager=True),
            "notional_usd": np.round(ledger.holdings.notional_usd[which], 2),
        }
    )


def _snapshots(symbol: str, ledger: Ledger, steps: Whole, clock: Clock) -> pl.DataFrame:
    """Open positions of one symbol at some steps."""
    held = ledger.holdings
    ends = np.minimum(held.leaves, ledger.forced)
    # A position is written down at the starts of the steps after that of its entry, the one of its end among them.
    first, last = (np.searchsorted(steps, of, side="right") for of in (held.entered, ends))
    times = np.maximum(last - first, 0)
    who = np.repeat(np.arange(len(first)), times)
    when = np.arange(len(who)) - np.repeat(np.cumsum(times) - times, times) + np.repeat(first, times)
    entry = held.entry + ledger.shift
    frame = pl.DataFrame(
        {
            "symbol": pl.repeat(symbol, len(who), dtype=pl.String, eager=True),
            "ts": stamps(clock.start_s + steps[when] * clock.step_s),
            "account": pl.Series(who).cast(pl.String).str.zfill(7),
            "side": pl.Series(held.side[who] == LONG).replace_strict(
                {True: "long", False: "short"}, return_dtype=pl.String
            ),
            "size": np.round(held.notional_usd / np.exp(entry), 6)[who],
            "entry_price": np.round(np.exp(entry), 4)[who],
            "liquidation_price": np.round(np.exp(held.limit + ledger.shift), 4)[who],
        }
    )
    return frame.sort("ts", "account")


def _before(values: Series, steps: int) -> Series:
    """The values `steps` earlier, the first one where there is none."""
    first = float(values[0])
    return delayed(values - first, steps) + first


def _forced_usd(ledger: Ledger, count: int) -> Series:
    """Notional liquidated by step."""
    which = np.flatnonzero(ledger.forced != NEVER)
    usd: Series = np.bincount(ledger.forced[which], ledger.holdings.notional_usd[which], count).astype(np.float64)
    return usd
