"""What the shaper knows of the future: quantiles per target, horizon and level, and the chance of a spike.

Decided here: how a forecast is read between its horizons and levels, and which forecasts are refused outright.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

Curve = tuple[float, ...]


class ForecastError(ValueError):
    """A forecast that contradicts itself: wrong lengths, numbers that are not finite, or values out of order."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Forecast:
    """Quantiles and spike probabilities that one model issued at one time.

    `quantiles[target][horizon][level]` are in the target's unit and do not fall with the level; `spike[target][horizon]`
    is the probability, 0..1, that the target's threshold is crossed by the end of that horizon. Horizons count ticks of
    `tick_s` seconds; horizon h is the mean over the tick that ends h·tick_s after `issued_at_s` (seconds since 1970).
    Raises ForecastError, naming the first contradiction.
    """

    issued_at_s: float
    valid_until_s: float
    tick_s: float
    origin: str
    contract_digest: str
    targets: tuple[str, ...]
    horizons: tuple[int, ...]
    levels: tuple[float, ...]
    quantiles: tuple[tuple[Curve, ...], ...]
    spike: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        """Check times, axes and values, in this order."""
        _check_axes(self)
        for name, curves, spike in zip(self.targets, self.quantiles, self.spike, strict=True):
            _check_target(name, curves, spike, len(self.levels))

    @property
    def reach_s(self) -> float:
        """Seconds from the issue to the end of the last horizon: no lead beyond it is answered."""
        return self.horizons[-1] * self.tick_s

    def curve(self, target: str, lead_s: float) -> Curve | None:
        """Values at `levels` that hold `lead_s` after the issue, or None beyond the last horizon or without the target.

        A horizon is the mean of its tick, so it stands at the tick's middle; between the middles values are linear in
        the lead, before the first and after the last one they are constant.
        """
        if target not in self.targets or not lead_s <= self.reach_s:
            return None
        curves = self.quantiles[self.targets.index(target)]
        left, right, weight = _between(self.horizons, lead_s / self.tick_s + 0.5)
        if weight == 0:
            return curves[left]
        return tuple(a + weight * (b - a) for a, b in zip(curves[left], curves[right], strict=True))

    def quantile(self, target: str, lead_s: float, level: float) -> float | None:
        """The target's quantile `lead_s` after the issue, or None where `curve` has no answer.

        Linear in the level within `levels`; beyond the outermost levels see `at_levels`.
        """
        curve = self.curve(target, lead_s)
        return None if curve is None else at_level(self.levels, curve, level)

    def spike_by(self, target: str, lead_s: float) -> float | None:
        """Probability that the target's threshold is crossed within `lead_s`, or None where `curve` has no answer."""
        if target not in self.targets or not lead_s <= self.reach_s:
            return None
        chances = self.spike[self.targets.index(target)]
        left, right, weight = _between(self.horizons, lead_s / self.tick_s)
        return chances[left] + weight * (chances[right] - chances[left])


def at_level(levels: Curve, curve: Curve, level: float) -> float:
    """Value of a quantile curve at a level in (0, 1), see `at_levels`."""
    return at_levels(levels, curve, (level,))[0]


def at_levels(levels: Curve, curve: Curve, wanted: Curve) -> Curve:
    """Values of a quantile curve at levels in (0, 1).

    Linear in the level between two known ones. Outside them the curve goes on as an exponential tail through the two
    outermost values, q(u) = q₂ + (q₂ − q₁)·ln((1 − u₂)/(1 − u))/ln((1 − u₁)/(1 − u₂)), the generalised Pareto law of shape 0
    for excesses over a high threshold (Pickands 1975): a flat end would say that the worst case is the 95th percentile.
    A single level is constant. Raises ForecastError for a level outside (0, 1).
    """
    return tuple(curve[i] + weight * (curve[j] - curve[i]) for i, j, weight in _weights(levels, wanted))


@lru_cache(maxsize=1024)
def _weights(levels: Curve, wanted: Curve) -> tuple[tuple[int, int, float], ...]:
    """For each wanted level two known ones and the weight of the second, which tails take beyond 1."""
    return tuple(_weight(levels, level) for level in wanted)


def _weight(levels: Curve, level: float) -> tuple[int, int, float]:
    if not 0 < level < 1:
        raise ForecastError(f"expected a level in (0, 1), found {level}")
    last = len(levels) - 1
    if last == 0 or levels[0] <= level <= levels[last]:
        return _between(levels, level)
    if level > levels[last]:
        known, outer = 1 - levels[last - 1], 1 - levels[last]
        return last - 1, last, 1 + math.log(outer / (1 - level)) / math.log(known / outer)
    known, outer = levels[1], levels[0]
    return 1, 0, 1 + math.log(outer / level) / math.log(known / outer)


def _between(points: Curve, at: float) -> tuple[int, int, float]:
    """Indices of the points around `at` and the weight of the right one; the ends hold beyond the ends."""
    last = len(points) - 1
    if at <= points[0]:
        return 0, 0, 0.0
    if at >= points[last]:
        return last, last, 0.0
    right = bisect_right(points, at)
    return right - 1, right, (at - points[right - 1]) / (points[right] - points[right - 1])


def _check_axes(forecast: Forecast) -> None:
    issued, until, tick = forecast.issued_at_s, forecast.valid_until_s, forecast.tick_s
    shape = (len(forecast.quantiles), len(forecast.spike))
    faults = (
        (all(map(math.isfinite, (issued, until, tick))), "finite times", f"{issued}, {until}, {tick}"),
        (until > issued, "valid_until_s after issued_at_s", f"{until} and {issued}"),
        (tick > 0, "a positive tick_s", str(tick)),
        (len(set(forecast.targets)) == len(forecast.targets) > 0, "targets with unique names", str(forecast.targets)),
        (_rises(forecast.horizons) and forecast.horizons[0] >= 1, "ascending horizons from 1", str(forecast.horizons)),
        (_rises(forecast.levels), "ascending levels", str(forecast.levels)),
        (all(0 < level < 1 for level in forecast.levels), "levels in (0, 1)", str(forecast.levels)),
        (shape == (len(forecast.targets),) * 2, f"values for {len(forecast.targets)} targets", str(shape)),
        (
            all(len(rows) == len(forecast.horizons) for rows in (*forecast.quantiles, *forecast.spike)),
            f"values at {len(forecast.horizons)} horizons",
            str([len(rows) for rows in (*forecast.quantiles, *forecast.spike)]),
        ),
    )
    for holds, expected, found in faults:
        if not holds:
            raise ForecastError(f"expected {expected}, found {found}")


def _check_target(name: str, curves: tuple[Curve, ...], spike: tuple[float, ...], levels: int) -> None:
    for curve in curves:
        if len(curve) != levels:
            raise ForecastError(f"expected {levels} levels of {name}, found {len(curve)}")
        if not all(map(math.isfinite, curve)):
            raise ForecastError(f"expected finite quantiles of {name}, found {curve}")
        if any(a > b for a, b in pairwise(curve)):
            raise ForecastError(f"expected quantiles of {name} that do not fall with the level, found {curve}")
    if not all(0 <= chance <= 1 for chance in spike):
        raise ForecastError(f"expected spike probabilities of {name} in 0..1, found {spike}")


def _rises(values: tuple[float, ...]) -> bool:
    return bool(values) and all(a < b for a, b in pairwise(values))
