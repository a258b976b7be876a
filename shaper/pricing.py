"""What a second of delay costs an order, in money, from its exposure and the volatility that is forecast.

σ is the standard deviation of returns per √second; an order delayed by t seconds stands unhedged against a return r ~ N(0, σ²·t).
A hedge loses ½·Γ·S²·σ² a second (Black, Scholes 1973: the gain of gamma per unit of realised variance); a liquidation the growth of
expected bad debt N·E(−r − m)⁺ past its margin m; a quote what is picked off beyond its half-spread h, N·E(|r| − h)⁺ (Copeland,
Galai 1983); a taker N·E(r⁺), the mean slippage. E(r − k)⁺ = s·φ(k/s) − k·Φ(−k/s) with s = σ√t (Bachelier 1900).
"""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from statistics import NormalDist

from shaper.forecast import Forecast
from shaper.venue import Exposure, Tier, Venue, urgency_usd_per_s

NORMAL = NormalDist()


def excess(threshold: float, deviation: float) -> float:
    """E(r − k)⁺ of a centred normal return: s·φ(k/s) − k·Φ(−k/s)."""
    if deviation <= 0:
        return max(-threshold, 0.0)
    z = threshold / deviation
    return deviation * NORMAL.pdf(z) - threshold * NORMAL.cdf(-z)


def delay_usd_per_s(exposure: Exposure, sigma: float, delay_s: float) -> float:
    """Mean USD a second that an order of an exposure loses over a delay, before floor and ceiling."""
    spread, notional = sigma * math.sqrt(delay_s), exposure.notional_usd
    laws: dict[str, Callable[[], float]] = {
        "hedge": lambda: 0.5 * exposure.gamma_usd * sigma**2,
        "liquidation": lambda: notional * excess(exposure.margin, spread) / delay_s,
        "maker": lambda: notional * 2 * excess(exposure.half_spread, spread) / delay_s,
        "taker": lambda: notional * excess(0.0, spread) / delay_s,
    }
    return laws[exposure.law]()


def sigma_ahead(forecast: Forecast, lead_s: float) -> float | None:
    """Root mean square σ per √second over the quantiles of the target `volatility` at a lead, None where it is not forecast."""
    curve = forecast.curve("volatility", lead_s)
    if curve is None:
        return None
    edges = [0.0, *((a + b) / 2 for a, b in pairwise(forecast.levels)), 1.0]
    weights = [b - a for a, b in pairwise(edges)]
    variance = sum(weight * math.exp(2 * value) for weight, value in zip(weights, curve, strict=True))
    return math.sqrt(variance / forecast.tick_s)


def priced(venue: Venue, forecast: Forecast | None, at_s: float) -> Venue:
    """The venue with the delay costs of tiers that declare an exposure, by the volatility forecast for the planning lead.

    Each is kept between the exposure's floor and ceiling; without such a forecast, or once it is stale, tiers keep their costs.
    """
    if forecast is None or at_s > forecast.valid_until_s or not any(tier.exposure for tier in venue.tiers):
        return venue
    sigma = sigma_ahead(forecast, at_s - forecast.issued_at_s + venue.lead_s)
    if sigma is None:
        return venue
    return replace(venue, tiers=tuple(_priced(tier, sigma) for tier in venue.tiers))


def _priced(tier: Tier, sigma: float) -> Tier:
    exposure = tier.exposure
    if exposure is None:
        return tier
    cost = delay_usd_per_s(exposure, sigma, min(tier.deadline_s, exposure.typical_delay_s))
    return replace(tier, delay_cost_usd_per_s=min(max(cost, exposure.floor_usd_per_s), exposure.ceiling_usd_per_s))


def order_of_service(tiers: tuple[Tier, ...], works: dict[str, float]) -> tuple[Tier, ...]:
    """Tiers by generalised cμ: urgency over the work of an order (van Mieghem 1995); ties by name."""
    return tuple(sorted(tiers, key=lambda tier: (-urgency_usd_per_s(tier) / works.get(tier.name, 1.0), tier.name)))
