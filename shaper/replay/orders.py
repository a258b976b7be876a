"""Orders one by one: when they come, what they need, how long they last, what they are worth and whose they are.

Decided here: how orders are counted in slots for the clairvoyant bound, and how counts are spread into single orders.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shaper.replay.trace import Floats, ReplayError, Trace
from shaper.venue import Venue

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Orders:
    """Orders (n,) in order of arrival, which is in seconds from the start of a stretch that lasts `length_s`.

    `tier` counts the venue's tiers; `work` is in units of the mean order; an order is worthless to its client
    `deadline_s` after arrival, and its client leaves after `patience_s` if it is not being served by then; never to serve
    it costs `reject_usd`; `account` says whose it is; `returns` whether its client tries again when refused.
    Raises ReplayError unless arrivals ascend within the stretch and work is positive.
    """

    length_s: float
    at_s: Floats
    tier: NDArray[np.int8]
    work: Floats
    deadline_s: Floats
    patience_s: Floats
    reject_usd: Floats
    account: NDArray[np.int32]
    returns: NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Check the columns' lengths, arrivals and work."""
        lengths = {len(column) for column in self.columns}
        if len(lengths) != 1:
            raise ReplayError(f"expected columns of one length, found lengths {sorted(lengths)}")
        at = self.at_s
        if len(at) and not (at[0] >= 0 and at[-1] <= self.length_s and (np.diff(at) >= 0).all()):
            raise ReplayError(f"expected ascending arrivals within 0..{self.length_s} s")
        if not (np.isfinite(self.work).all() and (self.work > 0).all()):
            raise ReplayError("expected finite work above 0 in every order")

    @property
    def columns(self) -> tuple[NDArray[np.generic], ...]:
        """All columns, in the order of the fields."""
        rest = (self.deadline_s, self.patience_s, self.reject_usd, self.account, self.returns)
        return (self.at_s, self.tier, self.work, *rest)

    def __len__(self) -> int:
        """Number of orders."""
        return len(self.at_s)

    def by_slot(self, slot_s: float, tiers: int, weights: Floats | None = None) -> Floats:
        """Orders, or the sum of their weights, by slot and tier: (slots, tiers)."""
        slots = max(int(np.ceil(self.length_s / slot_s - 1e-9)), 1)
        slot = np.minimum((self.at_s / slot_s).astype(np.int64), slots - 1)
        flat = np.bincount(slot * tiers + self.tier, weights=weights, minlength=slots * tiers)
        return flat.reshape(slots, tiers).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Clients:
    """How clients behave: `accounts` per tier with sizes as 1/rank^`skew`, of which a share `returning` tries again.

    `patience_s` is the mean of an exponential patience (None: until the deadline); `work_cv` the coefficient of variation
    of the work (gamma, mean 1; 0: all equal).
    """

    accounts: int = 40
    skew: float = 0.5
    returning: float = 0.7
    patience_s: float | None = None
    work_cv: float = 0.0


def orders_of(
    venue: Venue, clients: Clients, at_s: Floats, tier: NDArray[np.int8], length_s: float, seed: int
) -> Orders:
    """Orders of arrivals and tiers, the rest as the venue's tiers and the clients say; equal seeds give equal orders."""
    rng, count = np.random.Generator(np.random.PCG64(seed)), len(at_s)
    sizes = 1 / np.arange(1, clients.accounts + 1) ** clients.skew
    shape = 1 / clients.work_cv**2 if clients.work_cv > 0 else 0.0
    patience = np.full(count, np.inf) if clients.patience_s is None else rng.exponential(clients.patience_s, count)
    who = np.searchsorted(np.cumsum(sizes / sizes.sum())[:-1], rng.random(count))
    return Orders(
        length_s=length_s,
        at_s=at_s,
        tier=tier,
        work=np.maximum(rng.gamma(shape, 1 / shape, count), 1e-6) if shape else np.ones(count),
        deadline_s=np.array([t.deadline_s for t in venue.tiers])[tier],
        patience_s=patience,
        reject_usd=np.array([t.reject_cost_usd for t in venue.tiers])[tier],
        account=(who + tier.astype(np.int64) * clients.accounts).astype(np.int32),
        returns=rng.random(count) < clients.returning,
    )


def from_trace(venue: Venue, clients: Clients, trace: Trace, seed: int) -> Orders:
    """Single orders of a trace of counts: each slot's orders of a tier (rounded at random) come at uniform times in it."""
    rng = np.random.Generator(np.random.PCG64(seed))
    counts = np.floor(trace.work + rng.random(trace.work.shape)).astype(np.int64)
    slot, tier = (index.ravel() for index in np.indices(counts.shape))
    at = (np.repeat(slot, counts.ravel()) + rng.random(int(counts.sum()))) * trace.slot_s
    order = np.argsort(at, kind="stable")
    tiers = np.repeat(tier, counts.ravel()).astype(np.int8)
    return orders_of(venue, clients, at[order], tiers[order], trace.slots * trace.slot_s, seed + 1)
