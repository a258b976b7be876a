"""Forecasts for the replay made from the flow itself: perfect, adversarial, and one that sees surges as well as it is told to.

Decided here: what each of them knows. The honest one sees demand up to its issue, and of the surges to come only warnings
that its lead, recall and precision allow.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from shaper.replay.surges import STEP_S, Flow, Market
from shaper.replay.trace import Floats, ForecastSeries

TICK_S = 5.0
HORIZONS = tuple(range(1, 31))
LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
SURGING = 2.5  # times the calm: above it a surge is on
HALVINGS = 40
GOING_SD, COMING_SD = 0.05, 0.2  # of ln demand in a surge that is on, and in one that is expected
SETTLED = 3  # ticks after which a surge has its level
SURPRISE = 4.0  # standard deviations from which on a count is a new level and not noise


@dataclass(frozen=True, slots=True)
class Sight:
    """How well surges are foreseen.

    A heralded surge is warned of with probability `recall`, `lead_s` before it begins give or take the share `spread` of it;
    of all warnings the share `precision` come true, and so many more are drawn at random. `false_alarms` are added to every
    stretch. `outage_s` is a stretch (from, to) in which no forecast is issued. Between surges the model takes one to come
    once in `every_s`; of a surge it knows the usual factor and length, and not this one's.
    """

    lead_s: float = 90.0
    recall: float = 0.9
    precision: float = 0.5
    spread: float = 0.2
    false_alarms: float = 0.0
    outage_s: tuple[float, float] | None = None
    every_s: float = 14_400.0
    factor: float = 10.0
    length_s: float = 720.0
    valid_s: float = 30.0


def learned(flow: Flow, market: Market, sight: Sight, seed: int) -> ForecastSeries:
    """Forecasts of a model that sees as well as `sight` says: a mixture of calm and surge at each horizon."""
    issued = _issues(market)
    now = _measured(flow, issued)
    on = now > SURGING * market.calm_per_s
    ahead = issued[:, None] + _middles()
    chance = _chance_on(ahead, issued, on, warnings(flow, market, sight, seed), sight)
    level, doubt = _level(now, on, market)
    fade = np.exp(-_middles() / market.wobble_s)
    calm = np.log(market.calm_per_s) + np.where(on, 0.0, level)[:, None] * fade
    calm_sd = np.sqrt(_counted(np.exp(calm)) + _drift(market, np.where(on, market.wobble_sd**2, doubt)))
    usual, risen = np.log(market.calm_per_s * sight.factor), np.log(market.calm_per_s) + level
    settled = on & np.roll(on, SETTLED) & (np.arange(len(on)) >= SETTLED)  # before, a surge may still be rising
    high = np.broadcast_to(np.where(settled, risen, np.where(on, np.maximum(risen, usual), usual))[:, None], calm.shape)
    going_sd = np.sqrt(_counted(np.exp(high)) + _drift(market, doubt) + GOING_SD**2)
    high_sd = np.where(settled[:, None], going_sd, COMING_SD)
    values = _mixture(calm, calm_sd, high, high_sd, chance)
    if sight.outage_s is not None:
        values[(issued >= sight.outage_s[0]) & (issued < sight.outage_s[1])] = np.nan
    return _series(issued, values, sight.valid_s, "stated", spike=chance)


def perfect(flow: Flow, market: Market) -> ForecastSeries:
    """What one would say who knows every order to come: all levels are the mean of the tick."""
    issued = _issues(market)
    truth = _truth(flow, issued)
    return _series(issued, np.repeat(np.log(truth)[:, :, None], len(LEVELS), axis=2), 60.0, "perfect")


def adversarial(flow: Flow, market: Market, lead_s: float) -> ForecastSeries:
    """The worst that a believable forecast can say: the truth of this moment, and from half the lead on its opposite.

    Where a surge is to come or to go on it says calm, where none is it says a surge; the moment's truth keeps a measurement from
    contradicting it.
    """
    issued = _issues(market)
    truth, calm = _truth(flow, issued), market.calm_per_s
    opposite = np.where(truth > SURGING * calm, calm, 10 * calm)
    said = np.where(_middles() < lead_s / 2, truth, opposite)
    spread = np.linspace(-0.05, 0.05, len(LEVELS))
    return _series(issued, np.log(said)[:, :, None] + spread, 60.0, "adversarial")


def warnings(flow: Flow, market: Market, sight: Sight, seed: int) -> Floats:
    """Times of the warnings, true and false, ascending."""
    rng = np.random.Generator(np.random.PCG64([seed, 2]))
    heralded = [episode for episode in flow.episodes if episode.surge.heralded]
    leads = sight.lead_s * (1 + sight.spread * rng.uniform(-1, 1, len(heralded)))
    told = rng.random(len(heralded)) < sight.recall
    true = [e.start_s - lead for e, lead, is_told in zip(heralded, leads, told, strict=True) if is_told]
    mean = sight.false_alarms + len(heralded) * sight.recall * (1 / sight.precision - 1)
    false = rng.uniform(0, market.length_s, int(rng.poisson(mean)))
    return np.sort(np.concatenate([true, false]))


def _level(now: Floats, on: NDArray[np.bool_], market: Market) -> tuple[Floats, Floats]:
    """Ln of the level over the calm at each issue and its variance (issues,), by a Kalman filter of the counts so far.

    The level wobbles as the market says, counts are Poisson. A surge that begins or ends is a new level.
    """
    keep, push = np.exp(-2 * TICK_S / market.wobble_s), market.wobble_sd**2
    seen = np.log(np.maximum(now / market.calm_per_s, 1e-3))
    counted = 1 / np.maximum(now * TICK_S, 1.0)
    level, doubt = np.empty(len(now)), np.empty(len(now))
    x, variance, was_on = 0.0, push, False
    for i, is_on in enumerate(on):
        x, variance = x if is_on else x * np.sqrt(keep), keep * variance + (1 - keep) * push
        surprise = abs(seen[i] - x) > SURPRISE * np.sqrt(variance + counted[i])
        gain = 1.0 if is_on != was_on or surprise else variance / (variance + counted[i])
        x, variance, was_on = x + gain * (seen[i] - x), gain * counted[i], bool(is_on)
        level[i], doubt[i] = x, variance
    return level, doubt


def _drift(market: Market, doubt: Floats) -> Floats:
    """Variance of ln intensity at each horizon, (issues, horizons), of a level whose variance at the issue was `doubt`."""
    fade = np.exp(-2 * _middles() / market.wobble_s)
    return np.asarray(doubt[:, None] * fade + market.wobble_sd**2 * (1 - fade))


def _counted(rate_per_s: Floats) -> Floats:
    """Variance of ln of what is counted in a tick at a rate."""
    return np.asarray(1 / (rate_per_s * TICK_S))


def _chance_on(ahead: Floats, issued: Floats, on: NDArray[np.bool_], warned_s: Floats, sight: Sight) -> Floats:
    """Probability that a surge is on at each horizon, (issues, horizons)."""
    span = _middles()[None, :]
    going_on = np.exp(-span / sight.length_s)
    coming = 1 - np.exp(-np.broadcast_to(span, ahead.shape) / sight.every_s)
    for at in warned_s:
        early, late = at + sight.lead_s * (1 - sight.spread), at + sight.lead_s * (1 + sight.spread)
        alive = (issued >= at) & (issued <= late + TICK_S)
        due, passed = (np.clip((at_s - early) / max(late - early, 1e-9), 0, 1) for at_s in (ahead, issued[:, None]))
        still = sight.precision * (due - passed) / (1 - sight.precision * passed)  # given that it has not come yet
        coming = np.where(alive[:, None], np.maximum(coming, still), coming)
    return np.where(on[:, None], going_on, coming)


def _mixture(calm: Floats, calm_sd: Floats, high: Floats, high_sd: Floats, chance: Floats) -> Floats:
    """Quantiles (issues, horizons, levels) of two normals in ln demand, by bisection."""
    level = np.array(LEVELS)
    low_end = np.repeat((np.minimum(calm, high) - 1.5)[..., None], len(level), axis=2)
    high_end = np.repeat((np.maximum(calm, high) + 1.5)[..., None], len(level), axis=2)
    for _ in range(HALVINGS):
        middle = (low_end + high_end) / 2
        below = (1 - chance[..., None]) * ndtr((middle - calm[..., None]) / calm_sd[..., None])
        below = below + chance[..., None] * ndtr((middle - high[..., None]) / high_sd[..., None])
        low_end, high_end = np.where(below < level, middle, low_end), np.where(below < level, high_end, middle)
    return np.maximum.accumulate(high_end, axis=2)


def _issues(market: Market) -> Floats:
    return np.arange(0.0, market.length_s, TICK_S)


def _middles() -> Floats:
    return (np.array(HORIZONS) - 0.5) * TICK_S


def _measured(flow: Flow, issued: Floats) -> Floats:
    """Orders per second in the tick before each issue; the first ones see the first second."""
    total = _total(flow)
    end = (issued / STEP_S).astype(np.int64)
    start = np.maximum(end - round(TICK_S / STEP_S), 0)
    return np.where(end > start, (total[end] - total[start]) / np.maximum(end - start, 1), total[1]) / STEP_S


def _truth(flow: Flow, issued: Floats) -> Floats:
    """Mean orders per second in the tick of each horizon, (issues, horizons); after the end as in the last tick."""
    total, step = _total(flow), round(TICK_S / STEP_S)
    first = (issued[:, None] / STEP_S + (np.array(HORIZONS) - 1) * step).astype(np.int64)
    first = np.minimum(first, len(total) - 1 - step)
    return np.asarray(np.maximum((total[first + step] - total[first]) / TICK_S, 1e-3))


def _total(flow: Flow) -> Floats:
    counts = flow.orders.by_slot(STEP_S, flow.intensity.shape[1]).sum(axis=1)
    return np.concatenate([[0.0], np.cumsum(counts)])


def _series(issued: Floats, values: Floats, valid_s: float, origin: str, spike: Floats | None = None) -> ForecastSeries:
    chance = np.full(values.shape[:2], 0.0) if spike is None else np.maximum.accumulate(spike, axis=1)
    return ForecastSeries(
        issued, values[:, None], chance[:, None], TICK_S, ("demand",), HORIZONS, LEVELS, valid_s, origin
    )
