"""The fee lever: a bid per tier for the chain that the venue settles on."""

from dataclasses import dataclass, replace

from shaper.fees import ChainState, FeeRules, bid_for
from shaper.forecast import Forecast
from shaper.observed import Observed
from shaper.venue import Tier, Venue

MOST_BLOCKS = 25


@dataclass(frozen=True, slots=True)
class FeeSetting:
    """What an order of a tier bids per gas: at most, and as a tip (wei), and its chance to be included in `blocks` blocks."""

    tier: str
    chain: str
    max_fee_wei: int
    tip_wei: int
    blocks: int
    inclusion: float
    reason: str


def bids(venue: Venue, forecast: Forecast | None, observed: Observed) -> tuple[FeeSetting, ...]:
    """Bids of the tiers by priority; none without the venue's fee rules and the chain's state.

    Utilisation is that of the forecast's target `utilisation` where there is one, else as recently observed.
    """
    if venue.fees is None or observed.chain is None:
        return ()
    state, of = observed.chain, "seen"
    if forecast is not None and "utilisation" in forecast.targets:
        curve = forecast.curve("utilisation", observed.at_s - forecast.issued_at_s + venue.review_s)
        if curve is not None and forecast.levels == state.levels:
            state, of = replace(state, utilisation=curve), "forecast"
    return tuple(_bid(venue.fees, state, of, tier) for tier in venue.by_priority)


def _bid(rules: FeeRules, state: ChainState, of: str, tier: Tier) -> FeeSetting:
    blocks = min(max(int(tier.deadline_s / rules.block_s), 1), MOST_BLOCKS)
    target = rules.target(tier.name)
    bid = bid_for(rules, state, target, blocks)
    missed = (
        "" if bid.inclusion >= target else f"; {target:.1%} is out of reach below {rules.max_fee_wei / 1e9:.4g} gwei"
    )
    reason = (
        f"included in {blocks} blocks with {bid.inclusion:.1%} at a base fee of {state.next_base_fee_wei / 1e9:.4g} gwei next"
        f" and the utilisation {of}{missed}"
    )
    return FeeSetting(tier.name, rules.chain, bid.max_fee_wei, bid.tip_wei, blocks, bid.inclusion, reason)
