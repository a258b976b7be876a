"""Two models on the same ticks: the one that leads, and one in its shadow that nobody follows.

Decided here: what they are compared by (faults, time, pinball loss and coverage of forecasts that came true, distance of their
medians), from when on that counts, and what is bad enough to stay in the shadow or to go back there.
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Literal

import msgspec

from serving.ladder import Outcome
from serving.seer import Asked, Seer
from shaper.forecast import Curve, Forecast

Role = Literal["challenger", "former"]
TIMES_KEPT = 256
WORST_LOSS_RATIO, ROLLBACK_LOSS_RATIO = 1.05, 1.25  # mean pinball loss of the newer model over that of the older one
WORST_COVERAGE_GAP = 0.2  # of the outermost band, from its nominal share
MOST_DRIFT = 1.0  # mean distance of the medians, in widths of the leader's outermost band
MOST_FAULTS = 0.05
LEAST_TRUTHS = 10  # forecasts that came true, before losses and coverage say anything


class Comparison(msgspec.Struct, frozen=True):
    """How the model in the shadow compares with the one that leads, so far; None where too little came true."""

    ticks: int
    outcomes: dict[str, int]
    faults: float
    truths: int
    loss_ratio: float | None
    coverage: float | None
    leader_coverage: float | None
    drift: float | None
    median_s: float | None
    leader_median_s: float | None


@dataclass
class Tally:
    """Sums over the forecasts of one model that came true."""

    loss: float = 0.0
    inside: int = 0
    times_s: deque[float] = field(default_factory=lambda: deque(maxlen=TIMES_KEPT))

    def count(self, levels: Curve, curve: Curve, truth: float) -> None:
        """Add one forecast and what came: mean pinball loss over the levels (Koenker, Bassett 1978), and whether it was inside."""
        losses = (max(u * (truth - q), (u - 1) * (truth - q)) for u, q in zip(levels, curve, strict=True))
        self.loss += sum(losses) / len(levels)
        self.inside += curve[0] <= truth <= curve[-1]


@dataclass
class Trial:
    """A seer in the shadow of the one that leads, for `ticks` ticks with an answer."""

    seer: Seer
    role: Role
    ticks: int
    seen: int = 0
    truths: int = 0
    drift: float = 0.0
    drifts: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    leader: Tally = field(default_factory=Tally)
    shadow: Tally = field(default_factory=Tally)
    pending: deque[tuple[Forecast, Forecast]] = field(default_factory=deque)
    last_tick: datetime | None = None

    def take(
        self, tick: datetime, values: Mapping[str, float], leads: tuple[Asked, float], own: tuple[Asked, float]
    ) -> None:
        """Count one tick: the targets' own values, and the answers of both models with the seconds that each took."""
        self.last_tick = tick
        self.came_true(tick.timestamp(), values)
        (led, led_s), (shadowed, own_s) = leads, own
        self.outcomes[shadowed.outcome] += 1
        if shadowed.outcome != "blind":
            self.seen += 1
            self.leader.times_s.append(led_s)
            self.shadow.times_s.append(own_s)
        if led.forecast is not None and shadowed.forecast is not None:
            self.pending.append((led.forecast, shadowed.forecast))
            self.apart(led.forecast, shadowed.forecast)

    def came_true(self, at_s: float, values: Mapping[str, float]) -> None:
        """Score what was said of this tick before."""
        for led, shadowed in self.pending:
            ahead = round((at_s - led.issued_at_s) / led.tick_s)
            if ahead not in led.horizons or ahead not in shadowed.horizons:
                continue
            for target in set(led.targets) & set(shadowed.targets):
                truth = values.get(target)
                if truth is None or truth != truth:
                    continue
                self.truths += 1
                for tally, forecast in ((self.leader, led), (self.shadow, shadowed)):
                    tally.count(forecast.levels, curve_of(forecast, target, ahead), truth)
        while self.pending and at_s - self.pending[0][0].issued_at_s >= self.pending[0][0].reach_s:
            self.pending.popleft()

    def apart(self, led: Forecast, shadowed: Forecast) -> None:
        """Add how far the medians of two forecasts are apart at the first horizon, in widths of the leader's band."""
        for target in set(led.targets) & set(shadowed.targets):
            curve, other = curve_of(led, target, led.horizons[0]), curve_of(shadowed, target, shadowed.horizons[0])
            width = curve[-1] - curve[0]
            if width > 0:
                self.drift += abs(curve[len(curve) // 2] - other[len(other) // 2]) / width
                self.drifts += 1

    def comparison(self) -> Comparison:
        """How they compare so far."""
        asked = sum(self.outcomes.values()) - self.outcomes["blind"]
        known = self.truths >= LEAST_TRUTHS
        return Comparison(
            ticks=self.seen,
            outcomes={str(outcome): count for outcome, count in self.outcomes.items()},
            faults=(asked - self.outcomes["issued"]) / asked if asked else 0.0,
            truths=self.truths,
            loss_ratio=self.shadow.loss / self.leader.loss if known and self.leader.loss > 0 else None,
            coverage=self.shadow.inside / self.truths if known else None,
            leader_coverage=self.leader.inside / self.truths if known else None,
            drift=self.drift / self.drifts if self.drifts else None,
            median_s=median(self.shadow.times_s) if self.shadow.times_s else None,
            leader_median_s=median(self.leader.times_s) if self.leader.times_s else None,
        )


def curve_of(forecast: Forecast, target: str, ahead: int) -> Curve:
    """The quantiles of a target at a horizon."""
    return forecast.quantiles[forecast.targets.index(target)][forecast.horizons.index(ahead)]


def objection(found: Comparison, levels: Curve, deadline_s: float) -> str | None:
    """Why a challenger must not take over; None when nothing speaks against it."""
    nominal = levels[-1] - levels[0]
    if found.faults > MOST_FAULTS:
        return f"{found.faults:.0%} of its answers were late, failed or nonsense"
    if found.median_s is not None and found.median_s > deadline_s / 2:
        return f"it takes {found.median_s:.3f} s, more than half the deadline of {deadline_s:g} s"
    if found.loss_ratio is not None and found.loss_ratio > WORST_LOSS_RATIO:
        return f"its loss is {found.loss_ratio:.2f} times the champion's"
    if found.coverage is not None and nominal - found.coverage > WORST_COVERAGE_GAP:
        return f"its band of {nominal:.0%} held {found.coverage:.0%}"
    if found.drift is not None and found.drift > MOST_DRIFT:
        return f"its medians are {found.drift:.1f} widths of the champion's band away"
    return None


def regret(found: Comparison, leader_faults: int) -> str | None:
    """Why the model that took over must go back, None if it need not; `found` is of its predecessor, in its shadow."""
    if leader_faults >= 3:
        return f"{leader_faults} of its answers were late, failed or nonsense"
    if found.loss_ratio is not None and found.loss_ratio * ROLLBACK_LOSS_RATIO < 1:
        return f"its loss is {1 / found.loss_ratio:.2f} times its predecessor's"
    return None
