"""Which node an order goes to: the better of two drawn by the plan's weights, among those that behave.

Power of two choices (Mitzenmacher 2001) keeps queues short on live loads, the weights keep the plan's split; the alias method
(Walker 1977) draws in constant time. A node is ejected after `failures` in a row, or when its latency exceeds `times` the median of
all, for a time that doubles with each ejection; never more than `most_share` of the nodes at once. Randomness is an argument.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median


@dataclass(frozen=True, slots=True)
class Alias:
    """A table that draws index i with the probability of its weight from one uniform number in [0, 1)."""

    keep: tuple[float, ...]
    other: tuple[int, ...]

    def draw(self, uniform: float) -> int:
        """An index."""
        at = uniform * len(self.keep)
        i = int(at)
        return i if at - i < self.keep[i] else self.other[i]


def alias(weights: tuple[float, ...]) -> Alias:
    """The table of weights of 0 or more. Raises ValueError unless some weight is positive."""
    total = sum(weights)
    if not weights or min(weights) < 0 or not total > 0:
        raise ValueError(f"expected weights of 0 or more with a positive sum, found {weights}")
    scaled = [weight * len(weights) / total for weight in weights]
    small = [i for i, value in enumerate(scaled) if value < 1]
    large = [i for i, value in enumerate(scaled) if value >= 1]
    keep, other = [1.0] * len(weights), list(range(len(weights)))
    while small and large:
        low, high = small.pop(), large[-1]
        keep[low], other[low] = scaled[low], high
        scaled[high] -= 1 - scaled[low]
        if scaled[high] < 1:
            small.append(large.pop())
    for i in small:  # what rounding left over: nearly 1, unless its weight is 0
        keep[i], other[i] = (1.0, i) if weights[i] > 0 else (0.0, max(range(len(weights)), key=weights.__getitem__))
    return Alias(tuple(keep), tuple(other))


def choose(table: Alias, loads: Sequence[float], first: float, second: float, out: frozenset[int] = frozenset()) -> int:
    """The less loaded of two nodes drawn with two uniform numbers; a node that is out only if both are.

    `loads` are orders in flight over the node's capacity; on a tie the first stays.
    """
    a, b = table.draw(first), table.draw(second)
    if a in out or b in out:
        return b if a in out and b not in out else a
    return b if loads[b] < loads[a] else a


@dataclass(frozen=True, slots=True)
class EjectionRules:
    """When a node is taken out, and for how long."""

    failures: int = 5
    times: float = 5.0
    base_s: float = 30.0
    longest_s: float = 300.0
    most_share: float = 0.5


@dataclass(frozen=True, slots=True)
class Health:
    """A node's failures in a row, its smoothed latency (None: no answer yet), until when it is out, and how often it was."""

    failed: int = 0
    latency_s: float | None = None
    out_until_s: float = 0.0
    ejections: int = 0


def after_answer(health: Health, latency_s: float | None) -> Health:
    """Health after an answer that took so long, or a failure (None); latency is smoothed by a tenth."""
    if latency_s is None:
        return replace(health, failed=health.failed + 1)
    smoothed = latency_s if health.latency_s is None else 0.9 * health.latency_s + 0.1 * latency_s
    return replace(health, failed=0, latency_s=smoothed)


def ejected(nodes: tuple[Health, ...], rules: EjectionRules, at_s: float) -> tuple[Health, ...]:
    """The nodes after outliers were taken out, worst first, as long as enough are left; one that returns starts anew."""
    known = [node.latency_s for node in nodes if node.latency_s is not None]
    usual = median(known) if known else 0.0
    found = [node if node.out_until_s == 0 or at_s < node.out_until_s else _returned(node) for node in nodes]
    suspects = sorted(range(len(found)), key=lambda i: (-found[i].failed, -(found[i].latency_s or 0.0), i))
    for i in suspects:
        node = found[i]
        slow = node.latency_s is not None and len(known) > 1 and node.latency_s > rules.times * usual > 0
        out = sum(other.out_until_s > at_s for other in found)
        if (
            node.out_until_s > at_s
            or not (slow or node.failed >= rules.failures)
            or out + 1 > rules.most_share * len(found)
        ):
            continue
        pause = min(rules.base_s * 2**node.ejections, rules.longest_s)
        found[i] = replace(node, out_until_s=at_s + pause, ejections=node.ejections + 1)
    return tuple(found)


def _returned(node: Health) -> Health:
    return Health(ejections=node.ejections)
