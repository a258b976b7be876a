"""The closed loop on recorded orders: the same policies on the same trace, once for each actuation delay.

Decided here: how recorded orders become a trace, which forecasts a replay may use (none of a period that the model was
fitted or calibrated on), and what `results.json` holds.
"""

import datetime as dt
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.contract import Contract
from data.errors import DataError
from data.history import History
from data.ticks_orders import known_seconds, per_second
from shaper.replay.outcome import Outcome
from shaper.replay.scenario import Scenario, run
from shaper.replay.trace import ForecastSeries, Trace
from shaper.venue import Venue
from training.artefact import Artefact
from training.forecasting import Forecasts, issue
from training.scenario import ScenarioFile, Stretch
from training.settings import instant

TABLES = ("request_counts", "arrivals")
SILENCE_S = 60  # at the end of a stretch within which no order need have come
Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Replay:
    """What was played: scenarios and outcomes by actuation delay in seconds, and what the forecasts came from."""

    file: ScenarioFile
    scenarios: dict[float, Scenario]
    outcomes: dict[float, tuple[Outcome, ...]]
    contract: Contract | None

    @property
    def own_delay_s(self) -> float:
        """The delay that the venue's pool has."""
        return self.file.venue.pool.actuation_delay_s


def replay(
    file: ScenarioFile, history: History, artefact: Artefact | None, progress: Progress = lambda _share, _doing: None
) -> Replay:
    """Play a scenario. Raises DataError when the orders or the forecasts do not reach over it."""
    if artefact is None and "forecast-led" in file.policies:
        raise DataError(
            file.name,
            expected="a model for the policy forecast-led",
            found="none",
            remedy="add --model ART or leave the policy out",
        )
    trace, tuning = traces(history, file.trace, file.venue)
    forecasts = None if artefact is None else series(artefact, history, tuning.start_s, trace.end_s, file.trace.scale)
    scenarios = {delay: scenario(file, trace, tuning, forecasts, delay) for delay in file.all_delays_s}
    outcomes = dict(zip(scenarios, outcomes_of(list(scenarios.values()), file.policies, progress), strict=True))
    return Replay(file, scenarios, outcomes, None if artefact is None else artefact.contract)


def outcomes_of(scenarios: list[Scenario], policies: tuple[str, ...], progress: Progress) -> list[tuple[Outcome, ...]]:
    """Outcomes of scenarios that know nothing of each other, on as many processes as there are cores."""
    workers = min(len(scenarios), os.cpu_count() or 1)
    if workers == 1:
        return [run(one, policies, progress) for one in scenarios]
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        running = [pool.submit(run, one, policies) for one in scenarios]
        for done, _ in enumerate(as_completed(running), start=1):
            progress(done / len(running), f"replay ({done} of {len(running)} delays)")
        return [future.result() for future in running]


def scenario(
    file: ScenarioFile, trace: Trace, tuning: Trace, forecasts: ForecastSeries | None, delay_s: float
) -> Scenario:
    """The scenario with one actuation delay."""
    venue = replace(file.venue, pool=replace(file.venue.pool, actuation_delay_s=delay_s))
    conditions = file.conditions
    return Scenario(
        venue, trace, tuning, forecasts, conditions.observe_s, conditions.lag_s, conditions.noise, conditions.seed
    )


