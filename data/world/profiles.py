"""What can be read off a history directly: first prices, clocks and limits, seasons, volumes, funding and rates by tier.

Decided here: a season by the hour needs three days of history and one by the weekday two weeks; shorter ones keep the old.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.history import Tables
from data.world.constants import Chain, Market, Orders
from data.world.measured import Moves, fees, five_minutes, main_chain, moves

LEAST_HOUR_DAYS, LEAST_WEEKDAY_DAYS = 3, 14
Values = NDArray[np.float64]


def read_market(market: Market, history: Tables) -> Market:
    """Constants of the market: first prices, ratio of volatilities, seasons, volumes and funding."""
    found = moves(history)
    if found is None:
        return market
    bars = five_minutes(history.scan("bars"))
    hours = season(found.tick, found.log_volatility, 24, 3600, LEAST_HOUR_DAYS)
    weekdays = season(found.tick - 4 * 86400, found.log_volatility, 7, 86400, LEAST_WEEKDAY_DAYS)
    market = replace(market, hours=hours or market.hours, weekdays=weekdays or market.weekdays)
    for place, symbol in enumerate(filter(None, (found.symbol, found.other))):
        market = read_symbol(market, place, bars.filter(pl.col("symbol") == symbol))
    if found.other is not None:
        other = bars.filter(pl.col("symbol") == found.other)["log_volatility"].to_numpy()
        market = replace(market, btc_ratio=float(np.exp(np.median(other) - np.median(found.log_volatility))))
    return read_funding(market, found, history)


def read_symbol(market: Market, place: int, bars: pl.DataFrame) -> Market:
    """First price and volumes of one symbol."""
    traded = bars.filter(pl.col("volume") > 0)
    market = replace(market, start_usd=put(market.start_usd, place, float(bars["open"][0])))
    if traded.height < 2 or traded["log_volatility"].std() == 0:
        return market
    slope, intercept = np.polyfit(traded["log_volatility"].to_numpy(), np.log(traded["volume"].to_numpy()), 1)
    return replace(
        market,
        volume_slope=put(market.volume_slope, place, float(slope)),
        volume_intercept=put(market.volume_intercept, place, float(intercept)),
    )


def read_funding(market: Market, found: Moves, history: Tables) -> Market:
    """Mean and deviation of the main symbol's funding."""
    if "funding" not in history.tables:
        return market
    rates = history.scan("funding").filter(pl.col("symbol") == found.symbol).collect()["rate"].to_numpy()
    if len(rates) < 3 * LEAST_HOUR_DAYS:
        return market
    return replace(
        market,
        funding_mean=float(rates.mean()),
        funding_swing=replace(market.funding_swing, deviation=float(rates.std())),
    )


def read_chain(chain: Chain, history: Tables) -> Chain:
    """Constants of the chain: gas limit, slots, missed ones, first number and the season of the fee."""
    rows, found = main_chain(history), fees(history)
    if rows is None or found is None or rows.height < 3:
        return chain
    steps = rows.select(ms=pl.col("ts").diff().dt.total_milliseconds(), one=pl.col("number").diff()).drop_nulls()
    pauses_s = steps.filter(pl.col("one") == 1)["ms"].to_numpy() / 1000
    slot_s = max(round(float(np.median(pauses_s))), 1) if len(pauses_s) else chain.slot_s
    slots = np.maximum(np.rint(pauses_s / slot_s), 1)
    hours = season(found.tick, found.value, 24, 3600, LEAST_HOUR_DAYS)
    return replace(
        chain,
        gas_limit=int(np.median(rows["gas_limit"].to_numpy())),
        slot_s=slot_s,
        missed=float(1 - len(slots) / slots.sum()) if len(slots) else chain.missed,
        first_number=int(rows["number"][0]),
        hours=hours or chain.hours,
    )


def read_orders(orders: Orders, history: Tables) -> Orders:
    """Rates of the tiers that a history knows by name."""
    if "request_counts" not in history.tables:
        return orders
    rows = history.scan("request_counts").group_by("tier").agg(pl.col("count").sum()).collect()
    ends = history.scan("request_counts").select(first=pl.col("ts").min(), last=pl.col("ts").max()).collect().row(0)
    totals = dict(rows.iter_rows())
    if any(tier.name not in totals for tier in orders.tiers) or not all(totals.values()):
        return orders
    seconds = (ends[1] - ends[0]).total_seconds() + 1
    return replace(orders, tiers=tuple(replace(tier, rate_per_s=totals[tier.name] / seconds) for tier in orders.tiers))


def season(times_s: NDArray[np.int64], values: Values, parts: int, part_s: int, least_days: int) -> tuple[float, ...]:
    """Mean of the values in each part of a day or week, less the mean of these; empty when there is too little."""
    if not len(times_s) or times_s[-1] - times_s[0] < least_days * 86400:
        return ()
    place = times_s // part_s % parts
    counts = np.bincount(place, minlength=parts)
    if not counts.all():
        return ()
    means = np.bincount(place, values, parts) / counts
    return tuple(np.round(means - means.mean(), 4).tolist())


def put(pair: Sequence[float], place: int, value: float) -> tuple[float, float]:
    """The pair with one of its values replaced."""
    values = [*pair]
    values[place] = value
    return values[0], values[1]
