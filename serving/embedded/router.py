"""Which upstream an order goes to: `shaper.choice` within the plan's weights, with live loads.

Decided here: a node whose circuit is open, or that was tried already, is out altogether, the others keep their proportions; a node
that was ejected, or that has no place, is out while another will do. Without any weight on what is left, the least loaded gets it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import overload

from serving.embedded.upstreams import Upstream
from shaper.choice import Alias, alias, choose
from shaper.plan import Plan

NONE: frozenset[int] = frozenset()
Weights = Mapping[str, float]


class Loads(Sequence[float]):
    """What is under way at each upstream over its limit, as it is when asked: two are, of all."""

    def __init__(self, upstreams: tuple[Upstream, ...]) -> None:
        self._upstreams = upstreams

    def __len__(self) -> int:
        """How many upstreams there are."""
        return len(self._upstreams)

    @overload
    def __getitem__(self, index: int) -> float: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[float]: ...
    def __getitem__(self, index: int | slice) -> float | Sequence[float]:
        """The load of one."""
        if isinstance(index, slice):
            return Loads(self._upstreams[index])
        up = self._upstreams[index]
        return up.in_flight / up.limit


class Router:
    """The upstreams with their weights, those of all tiers or, where a plan has routes, a tier's own."""

    def __init__(self, upstreams: Sequence[Upstream], weights: Weights, uniform: Callable[[], float]) -> None:
        self.upstreams = tuple(upstreams)
        self._loads = Loads(self.upstreams)
        self._uniform = uniform
        self._weights: Weights = weights
        self._routes: dict[str, dict[str, float]] = {}
        self._tables: dict[str | None, Alias | None] = {}
        self.ejected = NONE
        self.refresh()

    def follow(self, plan: Plan) -> None:
        """Take the weights and routes of a plan; one without weights leaves those before."""
        if plan.weights:
            self._weights = {setting.node: setting.weight for setting in plan.weights}
        self._routes = {}
        for route in plan.routes:
            self._routes.setdefault(route.tier, {})[route.node] = route.weight
        self.refresh()

    def refresh(self) -> None:
        """Draw up the tables again: weights or circuits have changed."""
        self._tables = {}
        self._places = sum(up.limit for up in self.upstreams if not up.open)

    def places(self) -> int:
        """How many requests the upstreams that are well take at once."""
        return self._places

    def pick(self, tier: str, tried: frozenset[int] = NONE) -> int | None:
        """The index of an upstream for an order of a tier, None when there is none."""
        table = self._table(tier)
        if table is not None:
            out = self.ejected | tried if tried else self.ejected
            chosen = choose(table, self._loads, self._uniform(), self._uniform(), out)
            if chosen not in out and self._loads[chosen] < 1:
                return chosen
        return self._least_loaded(tier, tried)

    def _least_loaded(self, tier: str, tried: frozenset[int]) -> int | None:
        """Where the draw found nobody: the node with most room among those a tier may use, ejected ones last."""
        allowed = self._routes.get(tier)
        left = [
            i
            for i, up in enumerate(self.upstreams)
            if not up.open and i not in tried and (allowed is None or allowed.get(up.name))
        ]
        return min(
            left, key=lambda i: (i in self.ejected, self.upstreams[i].in_flight / self.upstreams[i].limit), default=None
        )

    def _table(self, tier: str) -> Alias | None:
        key = tier if tier in self._routes else None
        if key not in self._tables:
            weights = self._routes[tier] if key else self._weights
            left = tuple([0.0 if up.open else weights.get(up.name, 0.0) for up in self.upstreams])
            self._tables[key] = alias(left) if sum(left) > 0 else None
        return self._tables[key]
