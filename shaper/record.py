"""Whether what forecasts said of a time comes true: their record, tested by betting.

Decided here: which claims count. At every review the forecast's 5-95 % band for the planning lead is noted; it is judged once
demand of that time has been measured. Only claims made after the last judgement are, so that a surprise counts once and not for
every forecast that was already under way. A gambler who bets on misses at fair odds for a band that fails one time in ten
multiplies his stake by 5.5 with each miss and by 0.5 with each hit; had the forecasts been calibrated, he would have
1/α times his stake at any time with a probability of α at most (Ville 1939; Shafer 2021; floor at the stake: e-detector, Shin,
Ramdas, Rinaldo 2024, which bounds how often instead). So forecasts with a rich gambler are refuted, whatever they say.
"""

from dataclasses import dataclass, replace

from shaper.forecast import Forecast
from shaper.observed import Observed
from shaper.venue import Venue

BAND = (0.05, 0.95)
MISSED, HELD = 5.5, 0.5  # what a stake becomes: 0.1·5.5 + 0.9·0.5 = 1
REFUTED, CLEARED, RICHEST = 100.0, 10.0, 3000.0  # stakes: from which refuted, below which believed again, and the most
TOLERANCE = 1.25  # a measurement may be so many times outside the band, as it is an average of other seconds


@dataclass(frozen=True, slots=True)
class Claim:
    """What a forecast said at `made_at_s` of demand (orders/s) at `for_s`: the band that nine of ten fall into."""

    made_at_s: float
    for_s: float
    low_per_s: float
    high_per_s: float


@dataclass(frozen=True, slots=True)
class Record:
    """Claims that wait for their time, the gambler's stake, how many claims came true and how many did not, and what follows.

    `surprised` says that demand was last measured above what had been claimed of its time. `leads` says whether forecasts with
    this record may lead: none may before a claim has come true, nor once refuted.
    """

    claims: tuple[Claim, ...] = ()
    stake: float = 1.0
    held: int = 0
    missed: int = 0
    judged_at_s: float = float("-inf")
    refuted: bool = False
    surprised: bool = False

    @property
    def leads(self) -> bool:
        """Whether forecasts may lead."""
        return self.refusal is None

    @property
    def blind(self) -> bool:
        """Whether nobody would announce a surge: no forecast claims anything, or what forecasts claim does not come true."""
        return not self.claims or self.refuted or (self.missed > 0 and self.held == 0)

    @property
    def refusal(self) -> str | None:
        """Why forecasts may not lead, in words; None if they may."""
        if self.refuted:
            return f"forecasts refuted: {self.missed} of {self.held + self.missed} claims did not come true"
        return None if self.held else "no claim of the forecasts has come true yet"


def recorded(venue: Venue, forecast: Forecast | None, observed: Observed, before: Record) -> Record:
    """The record after a review: what has come due is judged, what is said now is noted."""
    measured_s = observed.at_s - observed.demand_age_s
    due = [c for c in before.claims if c.for_s <= measured_s + venue.review_s / 2]
    waiting = tuple(claim for claim in before.claims if claim.for_s > measured_s + venue.review_s / 2)
    claims = (*waiting, *claimed(venue, forecast, observed))
    last = due[-1] if due and due[-1].for_s >= measured_s - venue.review_s else None
    if last is None:
        return replace(before, claims=claims, surprised=False)
    is_missed = missed(venue, last, observed.demand_per_s)
    after = replace(before, claims=claims, surprised=is_missed and observed.demand_per_s > last.high_per_s)
    return after if last.made_at_s < before.judged_at_s else judged(after, is_missed, observed.at_s)


def claimed(venue: Venue, forecast: Forecast | None, observed: Observed) -> tuple[Claim, ...]:
    """What a forecast says of the planning lead, if it says anything."""
    if forecast is None or not forecast.issued_at_s <= observed.at_s <= forecast.valid_until_s:
        return ()
    lead_s = observed.at_s + venue.lead_s - forecast.issued_at_s
    known = all(name in forecast.targets for name, _ in venue.demand.coefficients)
    band = venue.demand.curve(forecast, lead_s, BAND) if known else None
    return () if band is None else (Claim(observed.at_s, observed.at_s + venue.lead_s, *band),)


def missed(venue: Venue, claim: Claim, demand_per_s: float) -> bool:
    """Whether demand was outside what was claimed, by the tolerance and by more than a unit serves."""
    gap = max(demand_per_s - claim.high_per_s, claim.low_per_s - demand_per_s)
    outside = demand_per_s > TOLERANCE * claim.high_per_s or demand_per_s < claim.low_per_s / TOLERANCE
    return outside and gap > venue.pool.unit_rate_per_s


def judged(record: Record, is_missed: bool, at_s: float) -> Record:
    """The record after one more judgement."""
    stake = min(max(record.stake * (MISSED if is_missed else HELD), 1.0), RICHEST)
    return replace(
        record,
        stake=stake,
        held=record.held + (not is_missed),
        missed=record.missed + is_missed,
        judged_at_s=at_s,
        refuted=stake >= (CLEARED if record.refuted else REFUTED),
    )
