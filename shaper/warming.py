"""Levers that are cheap to hold and slow to get: connections and nonce lanes, warmed before the orders that need them.

Decided here: each reads the demand forecast at its own lead and `DEMAND_LEVEL`, or goes by what is seen where none can be believed.
"""

from dataclasses import dataclass

from shaper.forecast import Forecast
from shaper.levers import Kind, Lever, Setting, move
from shaper.observed import Observed
from shaper.outlook import demand_curve, news
from shaper.venue import Venue

WARM: tuple[Kind, ...] = ("connections", "nonce-lanes")
DEMAND_LEVEL = 0.9
LEVEL_AT = 8  # its place in `outlook.LEVELS`


@dataclass(frozen=True, slots=True)
class WarmSetting:
    """Units of a warm lever to hold, and how far ahead the demand was read that they are for."""

    lever: str
    kind: Kind
    units: int
    lead_s: float
    reason: str


def warmed(venue: Venue, forecast: Forecast | None, observed: Observed) -> tuple[WarmSetting, ...]:
    """Settings of the venue's warm levers, in their order; without a forecast (None) by the demand of this moment."""
    return tuple(_warm(venue, forecast, observed, lever) for lever in venue.levers if lever.kind in WARM)


def _warm(venue: Venue, forecast: Forecast | None, observed: Observed, lever: Lever) -> WarmSetting:
    lead_s = lever.lead_s(venue.review_s)
    rate, how = observed.reactive_per_s * (1 + venue.reactive_headroom), "by what is seen"
    if forecast is not None:
        told = news(venue, forecast, observed)
        curve = demand_curve(venue, forecast, observed.at_s - forecast.issued_at_s, lead_s, told)
        if curve is not None:
            rate, how = curve[LEVEL_AT], f"{DEMAND_LEVEL:.0%} quantile due in {lead_s:.0f} s"
    now = {setting.lever: setting for setting in observed.settings}.get(lever.name, Setting(lever.name, lever.least))
    wanted = lever.units_for(rate)
    units = move(lever, now, wanted, observed.at_s).units
    limited = f"; {wanted} wanted, as far as the lever may move" if units != wanted else ""
    reason = (
        f"{rate:.0f}/s ({how}) held {lever.held_s:.3g} s each, at most {lever.blocking:.2%} find none free{limited}"
    )
    return WarmSetting(lever.name, lever.kind, units, lead_s, reason)
