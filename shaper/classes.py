"""Which tier an order belongs to, by what the venue itself knows of it; what a client says may only lower it.

Decided here: urgency is earned by facts that cost money to fake (a position below its margin, a delta that shrinks, a quote that
rests), never by a label.
"""

from dataclasses import dataclass

RANKS = ("critical", "hedge", "maker", "taker", "bulk")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the venue has checked: all by its own books, none as told by the client. `label` is what the client asks for."""

    liquidates: bool = False  # closes a position that is below its margin, or adds margin to one that is near
    delta_before: float = 0.0  # the account's exposure without the order (signed, any one unit)
    delta_after: float = 0.0  # and with it
    rests: bool = False  # post-only, or a cancel: takes no liquidity
    label: str | None = None


def tier_of(facts: Facts, ranks: tuple[str, ...] = RANKS) -> str:
    """The tier of an order among `ranks` (most urgent first; critical, hedge, maker, taker and what follows)."""
    earned = 0 if facts.liquidates else 1 if _hedges(facts) else 2 if facts.rests else 3
    earned = min(earned, len(ranks) - 1)
    asked = ranks.index(facts.label) if facts.label in ranks else earned
    return ranks[max(earned, asked)]


def _hedges(facts: Facts) -> bool:
    """Whether an order halves the exposure at least, without turning it round: a sliver is no hedge."""
    before, after = facts.delta_before, facts.delta_after
    return before != 0 and before * after >= 0 and abs(after) <= abs(before) / 2