def traces(history: History, stretch: Stretch, venue: Venue) -> tuple[Trace, Trace]:
    """(the trace to price, the one to tune on) from recorded orders; raises DataError where they are not recorded."""
    rows = orders_of(history)
    end = rows["ts"].max() if stretch.until is None else instant(stretch.until)
    assert isinstance(end, dt.datetime)  # noqa: S101 - a canonical table has times, and at least one row
    end_s = float(end.timestamp() // stretch.slot_s * stretch.slot_s)
    slots, before = (round(days * 86400 / stretch.slot_s) for days in (stretch.days, stretch.tuning_days))
    middle_s, start_s = end_s - slots * stretch.slot_s, end_s - (slots + before) * stretch.slot_s
    orders = by_slot(rows, start_s, end_s, stretch, history.where)
    work = orders[:, None] * tier_shares(rows, venue, start_s, end_s, stretch.slot_s) * stretch.scale
    return Trace(stretch.slot_s, middle_s, work[before:]), Trace(stretch.slot_s, start_s, work[:before])


def orders_of(history: History) -> pl.DataFrame:
    """The recorded orders, counted or single; raises DataError where there are none."""
    name = next((table for table in TABLES if table in history.tables), None)
    if name is None:
        raise DataError(
            history.where,
            expected=f"a table {' or '.join(TABLES)}",
            found=", ".join(sorted(history.tables)),
            remedy="add one",
        )
    return history.scan(name).collect()


def by_slot(rows: pl.DataFrame, start_s: float, end_s: float, stretch: Stretch, where: str) -> NDArray[np.float64]:
    """Orders (slots,) of all tiers. Seconds in which the collector was down are filled from the known ones around them."""
    seconds = known_seconds(per_second(rows), dt.datetime.fromtimestamp(end_s, dt.UTC))
    at = seconds["ts"].dt.epoch("s").to_numpy()
    orders = seconds["orders"].cast(pl.Float64).to_numpy()
    known = np.isfinite(orders)
    if not known.any() or at[known][0] > start_s or at[known][-1] < end_s - stretch.slot_s - SILENCE_S:
        found = (
            f"orders from {iso(at[known][0])} to {iso(at[known][-1])}" if known.any() else "no second with known orders"
        )
        raise DataError(
            where,
            expected=f"orders from {iso(start_s)} to {iso(end_s)}, all that is to be replayed",
            found=found,
            remedy="name a period within these times, or bring in more orders",
        )
    grid = np.arange(start_s, end_s)
    filled = np.interp(grid, at[known], orders[known])
    return np.add.reduceat(filled, np.arange(0, len(grid), round(stretch.slot_s)))


def tier_shares(rows: pl.DataFrame, venue: Venue, start_s: float, end_s: float, slot_s: float) -> NDArray[np.float64]:
    """Shares (slots, tiers) of a slot's orders: those recorded, or the venue's demand shares where no tier is recorded."""
    usual = np.array([tier.demand_share for tier in venue.tiers])
    slots = round((end_s - start_s) / slot_s)
    if "tier" not in rows.columns or "count" not in rows.columns or rows["tier"].is_null().all():
        return np.broadcast_to(usual, (slots, len(usual)))
    names = [tier.name for tier in venue.tiers]
    slot = ((pl.col("ts").dt.epoch("ms") / 1000 - start_s) // slot_s).cast(pl.Int64).alias("slot")
    counts = rows.select(slot, "tier", "count").filter(
        pl.col("slot").is_between(0, slots - 1) & pl.col("tier").is_in(names)
    )
    table = np.zeros((slots, len(names)))
    found = counts.group_by("slot", "tier").agg(pl.col("count").sum())
    table[found["slot"].to_numpy(), [names.index(name) for name in found["tier"]]] = found["count"].to_numpy()
    total = table.sum(axis=1, keepdims=True)
    return np.where(total > 0, table / np.maximum(total, 1), usual)


def series(artefact: Artefact, history: History, start_s: float, end_s: float, scale: float) -> ForecastSeries:
    """The forecasts that the artefact would have issued over a replay. Raises DataError if it was fitted on the played period."""
    contract = artefact.contract
    require_unseen(contract, end_s, start_s, str(artefact.folder))
    reach_s = contract.horizons[-1] * contract.panel.tick_s
    since, until = (dt.datetime.fromtimestamp(at, dt.UTC) for at in (start_s - reach_s, end_s))
    forecasts = issue(artefact, history, since, until)
    quantiles = np.where(forecasts.answered[:, None, :, None], forecasts.quantiles, np.nan).astype(np.float64)
    return ForecastSeries(
        issued_at_s=forecasts.ticks.astype(np.float64),
        quantiles=scaled(quantiles, contract, scale).transpose(0, 2, 1, 3),
        spike=spikes(forecasts).transpose(0, 2, 1),
        tick_s=contract.panel.tick_s,
        targets=tuple(target.name for target in contract.targets),
        horizons=contract.horizons,
        levels=contract.levels,
        valid_s=reach_s,
        origin=contract.name,
        contract_digest=contract.digest,
    )


def spikes(forecasts: Forecasts) -> NDArray[np.float64]:
    """Probabilities within 0..1 (float32 sigmoids may pass it by a rounding)."""
    return np.clip(forecasts.spike, 0, 1).astype(np.float64)


def scaled(quantiles: NDArray[np.float64], contract: Contract, scale: float) -> NDArray[np.float64]:
    """Quantiles of ln demand for a venue `scale` times as large as the recorded one."""
    is_demand = np.array([target.name == "demand" for target in contract.targets])
    return quantiles + np.where(is_demand, np.log(scale), 0.0)[:, None]


def require_unseen(contract: Contract, end_s: float, start_s: float, where: str) -> None:
    """Raise DataError when the period (epoch seconds) overlaps what the model was fitted or calibrated on."""
    windows = [contract.training] + ([contract.calibration.window] if contract.calibration.window else [])
    for window in windows:
        since, until = (instant(text).timestamp() for text in (window.since, window.until))
        if since < end_s and until > start_s:
            raise DataError(
                where,
                expected=f"a model that has not seen {iso(start_s)} .. {iso(end_s)}, the replay and its tuning",
                found=f"one fitted on {window.since} .. {window.until}",
                remedy="train with --data.split.until at or before the first of these times, or replay another period",
            )


def iso(at_s: float) -> str:
    """A time for reading."""
    return dt.datetime.fromtimestamp(at_s, dt.UTC).strftime("%Y-%m-%d %H:%M")


def results(played: Replay) -> dict[str, Any]:
    """The content of `results.json`: figures only, no series."""
    trace = next(iter(played.scenarios.values())).trace
    return {
        "format": 1,
        "scenario": played.file.name,
        "since": iso(trace.start_s),
        "until": iso(trace.end_s),
        "orders": float(trace.work.sum()),
        "model": None
        if played.contract is None
        else {"name": played.contract.name, "contract_digest": played.contract.digest},
        "conditions": asdict(played.file.conditions),
        "delays": [
            {"delay_s": delay, "policies": [figures(outcome) for outcome in outcomes]}
            for delay, outcomes in played.outcomes.items()
        ],
        "forecast_led_against_reactive": [asdict(gain) for gain in gains(played)],
    }


def figures(outcome: Outcome) -> dict[str, Any]:
    """One policy's figures."""
    return {
        "policy": outcome.policy,
        "settings": outcome.settings,
        "cost_usd": outcome.cost_usd,
        "by_cause_usd": dict(outcome.by_cause),
        "by_tier_usd": dict(outcome.by_tier),
        "regret": outcome.regret,
        "on_time": dict(outcome.service.on_time),
        "top_tier_wait_p50_s": outcome.service.wait_p50_s,
        "top_tier_wait_p99_s": outcome.service.wait_p99_s,
        "fallback_share": outcome.fallback_share,
    }


@dataclass(frozen=True)
class Gain:
    """Change of cost of forecast-led against reactive at one delay, with a 90 % interval (hours resampled in pairs)."""

    delay_s: float
    change: float
    low: float
    high: float


def gains(played: Replay) -> list[Gain]:
    """The gain at each delay at which both policies were played."""
    found = []
    for delay, outcomes in played.outcomes.items():
        costs = {outcome.policy: outcome.series.cost_usd for outcome in outcomes}
        if {"forecast-led", "reactive"} <= set(costs):
            slot_s = played.scenarios[delay].trace.slot_s
            found.append(gain(delay, costs["forecast-led"], costs["reactive"], round(3600 / slot_s)))
    return found


def gain(
    delay_s: float, led: NDArray[np.float64], reactive: NDArray[np.float64], block: int, draws: int = 2000
) -> Gain:
    """Paired bootstrap over blocks of slots; seed 0."""
    starts = np.arange(0, len(led), block)
    sums = np.stack([np.add.reduceat(led, starts), np.add.reduceat(reactive, starts)])
    weights = np.random.default_rng(0).multinomial(len(starts), np.full(len(starts), 1 / len(starts)), draws)
    resampled = weights @ sums.T
    low, high = np.quantile(resampled[:, 0] / resampled[:, 1] - 1, (0.05, 0.95))
    return Gain(delay_s, float(sums[0].sum() / sums[1].sum() - 1), float(low), float(high))
