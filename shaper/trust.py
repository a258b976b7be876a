"""How far a forecast may pull the plan away from the reactive rule, learnt from what both would have cost.

Two mechanisms, because one alone is not enough. *Weight*: fixed-share Hedge over {forecast-led, reactive} (Herbster, Warmuth
1998) on the costs that each rule would have had. With losses in 0..1 (cost above the cheaper one / `scale_usd`), N = 2, rate
η and share α, the weighted loss over T reviews exceeds that of the best sequence of experts with k changes by at most

    (ln(1/w₀) + k·ln(1/α) + (T − 1 − k)·ln(1/(1 − α))) / η + η·T/8.

*Ledger*: with R what the reactive rule would have cost and S what was spent, a plan may deviate only as far as the worst it
can lose until it could be undone fits into (1 + ratio)·R + allowance − S − (what its own queues above the rule's may lose):
robustness-constrained learning (Li, Yang, Wierman, Ren, NeurIPS 2023), (1 + λ) times an expert's cost whatever the advice.
Here λ = `ratio`, for demand that rises at most `stress` times within a planning lead, and beside a reactive rule that
forgets: units that it only holds for demand of before are free to go. What good forecasts save is theirs to risk.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

Stage = Literal["forecast-led", "blended", "reactive", "static"]


@dataclass(frozen=True, slots=True)
class TrustRules:
    """What is decided beforehand about trust.

    `ratio` and `allowance_usd` are the ledger's bound, `stress` the rise of demand within a lead that it is meant for (1: fewer
    units than the reactive rule's are not rationed). `learning_rate`, `share` and `prior` (the forecast's first weight) are
    Hedge's. A weight from `led_from` on is forecast-led, below `reactive_below` reactive, between them blended; a stage is
    left only `hysteresis` beyond its edge. Demand measured more than `static_after_s` ago holds every setting. No single
    forecast sets more than `most_times` or less than `least_times` the reactive units. Forecasts that are `proven`, by a replay
    of this venue, may lead before a claim of theirs has come true. Where none could announce a surge
    (`Record.blind`), the reactive rule holds the usual demand with the headroom `insured` at the least.
    Raises ValueError, naming the first rule out of range.
    """

    ratio: float = 0.15
    allowance_usd: float = 0.0
    stress: float = 10.0
    learning_rate: float = 1.0
    share: float = 0.001
    prior: float = 0.9
    led_from: float = 0.75
    reactive_below: float = 0.25
    hysteresis: float = 0.1
    static_after_s: float = 120.0
    most_times: float = 50.0
    least_times: float = 0.25
    proven: bool = False
    insured: float = 0.0

    def __post_init__(self) -> None:
        """Check every rule."""
        low, high, margin = self.reactive_below, self.led_from, self.hysteresis
        faults = (
            (self.ratio >= 0 and self.allowance_usd >= 0, "ratio and allowance_usd of 0 or more", self.ratio),
            (self.insured >= 0, "an insured headroom of 0 or more", self.insured),
            (self.stress >= 1, "a stress of at least 1", self.stress),
            (self.learning_rate > 0, "a positive learning_rate", self.learning_rate),
            (0 < self.share < 0.5 and 0 < self.prior < 1, "share in (0, 0.5) and prior in (0, 1)", self.share),
            (low - margin > 0 and low + 2 * margin <= high and high + margin < 1, "edges that leave room", (low, high)),
            (self.static_after_s > 0, "a positive static_after_s", self.static_after_s),
            (0 <= self.least_times <= 1 <= self.most_times, "least_times <= 1 <= most_times", self.least_times),
        )
        for holds, expected, found in faults:
            if not holds:
                raise ValueError(f"expected {expected}, found {found}")


@dataclass(frozen=True, slots=True)
class Costs:
    """USD of one review: what was spent, and what the forecast-led and the reactive rule would have spent on the same orders."""

    realised_usd: float
    led_usd: float
    reactive_usd: float


@dataclass(frozen=True, slots=True)
class Trust:
    """What is remembered: the forecast's weight, its stage, the largest difference in costs, and the sums of all costs (USD)."""

    weight: float
    stage: Stage
    scale_usd: float
    spent: Costs = Costs(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Leash:
    """How far from the reactive `baseline_units` a forecast may pull: with `weight` 0..1, within least..most.

    `refusal` says why none may, in words (None: it may).
    """

    stage: Stage
    weight: float
    baseline_units: int
    least_units: int
    most_units: int
    refusal: str | None = None

    def pulled(self, led_units: int) -> int:
        """Units between the baseline and the forecast's, rounded up, within the limits."""
        blend = math.ceil(self.baseline_units + self.weight * (led_units - self.baseline_units) - 1e-9)
        return min(max(blend, self.least_units), self.most_units)


def new_trust(rules: TrustRules, scale_usd: float = 0.0) -> Trust:
    """Trust before anything was seen; `scale_usd` is what a mistake may cost, so that small ones are not taken for it."""
    return Trust(rules.prior, _stage(rules, "blended", rules.prior), scale_usd)


def update(trust: Trust, costs: Costs, rules: TrustRules | None = None) -> tuple[Trust, float]:
    """Trust after a review, and the weight in effect: 1 forecast-led, 0 reactive, Hedge's in between.

    Raises ValueError for costs that are not finite.
    """
    rules = TrustRules() if rules is None else rules
    if not all(map(math.isfinite, (costs.realised_usd, costs.led_usd, costs.reactive_usd))):
        raise ValueError(f"expected finite costs, found {costs}")
    difference = costs.led_usd - costs.reactive_usd
    scale = max(trust.scale_usd, abs(difference))
    weight = shared(trust.weight, difference / scale if scale > 0 else 0.0, rules)
    spent = Costs(
        trust.spent.realised_usd + costs.realised_usd,
        trust.spent.led_usd + costs.led_usd,
        trust.spent.reactive_usd + costs.reactive_usd,
    )
    after = Trust(weight, _stage(rules, trust.stage, weight), scale, spent)
    return after, in_effect(after)


def shared(weight: float, loss: float, rules: TrustRules) -> float:
    """Fixed-share Hedge for two experts: the first one's weight after it lost `loss` (−1..1) more than the second."""
    kept = weight / (weight + (1 - weight) * math.exp(rules.learning_rate * loss))
    return (1 - rules.share) * kept + rules.share * rules.prior


def in_effect(trust: Trust) -> float:
    """The weight that plans use in a stage."""
    return {"forecast-led": 1.0, "blended": trust.weight}.get(trust.stage, 0.0)


def budget_usd(trust: Trust, rules: TrustRules) -> float:
    """What may still be lost: (1 + ratio)·R + allowance − S."""
    return (1 + rules.ratio) * trust.spent.reactive_usd + rules.allowance_usd - trust.spent.realised_usd


def held(trust: Trust) -> Trust:
    """The same trust while nothing is measured: every setting is held."""
    return replace(trust, stage="static")


def _stage(rules: TrustRules, stage: Stage, weight: float) -> Stage:
    """The stage of a weight; one that is in force holds until the weight is `hysteresis` beyond its edge."""
    led = rules.led_from + (-rules.hysteresis if stage == "forecast-led" else rules.hysteresis * (stage == "reactive"))
    low = rules.reactive_below + (rules.hysteresis if stage == "reactive" else -rules.hysteresis * (stage == "blended"))
    if weight >= led:
        return "forecast-led"
    return "reactive" if weight < low else "blended"
