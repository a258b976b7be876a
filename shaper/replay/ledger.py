"""The books of an event replay: money by cause and tier, and how well the gateway served.

Decided here: what costs. Waiting costs from arrival to completion, less the unavoidable (the order's work at the pool's rate
and the quickest node's latency); an order never served, or served after its deadline, costs its rejection; the time to a
refusal or expiry costs too. Units cost from their order on, nodes their fee per order.
"""

from dataclasses import dataclass

import numpy as np

from shaper.replay.events import TICK_S, Run, Stage
from shaper.replay.gateway import ALONE
from shaper.replay.kernel import SERVED, UNKNOWN
from shaper.replay.trace import Floats

CAUSES = ("delay", "rejection", "capacity", "fees")
SURGING = 2.5  # times the demand before the stretch: a surge has begun
BUSY = 0.5  # orders waiting per unit: above it the gateway is overloaded


@dataclass(frozen=True, slots=True, eq=False)
class Fates:
    """Each order (n,): whether it was served in time, and the seconds that its waiting is charged for."""

    good: Floats
    charged_s: Floats


@dataclass(frozen=True, slots=True)
class Entry:
    """One run in figures; money in USD, tiers by priority.

    `by_tier` is delay and rejection; `on_time` the share of a tier's orders served by their deadline; waits are the top
    tier's, of those served, in seconds. `goodput` is work done in time over the capacity that was ready while orders waited
    (None: they never did); `floor` the least of the tiers' shares of service over what their floors promise, while more
    than that was asked for (None: never). `lead_less_delay_s` says how long before a surge its capacity would have been there
    (negative: after it; None: no surge, or never), `idle_usd` what units cost that had nothing to do, `fairness` is Jain's index
    over the accounts of each tier.
    """

    cost_usd: float
    by_cause: tuple[tuple[str, float], ...]
    by_tier: tuple[tuple[str, float], ...]
    on_time: tuple[tuple[str, float], ...]
    wait_p50_s: float
    wait_p99_s: float
    goodput: float | None
    floor: float | None
    lead_less_delay_s: float | None
    idle_usd: float
    fairness: tuple[tuple[str, float], ...]


def entry(stage: Stage, run: Run) -> Entry:
    """The figures of a run."""
    venue, orders, fates = stage.venue, stage.orders, fates_of(stage, run)
    tiers, count = venue.tiers, len(venue.tiers)
    price = np.array([tier.delay_cost_usd_per_s for tier in tiers])[orders.tier]
    delay: Floats = np.bincount(orders.tier, fates.charged_s * price, count).astype(np.float64)
    rejection: Floats = np.bincount(orders.tier, orders.reject_usd * (1 - fates.good), count).astype(np.float64)
    money = (
        float(delay.sum()),
        float(rejection.sum()),
        float(run.paid.sum() * TICK_S * venue.pool.cost_usd_per_unit_s),
        fees_usd(stage, run),
    )
    asked = np.maximum(np.bincount(orders.tier, minlength=count), 1)
    names = [tier.name for tier in tiers]
    top = names.index(venue.by_priority[0].name)
    waits = fates.charged_s[(orders.tier == top) & (run.book.fate == SERVED)]

    def named(values: Floats) -> tuple[tuple[str, float], ...]:
        return tuple((tier.name, float(values[names.index(tier.name)])) for tier in venue.by_priority)

    return Entry(
        cost_usd=sum(money),
        by_cause=tuple(zip(CAUSES, money, strict=True)),
        by_tier=named(delay + rejection),
        on_time=named(np.bincount(orders.tier, fates.good, count) / asked),
        wait_p50_s=float(np.quantile(waits, 0.5)) if len(waits) else 0.0,
        wait_p99_s=float(np.quantile(waits, 0.99)) if len(waits) else 0.0,
        goodput=goodput(stage, run, fates),
        floor=floor(stage, run),
        lead_less_delay_s=lead_less_delay_s(stage, run),
        idle_usd=idle_usd(stage, run),
        fairness=named(np.array([jain(stage, fates, tier) for tier in range(count)])),
    )


def fates_of(stage: Stage, run: Run) -> Fates:
    """What became of each order. One that still waits at the end is lost, and charged for until then."""
    orders, book = stage.orders, run.book
    nodes = stage.venue.nodes or (ALONE,)
    latency = np.array([node.latency_s for node in nodes])
    served = book.fate == SERVED
    least_s = orders.work / stage.venue.pool.unit_rate_per_s + latency.min()
    ended = np.where(book.fate == UNKNOWN, np.minimum(stage.orders.length_s, book.leave), book.ended)
    spent = ended - orders.at_s
    charged = np.where(served, spent + latency[np.maximum(book.node, 0)] - least_s, spent)
    return Fates((served & (spent <= orders.deadline_s + 1e-6)).astype(np.float64), np.maximum(charged, 0.0))


