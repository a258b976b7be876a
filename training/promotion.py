"""Whether a challenger replaces the champion: a paired comparison on a frozen period, and guards that any champion must pass.

Decided here: the mean gain of skill over the targets must lie above zero with its whole 90 % interval, no target may be
significantly worse, and every guard must hold. A first champion is compared with persistence. Whatever is refused changes nothing.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.contract import CONTRACT_FILE, MODEL_FILE, Contract
from data.errors import DataError
from training.artefact import Artefact
from training.evaluation import Hindsight
from training.metrics import DAY_S, FEWEST_DAYS, INTERVAL, day_draws, pinball, score_quantiles
from training.significance import Difference, Paired, difference, pair

CALLS, WARM_UP = 300, 20
PERSISTENCE = "persistence"


@dataclass(frozen=True)
class Limits:
    """What every champion must keep: distance of coverage from its nominal value, p99 of one call, size of its files."""

    coverage: float = 0.05
    latency_ms: float = 10.0
    size_mb: float = 20.0


@dataclass(frozen=True)
class Guard:
    """One condition: what it asks for, what was found, and whether it holds."""

    name: str
    limit: str
    found: str
    holds: bool


@dataclass(frozen=True)
class Contest:
    """A challenger against `rival` (the champion, or persistence): differences by target, the mean gain, and the guards.

    `interval` is the 90 % interval of the mean gain over targets, none for fewer than 5 shared days.
    """

    rival: str
    differences: Mapping[str, Difference]
    gain: float
    interval: tuple[float, float] | None
    guards: tuple[Guard, ...]

    @property
    def reasons(self) -> list[str]:
        """Why the challenger is refused; empty when it is promoted."""
        found = [f"{g.name}: expected {g.limit}, found {g.found}" for g in self.guards if not g.holds]
        found += [
            f"{t} is worse than {self.rival}: {words(d.gain, d.interval)}"
            for t, d in self.differences.items()
            if d.worse
        ]
        if self.interval is None:
            found.append(f"fewer than {FEWEST_DAYS} days to compare on")
        elif self.interval[0] <= 0:
            found.append(f"no significant gain of skill over {self.rival}: {words(self.gain, self.interval)}")
        return found


def words(gain: float, interval: tuple[float, float] | None) -> str:
    """A gain with its interval."""
    return f"{gain:+.4f}" + ("" if interval is None else f" [{interval[0]:+.4f}, {interval[1]:+.4f}]")


def contest(
    challenger: tuple[Artefact, Mapping[str, Hindsight]],
    champion: tuple[Artefact, Mapping[str, Hindsight]] | None,
    limits: Limits,
) -> Contest:
    """Compare two artefacts by what they said of the same period. Raises DataError when they share no issue time."""
    artefact, seen = challenger
    rival = None if champion is None else champion[0].contract
    paired = {
        target: against(seen[target], artefact.contract, None if champion is None else champion[1].get(target), rival)
        for target in seen
    }
    known = {target: one for target, one in paired.items() if one is not None}
    if not known:
        raise DataError(
            str(artefact.folder),
            expected="issue times that both can be judged at",
            found="none",
            remedy="name another period",
        )
    gain, interval = mean_gain(list(known.values()))
    guards = (*forecast_guards(seen, artefact.contract.levels, limits), *machine_guards(artefact, limits))
    if rival is not None:
        guards = (*guards, compatible(artefact.contract, rival))
    return Contest(
        PERSISTENCE if rival is None else rival.name,
        {target: difference(one) for target, one in known.items()},
        gain,
        interval,
        guards,
    )


def against(seen: Hindsight, contract: Contract, other: Hindsight | None, rival: Contract | None) -> Paired | None:
    """Losses beside those of the champion; beside those of the reference where there is no champion."""
    if rival is None:
        known = seen.issued.complete()
        loss, base = (
            pinball(known.truth, one, contract.levels).mean(axis=(1, 2)) for one in (known.quantiles, known.reference)
        )
        return Paired(known.issued_s, loss, base, base, known.truth.shape[1]) if len(known.issued_s) else None
    return None if other is None else pair(seen.issued, other.issued, (contract.levels, rival.levels))


def mean_gain(pairs: Sequence[Paired]) -> tuple[float, tuple[float, float] | None]:
    """Gain of skill, averaged over targets, and its 90 % interval over resampled days that all of them have."""
    days = reduce(np.intersect1d, [np.unique(one.issued_s // DAY_S) for one in pairs])
    sums = np.concatenate([by_day(one, days) for one in pairs], axis=1)

    def statistic(totals: NDArray[np.float64]) -> NDArray[np.float64]:
        parts = totals.reshape(*totals.shape[:-1], len(pairs), 3)
        return np.asarray(((parts[..., 1] - parts[..., 0]) / parts[..., 2]).mean(axis=-1))

    gain = float(statistic(sums.sum(axis=0)))
    if len(days) < FEWEST_DAYS:
        return gain, None
    low, high = np.quantile(day_draws(sums, statistic), INTERVAL)
    return gain, (float(low), float(high))


def by_day(one: Paired, days: NDArray[np.int64]) -> NDArray[np.float64]:
    """(days, 3) sums of both losses and the reference's over some days."""
    kept = np.isin(one.issued_s // DAY_S, days)
    place = np.searchsorted(days, (one.issued_s // DAY_S)[kept])
    columns = (one.first, one.second, one.reference)
    return np.stack([np.bincount(place, weights=column[kept], minlength=len(days)) for column in columns], axis=1)


def forecast_guards(seen: Mapping[str, Hindsight], levels: tuple[float, ...], limits: Limits) -> list[Guard]:
    """Coverage of the outermost band, and quantiles in order."""
    nominal, found = levels[-1] - levels[0], []
    for target, one in seen.items():
        scored = score_quantiles(one.issued, levels)
        if scored is not None:
            low, high = nominal - limits.coverage, min(1.0, nominal + limits.coverage)
            inside = low <= scored.coverage <= high
            found.append(Guard(f"coverage of {target}", f"{low:.3f} to {high:.3f}", f"{scored.coverage:.3f}", inside))
            found.append(Guard(f"crossing of {target}", "0", f"{scored.crossing:.2g}", scored.crossing == 0))
    return found


def machine_guards(artefact: Artefact, limits: Limits) -> list[Guard]:
    """Time of one call, and size of the files."""
    latency, size = latency_ms(artefact), size_mb(artefact.folder)
    return [
        Guard(
            "latency, p99 of one window",
            f"at most {limits.latency_ms:g} ms",
            f"{latency:.2f} ms",
            latency <= limits.latency_ms,
        ),
        Guard("size", f"at most {limits.size_mb:g} MB", f"{size:.2f} MB", size <= limits.size_mb),
    ]


def latency_ms(artefact: Artefact) -> float:
    """99th percentile of calls with one window, in ms of the thread's own time, whatever else the machine does."""
    contract = artefact.contract
    window = np.zeros((1, contract.context, len(contract.features)), np.float32)
    taken = []
    for _ in range(WARM_UP + CALLS):
        start = time.thread_time()
        artefact.forecast(window)
        taken.append(time.thread_time() - start)
    return 1000 * float(np.quantile(taken[WARM_UP:], 0.99))


def size_mb(folder: Path) -> float:
    """Size of graph and contract in MB."""
    return sum((folder / name).stat().st_size for name in (MODEL_FILE, CONTRACT_FILE)) / 1e6


def compatible(contract: Contract, champion: Contract) -> Guard:
    """Whether whoever reads the champion's forecasts can read the challenger's: no target, horizon or level may be missing."""
    equal = {"task": (champion.task, contract.task), "tick_s": (champion.panel.tick_s, contract.panel.tick_s)}
    lacking: dict[str, set[Any]] = {
        "targets": {(t.name, t.unit) for t in champion.targets} - {(t.name, t.unit) for t in contract.targets},
        "horizons": set(champion.horizons) - set(contract.horizons),
        "levels": set(champion.levels) - set(contract.levels),
    }
    faults = [f"{name} {new} in place of {old}" for name, (old, new) in equal.items() if old != new]
    faults += [f"no {name} {sorted(missing)}" for name, missing in lacking.items() if missing]
    return Guard("contract", "what the champion offers", "; ".join(faults) or "the same or more", not faults)
