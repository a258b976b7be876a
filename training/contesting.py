"""The event replay over many seeds: every policy on the same flows, at each delay, with intervals.

Decided here: that a policy's regret is what all its seeds cost over what they would have cost the clairvoyant, less 1, that
intervals resample seeds in pairs, and what `results.json` holds.
"""

import multiprocessing
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shaper.replay.contenders import Manner
from shaper.replay.contest import BASELINES, ONE_SET, OURS, TO_BEAT, Round, play_round, tune
from training.contests import ContestFile

DRAWS = 2000
LEVELS = (0.05, 0.95)
Floats = NDArray[np.float64]
Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Interval:
    """A figure over all seeds and its 90 % interval (seeds resampled in pairs)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Held:
    """A contest at one delay: the manners that were tuned, and the rounds by seed."""

    delay_s: float
    manners: dict[str, Manner]
    rounds: tuple[Round, ...]

    @property
    def bounds(self) -> Floats:
        """What each seed would have cost the clairvoyant, (seeds,) in USD."""
        return np.array([one.bound_usd for one in self.rounds])

    def costs(self, name: str) -> Floats:
        """What each seed cost a policy, (seeds,) in USD."""
        return np.array([dict(one.entries)[name].cost_usd for one in self.rounds])

    def mean(self, name: str, figure: Callable[[Any], float | None]) -> float | None:
        """Mean of a figure of a policy's entries, over the seeds that have it."""
        found = [figure(dict(one.entries)[name]) for one in self.rounds]
        known = [value for value in found if value is not None]
        return float(np.mean(known)) if known else None

    @property
    def best_baseline(self) -> str | None:
        """The baseline that cost least over all seeds."""
        played = [name for name in self.manners if name in BASELINES]
        return min(played, key=lambda name: float(self.costs(name).sum()), default=None)

    def regret(self, name: str) -> Interval:
        """Regret of a policy."""
        return resampled(lambda w: w @ self.costs(name) / (w @ self.bounds) - 1, len(self.rounds))

    def change(self, name: str, other: str) -> Interval:
        """Change of cost of a policy against another."""
        return resampled(lambda w: w @ self.costs(name) / (w @ self.costs(other)) - 1, len(self.rounds))

    def regret_ratio(self, name: str, other: str) -> Interval:
        """Regret of a policy over that of another."""
        return resampled(
            lambda w: (w @ (self.costs(name) - self.bounds)) / (w @ (self.costs(other) - self.bounds)),
            len(self.rounds),
        )


@dataclass(frozen=True)
class Contest:
    """All delays of a scenario."""

    file: ContestFile
    held: tuple[Held, ...]


def resampled(statistic: Callable[[Floats], Floats], count: int) -> Interval:
    """A statistic of weights by seed, (draws, seeds) → (draws,), at equal weights, and its interval by bootstrap; seed 0."""
    weights = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), DRAWS).astype(np.float64)
    low, high = np.quantile(statistic(weights), LEVELS)
    return Interval(float(statistic(np.ones((1, count)))[0]), float(low), float(high))


def hold(file: ContestFile, progress: Progress = lambda _share, _doing: None) -> Contest:
    """Tune the baselines, then play every policy on every seed, at each delay, on as many processes as there are cores."""
    workers = os.cpu_count() or 1
    if workers == 1:
        return Contest(file, tuple(_alone(file, delay_s) for delay_s in file.all_delays_s))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        jobs = {
            (delay_s, name): pool.submit(tune, file.setting(delay_s), name, file.tuned)
            for delay_s in file.all_delays_s
            for name in file.policies
        }
        _follow(jobs.values(), progress, "tuning")
        rounds = {}
        for delay_s in file.all_delays_s:
            manners = {name: jobs[delay_s, name].result() for name in file.policies}
            rounds[delay_s] = (
                manners,
                [pool.submit(play_round, file.setting(delay_s), manners, seed) for seed in file.reported],
            )
        _follow([job for _, played in rounds.values() for job in played], progress, "playing")
        held = [Held(delay_s, m, tuple(job.result() for job in played)) for delay_s, (m, played) in rounds.items()]
    return Contest(file, tuple(held))


def _alone(file: ContestFile, delay_s: float) -> Held:
    setting = file.setting(delay_s)
    manners = {name: tune(setting, name, file.tuned) for name in file.policies}
    return Held(delay_s, manners, tuple(play_round(setting, manners, seed) for seed in file.reported))


def _follow(jobs: Iterable[Future[Any]], progress: Progress, doing: str) -> None:
    waited = list(jobs)
    for done, job in enumerate(as_completed(waited), start=1):
        job.result()
        progress(done / len(waited), f"{doing} ({done} of {len(waited)})")


def results(contest: Contest) -> dict[str, Any]:
    """The content of `results.json`: figures only, no series."""
    file = contest.file
    return {
        "format": 2,
        "scenario": file.name,
        "seeds": list(file.reported),
        "tuned_on_seeds": list(file.tuned),
        "market": asdict(file.market),
        "sight": asdict(file.sight),
        "conditions": asdict(file.conditions),
        "delays": [_delay(held) for held in contest.held],
    }


def _delay(held: Held) -> dict[str, Any]:
    best = held.best_baseline
    rivals = [name for name in (TO_BEAT, ONE_SET) if name in held.manners]
    return {
        "delay_s": held.delay_s,
        "clairvoyant_usd": float(held.bounds.mean()),
        "best_baseline": best,
        "policies": [figures(held, name) for name in held.manners],
        "against_best_baseline": [] if best is None else _against(held, best),
        "against": {rival: _against(held, rival) for rival in rivals},
    }


def _against(held: Held, rival: str) -> list[dict[str, Any]]:
    """Change of cost, and ratio of regrets, of each of ours against another policy."""
    return [
        {
            "policy": name,
            "cost_change": asdict(held.change(name, rival)),
            "regret_ratio": asdict(held.regret_ratio(name, rival)),
        }
        for name in held.manners
        if name in OURS
    ]


def figures(held: Held, name: str) -> dict[str, Any]:
    """One policy's means over the seeds, its regret with its interval, and its cost by seed."""
    entries = [dict(one.entries)[name] for one in held.rounds]

    def means(field: str) -> dict[str, float]:
        rows = [dict(getattr(entry, field)) for entry in entries]
        return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}

    singles = ("wait_p50_s", "wait_p99_s", "goodput", "floor", "lead_less_delay_s", "idle_usd")
    return {
        "policy": name,
        "manner": asdict(held.manners[name]),
        "cost_usd": float(held.costs(name).mean()),
        "regret": asdict(held.regret(name)),
        "by_cause_usd": means("by_cause"),
        "by_tier_usd": means("by_tier"),
        "on_time": means("on_time"),
        "fairness": means("fairness"),
        **{single: held.mean(name, lambda entry, s=single: getattr(entry, s)) for single in singles},  # type: ignore[misc]
        "cost_usd_by_seed": held.costs(name).tolist(),
    }