def fees_usd(stage: Stage, run: Run) -> float:
    """Fees of the orders served."""
    nodes = stage.venue.nodes or (ALONE,)
    placed = np.bincount(run.book.node[run.book.fate == SERVED], minlength=len(nodes))
    return float(placed @ np.array([node.fee_usd for node in nodes]))


def capacity_per_s(stage: Stage, run: Run) -> Floats:
    """Work per second that ready units could do, by tick (ticks,), faults counted."""
    weights = np.array([node.capacity_per_s for node in stage.venue.nodes or (ALONE,)])
    health = stage.speeds() @ (weights / weights.sum())
    return np.asarray(run.ready * stage.venue.pool.unit_rate_per_s * health)


def overloaded(run: Run) -> Floats:
    """Ticks (ticks,) at whose beginning and end orders waited for units."""
    busy = run.waiting.sum(axis=1) > BUSY * np.maximum(run.ready, 1)
    return np.asarray(busy & np.concatenate([[False], busy[:-1]]))


def goodput(stage: Stage, run: Run, fates: Fates) -> float | None:
    """Work begun and done in time over the capacity, in overloaded ticks."""
    busy = overloaded(run)
    if not busy.any():
        return None
    good = (fates.good > 0) & (run.book.begun < len(busy) * TICK_S)
    tick = (run.book.begun[good] / TICK_S).astype(np.int64)
    done = np.bincount(tick, stage.orders.work[good], len(busy))
    return float(done[busy].sum() / max((capacity_per_s(stage, run) * TICK_S)[busy].sum(), 1e-9))


def floor(stage: Stage, run: Run) -> float | None:
    """Least share of service over the floor, of the tiers that asked for more than their floor, in overloaded ticks."""
    busy, count = overloaded(run), len(stage.venue.tiers)
    if busy.sum() < round(10 / TICK_S):
        return None
    begun = run.book.fate == SERVED
    tick = np.minimum((run.book.begun[begun] / TICK_S).astype(np.int64), len(busy) - 1)
    served = np.bincount(stage.orders.tier[begun][busy[tick]], minlength=count)
    asked = stage.orders.by_slot(TICK_S, count)[busy].sum(axis=0)
    ratios = [
        served[k] / (tier.floor_share * served.sum())
        for k, tier in enumerate(stage.venue.tiers)
        if tier.floor_share > 0 and asked[k] > 1.2 * tier.floor_share * served.sum()
    ]
    return float(min(ratios)) if ratios else None


def lead_less_delay_s(stage: Stage, run: Run) -> float | None:
    """Onset of the first surge, less when half the units it needs (or all there are) were ordered, less the pool's delay.

    None without a surge, and where they never were.
    """
    demand = np.convolve(stage.orders.by_slot(TICK_S, len(stage.venue.tiers)).sum(axis=1), np.full(5, 0.2), "same")
    above = np.flatnonzero(demand > SURGING * stage.before_per_s)
    if not len(above):
        return None
    onset = int(above[0])
    pool = stage.venue.pool
    peak = min(float(np.quantile(demand[onset : onset + 120], 0.5)), pool.max_units * pool.unit_rate_per_s)
    first = max(onset - 300, 0)
    enough = np.flatnonzero(run.ordered[first:] * pool.unit_rate_per_s > 0.5 * peak)
    return (onset - first - int(enough[0])) * TICK_S - pool.actuation_delay_s if len(enough) else None


def idle_usd(stage: Stage, run: Run) -> float:
    """What units cost beyond those that were serving or that demand of the second would have kept busy."""
    demand = stage.orders.by_slot(TICK_S, len(stage.venue.tiers), stage.orders.work).sum(axis=1) / TICK_S
    needed = demand / stage.venue.pool.unit_rate_per_s
    return float(np.maximum(run.paid - needed, 0).sum() * TICK_S * stage.venue.pool.cost_usd_per_unit_s)


def jain(stage: Stage, fates: Fates, tier: int) -> float:
    """Jain's index (Jain, Chiu, Hawe 1984) of the share of its orders that each account of a tier got served: 1 is equal."""
    mine = stage.orders.tier == tier
    asked = np.bincount(stage.orders.account[mine])
    got = np.bincount(stage.orders.account[mine], fates.good[mine])
    share = got[asked > 0] / asked[asked > 0]
    return float(share.sum() ** 2 / (len(share) * (share**2).sum())) if share.any() else 1.0
