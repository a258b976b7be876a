"""Where a forecast is good and where it is not: scores by regime, by hour of the day and by horizon.

Decided here: regimes are thirds of the known value at issue within the scored period (calm, middle, wild), and hours are of UTC.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.metrics import Issued, score_quantiles

REGIMES = ("calm", "middle", "wild")
FEWEST = 30  # issue times below which a slice says nothing
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Slice:
    """Scores of some of the issue times; `kind` is regime, hour or horizon, `name` says which."""

    kind: str
    name: str
    issues: int
    skill: float
    interval: tuple[float, float] | None
    coverage: float


def slices(issued: Issued, levels: tuple[float, ...]) -> list[Slice]:
    """Scores of every regime, hour and horizon that has enough issue times to be scored."""
    known = issued.complete()
    parts = [*regimes(known), *hours(known)]
    found = [scored(kind, name, subset(known, kept), levels) for kind, name, kept in parts]
    found += [scored("horizon", f"h{h + 1:02}", at_horizon(known, h), levels) for h in range(known.truth.shape[1])]
    return [one for one in found if one is not None]


def regimes(issued: Issued) -> Iterator[tuple[str, str, Mask]]:
    """Thirds of the value at issue."""
    if len(issued.value):
        place = np.searchsorted(np.quantile(issued.value, (1 / 3, 2 / 3)), issued.value, side="right")
        for number, name in enumerate(REGIMES):
            yield "regime", name, place == number


def hours(issued: Issued) -> Iterator[tuple[str, str, Mask]]:
    """Hours of the UTC day."""
    hour = issued.issued_s // 3600 % 24
    for number in range(24):
        yield "hour", f"h{number:02}", hour == number


def subset(issued: Issued, kept: Mask) -> Issued:
    """The issue times of a mask."""
    return Issued(*(getattr(issued, name)[kept] for name in ("issued_s", "value", "truth", "quantiles", "reference")))


def at_horizon(issued: Issued, place: int) -> Issued:
    """One horizon, by its place, of every issue time."""
    one = slice(place, place + 1)
    parts = (issued.truth[:, one], issued.quantiles[:, one], issued.reference[:, one])
    return Issued(issued.issued_s, issued.value, *parts)


def scored(kind: str, name: str, issued: Issued, levels: tuple[float, ...]) -> Slice | None:
    """A slice, none for too few issue times."""
    found = score_quantiles(issued, levels) if len(issued.issued_s) >= FEWEST else None
    if found is None:
        return None
    return Slice(kind, name, found.issues, found.skill, found.skill_interval, found.coverage)


def flat(found: list[Slice]) -> dict[str, float]:
    """Slices as metrics, `skill_regime/calm`; horizons have their own among the scores."""
    kept = [one for one in found if one.kind != "horizon"]
    skills = {f"skill_{one.kind}/{one.name}": one.skill for one in kept}
    return skills | {f"coverage_{one.kind}/{one.name}": one.coverage for one in kept}
