"""From a forecast and what was measured since to the work that capacity must meet, lead by lead.

Decided here: when a forecast is believed, how far a measurement made after its issue corrects it, and how queues that will
stand when ordered capacity arrives are counted.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from statistics import NormalDist

from shaper.fluid import pass_span
from shaper.forecast import Curve, Forecast, ForecastError, at_level
from shaper.liquidation import orders_per_s
from shaper.observed import Observed
from shaper.venue import Tier, Venue

# Levels of the work distribution: dense in the upper tail, where the newsvendor of cheap capacity looks.
LEVELS: Curve = (0.02, 0.05, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.999)
EDGE = LEVELS.index(0.95)
ABSURD = 4.0  # a measurement this many times outside the 5-95 % band says that the forecast is of another world
CONTRADICTED = (
    1.25  # above so many times the band's upper edge, the forecast may add to the reactive units but not save any
)
STEPS = 5  # spans looked at between now and the arrival of what is ordered now
TAIL = 2.0  # times the 95 % quantile: no level beyond is read as more, however far apart the outermost quantiles lie


@dataclass(frozen=True, slots=True)
class Prospect:
    """What is to come in a span whose middle is `lead_s` from now.

    `demand` is orders per second at `LEVELS`, `queues[level][tier by priority]` the orders waiting at the span's start,
    `liquidations_per_s` the orders expected of the positions that were observed.
    """

    lead_s: float
    demand: Curve
    queues: tuple[Curve, ...]
    liquidations_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Work:
    """What must be served in a span whose middle is `lead_s` from now.

    `rates[k][i]` is the rate (orders/s) of the tiers up to the k-th by priority together, queues to be cleared within a
    review included, at level `LEVELS[i]`; `demand[i]` is the demand alone, without the orders of expected liquidations.
    """

    lead_s: float
    demand: Curve
    rates: tuple[Curve, ...]
    liquidations_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class News:
    """What a measurement made after a forecast's issue adds to it.

    `z` is the normal score of the measurement among the forecast's quantiles for its time, `excess` its ratio to the nearer
    edge of the 5-95 % band (1 within the band).
    """

    z: float
    excess: float


def news(venue: Venue, forecast: Forecast, observed: Observed) -> News | None:
    """The news in what was measured; None if it was measured before the issue, as the forecast then knew it."""
    measured_after_s = observed.at_s - observed.demand_age_s - forecast.issued_at_s
    curve = venue.demand.curve(forecast, measured_after_s, LEVELS) if measured_after_s > 0 else None
    if curve is None:
        return None
    level = min(max(1 - chance_above(curve, observed.demand_per_s), 0.05), 0.95)
    return News(round(NormalDist().inv_cdf(level), 1), _outside(venue, forecast, observed, measured_after_s))


def demand_curve(venue: Venue, forecast: Forecast, age_s: float, lead_s: float, told: News | None) -> Curve | None:
    """Orders per second at `LEVELS`, `lead_s` from now and corrected by the news; None beyond the forecast's reach.

    `age_s` is the time since the issue. Demand now and at the lead are taken to be joined by a Gaussian copula with
    correlation ρ = persistence·exp(−lead/reach), so that the level u of the measurement turns the level α into
    Φ(ρ·z(u) + √(1 − ρ²)·z(α)): within the band, a surge that was possible and has come is now expected to go on. What
    exceeds the band multiplies all quantiles, and fades likewise.
    """
    if told is None:
        return _tailed(venue.demand.curve(forecast, age_s + lead_s, LEVELS))
    fade = math.exp(-lead_s / forecast.reach_s)
    curve = _tailed(venue.demand.curve(forecast, age_s + lead_s, _given(told.z, venue.persistence * fade)))
    return curve if curve is None or told.excess == 1 else tuple(told.excess**fade * value for value in curve)


def _tailed(curve: Curve | None) -> Curve | None:
    """The curve over `LEVELS` with its upper tail bounded: between the calm and a surge an exponential tail has no end."""
    return None if curve is None else tuple(min(value, TAIL * curve[EDGE]) for value in curve)


@lru_cache(maxsize=1024)
def _given(z: float, correlation: float) -> Curve:
    """The levels that `LEVELS` become once the level with normal score `z` was seen."""
    normal, rest = NormalDist(), math.sqrt(1 - correlation**2)
    levels = (normal.cdf(correlation * z + rest * normal.inv_cdf(level)) for level in LEVELS)
    return tuple(min(max(level, 1e-4), 1 - 1e-4) for level in levels)


def distrust(venue: Venue, forecast: Forecast | None, observed: Observed) -> str | None:
    """Why a forecast cannot lead the plan, in words with numbers; None if it can."""
    if forecast is None:
        return "no forecast"
    if observed.at_s > forecast.valid_until_s:
        return f"forecast stale for {observed.at_s - forecast.valid_until_s:.0f} s"
    age_s = observed.at_s - forecast.issued_at_s
    if age_s < 0:
        return f"forecast issued {-age_s:.0f} s in the future"
    missing = [name for name, _ in venue.demand.coefficients if name not in forecast.targets]
    if missing:
        return f"forecast says nothing of {', '.join(missing)}"
    if age_s + venue.lead_s > forecast.reach_s:
        return f"lead of {age_s + venue.lead_s:.0f} s is beyond the forecast's {forecast.reach_s:.0f} s"
    return _absurdity(venue, forecast, observed)


def outside_band(venue: Venue, forecast: Forecast, observed: Observed) -> float:
    """Measured demand over the nearer edge of the forecast's 5-95 % band for its time; 1 if it was measured before the issue.

    A measurement says nothing against a forecast of later times: at the onset of a surge the right one would be refused.
    """
    measured_after_s = observed.at_s - observed.demand_age_s - forecast.issued_at_s
    return 1.0 if measured_after_s < 0 else _outside(venue, forecast, observed, measured_after_s)


def _absurdity(venue: Venue, forecast: Forecast, observed: Observed) -> str | None:
    ratio = outside_band(venue, forecast, observed)
    gap = observed.demand_per_s * abs(1 - 1 / ratio)
    if not 1 / ABSURD <= ratio <= ABSURD and gap > venue.pool.unit_rate_per_s:
        return f"forecast absurd: measured demand of {observed.demand_per_s:.0f}/s is {ratio:.2g} times the edge of its 90 % band"
    return None


def _outside(venue: Venue, forecast: Forecast, observed: Observed, lead_s: float) -> float:
    band = venue.demand.curve(forecast, lead_s, (0.05, 0.95))
    if band is None:
        return 1.0
    tiny = 1e-9
    low, high, seen = band[0] + tiny, band[1] + tiny, observed.demand_per_s + tiny
    return seen / high if seen > high else seen / low if seen < low else 1.0


def outlook(venue: Venue, forecast: Forecast, observed: Observed) -> tuple[Prospect, ...] | None:
    """Prospects of the spans up to the venue's planning lead, or None if the forecast does not reach that far.

    The last span is the one that units ordered now serve alone: from their arrival until those of the next review arrive.
    Each level is followed as one path: demand stays at that level in every span (surges last, so this is nearer the truth
    than independent draws), and what ready and pending capacity cannot serve queues up, up to each tier's deadline.
    """
    spans, tiers = _spans(venue), venue.by_priority
    leads = [end - span / 2 for span, end in zip(spans, accumulate(spans), strict=True)]
    age_s, told = observed.at_s - forecast.issued_at_s, news(venue, forecast, observed)
    curves = [demand_curve(venue, forecast, age_s, lead, told) for lead in leads]
    known = [curve for curve in curves if curve is not None]
    if len(known) < len(leads):
        return None
    queues = _queues(venue, tiers, observed, known)
    extra = [
        orders_per_s(observed.positions, forecast, age_s, lead - span / 2, lead + span / 2)
        for lead, span in zip(leads, spans, strict=True)
    ]
    return tuple(Prospect(*row) for row in zip(leads, known, queues, extra, strict=True))


def work(venue: Venue, prospect: Prospect) -> Work:
    """The work of a prospect: demand of the tiers, their queues, to be cleared within a review, and liquidations."""
    tiers, demand = venue.by_priority, prospect.demand
    columns = zip(*(accumulate(queue) for queue in prospect.queues), strict=True)
    rates = []
    for share, column in zip(accumulate(tier.demand_share for tier in tiers), columns, strict=True):
        if column[-1] > 0:
            rates.append(tuple(rate * share + n / venue.review_s for rate, n in zip(demand, column, strict=True)))
        else:  # queues do not fall with the level, so none stands at any
            rates.append(tuple(rate * share for rate in demand))
    if prospect.liquidations_per_s > 0:  # of the first tier, so that every sum of tiers holds them
        rates = [tuple(rate + prospect.liquidations_per_s for rate in curve) for curve in rates]
    return Work(prospect.lead_s, demand, tuple(rates), prospect.liquidations_per_s)


def later(venue: Venue, forecast: Forecast, observed: Observed) -> tuple[Prospect, ...]:
    """Prospects of the reviews after the planning lead, as far as the forecast reaches, with no queue left by then."""
    age_s, told = observed.at_s - forecast.issued_at_s, news(venue, forecast, observed)
    reviews = int((forecast.reach_s - age_s - venue.lead_s) // venue.review_s)
    leads = [venue.lead_s + (k + 0.5) * venue.review_s for k in range(reviews)]
    curves = [(lead, demand_curve(venue, forecast, age_s, lead, told)) for lead in leads]
    empty = ((0.0,) * len(venue.tiers),) * len(LEVELS)
    return tuple(Prospect(lead, curve, empty) for lead, curve in curves if curve is not None)


def _spans(venue: Venue) -> tuple[float, ...]:
    """Lengths in seconds of the spans that are looked at: a review, the rest of the delay in equal parts, and a review.

    Until the end of the first one nothing released now can be missed by more than a review, in the last one an order of now serves.
    """
    delay, review = venue.pool.planned_delay_s, venue.review_s
    steps = min(STEPS, math.ceil(delay / review - 1e-9))
    if steps < 2:
        return (*(delay for _ in range(steps)), review)
    return (review, *((delay - review) / (steps - 1) for _ in range(steps - 1)), review)


def _queues(venue: Venue, tiers: tuple[Tier, ...], observed: Observed, curves: list[Curve]) -> list[tuple[Curve, ...]]:
    """Orders waiting in each tier by priority at the start of each span and at each level: [span][level][tier]."""
    waiting = dict(observed.queued)
    paths = (tuple(waiting.get(tier.name, 0.0) for tier in tiers),) * len(LEVELS)
    history, since = [paths], 0.0
    for span, curve in zip(_spans(venue)[:-1], curves, strict=False):
        ready = observed.ready_after(venue.pool.planned_delay_s, since + span / 2)
        capacity = ready * venue.pool.unit_rate_per_s
        if curve[-1] > capacity or any(paths[-1]):
            paths = tuple(
                pass_span(tiers, queue, rate, capacity, span)[0] for queue, rate in zip(paths, curve, strict=True)
            )
        history.append(paths)
        since += span
    return history


def chance_above(curve: Curve, rate: float) -> float:
    """Probability that a quantity with quantiles `curve` at `LEVELS` exceeds `rate`; 0 above the last, 1 below the first.

    Raises ForecastError for a rate that is no number.
    """
    if math.isnan(rate):
        raise ForecastError("expected a rate in orders/s, found nan: correct the measurement, or the venue's unit rate")
    if rate < curve[0]:
        return 1.0
    if rate >= curve[-1]:
        return 0.0
    i = bisect_right(curve, rate)
    weight = (rate - curve[i - 1]) / (curve[i] - curve[i - 1])
    return 1 - (LEVELS[i - 1] + weight * (LEVELS[i] - LEVELS[i - 1]))


def median(curve: Curve) -> float:
    """Value at level 0.5 of a curve over `LEVELS`."""
    return at_level(LEVELS, curve, 0.5)
