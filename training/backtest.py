"""Rolling origin: fit at each origin (or once) on what was known there, forecast the step that follows, score all steps together.

Decided here: folds do not overlap, an embargo lies between fitting and what is scored, scores are means over seeds, and the
interval of a skill resamples days of the loss that is averaged over seeds.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.errors import UsageError
from data.history import History
from training import evaluation, folds, pricing, single, slices
from training.alarms import select
from training.evaluation import Hindsight
from training.exporting import export_run
from training.fitting import ARTEFACT, write_json
from training.folds import Fold, Place, Rolling, one_fold
from training.forecasting import write_seen
from training.metrics import day_interval, day_sums, pinball, skill
from training.scenario import read_scenario
from training.significance import Difference, averaged, difference, pair
from training.tracking import Run, Store, closing, environment
from training.weighted import Weighted, weighted

DEMAND, COST, EXPORTED, FORECASTS = "demand", "cost.json", "exported", "forecasts"


@dataclass(frozen=True)
class Result:
    """A model over all folds: metrics by flat name (means over seeds), those of each fold, and what each seed said."""

    name: str
    task: str
    metrics: dict[str, float]
    folds: tuple[dict[str, float], ...]
    by_seed: tuple[dict[str, Hindsight], ...]
    levels: tuple[float, ...]
    tick_s: int
    units: dict[str, str]
    baseline: bool = False
    run_id: str = ""
    page: str = ""

    @property
    def seen(self) -> dict[str, Hindsight]:
        """What the first seed said beside what came."""
        return self.by_seed[0]


Progress = Callable[[str, int, int], None]
Tell = Callable[[str, int], None]


def run(rolling: Rolling, progress: Progress | None = None) -> list[Result]:
    """Backtest every configuration and the baselines; `progress` is told (model and fold, done, total).

    Raises DataError for a history that ends before the first fold or holds no orders to price decisions on, and whatever a
    fit raises.
    """
    require_priced(rolling)
    digest = History.open(rolling.history).digest()
    baselines = [*folds.persistence(rolling), *rolling.baselines]
    configs = [*baselines, *rolling.configs]
    each = len(rolling.fitted) * max(1, len(rolling.seeds))
    results = []
    for place, config in enumerate(configs):

        def tell(name: str, done: int, before: int = place * each) -> None:
            if progress is not None:
                progress(name, before + done, len(configs) * each)

        results.append(roll(config, rolling, digest, tell, baseline=place < len(baselines)))
    return results


def require_priced(rolling: Rolling) -> None:
    """Before anything is fitted: raise UsageError or DataError where decisions are to be priced and cannot be."""
    if rolling.scenario is None:
        return
    scenario, history = read_scenario(rolling.scenario), History.open(rolling.history)
    known = {target for config in rolling.configs for target in folds.panel_told(config).get("targets", ())}
    if DEMAND not in known:
        raise UsageError(
            "--scenario",
            expected=f"a configuration that forecasts {DEMAND}, whose decisions can be priced",
            found=", ".join(sorted(known)) or "the usual targets of a panel",
            remedy="leave --scenario out, or add such a --config, for example training/configs/demand-tcn.yaml",
        )
    for fold in rolling.fitted:
        since = rolling.starts(fold)
        pricing.require_orders(history, scenario, since, since + dt.timedelta(days=rolling.tested_days))


def roll(config: Path, rolling: Rolling, digest: str, tell: Tell, baseline: bool) -> Result:
    """All folds of one configuration under every seed, pooled and recorded under one parent run."""
    told = single.read(config)
    name, task = str(told.get("run", {}).get("name", config.stem)), folds.task_of(folds.panel_told(config))
    parent = parent_run(name, task, rolling, baseline) if rolling.track else None
    with closing(parent):
        rolled = []
        for number, seed in enumerate(seeds_of(config, rolling)):
            for fold in rolling.fitted:
                tell(f"{name}, fold {fold + 1} of {rolling.folds}", number * len(rolling.fitted) + fold)
                rolled.append((seed, one_fold(config, Place(name, fold, digest, seed), rolling, parent)))
        result = pooled(name, task, rolled, rolling, baseline)
        record(result, rolling.home / name, parent)
    return result if parent is None else replace(result, run_id=parent.run_id, page=parent.page)


def seeds_of(config: Path, rolling: Rolling) -> tuple[int | None, ...]:
    """Seeds to fit with; what cannot learn is fitted once."""
    fixed = single.read(config).get("model", {}).get("architecture") == folds.PERSISTENCE
    return (None,) if fixed or not rolling.seeds else rolling.seeds


def pooled(name: str, task: str, rolled: Sequence[tuple[int | None, Fold]], rolling: Rolling, baseline: bool) -> Result:
    """Everything that is said of a model over all folds."""
    seeds = list(dict.fromkeys(seed for seed, _ in rolled))
    by_seed = tuple(evaluation.joined([fold.seen for of, fold in rolled if of == seed]) for seed in seeds)
    levels, first = rolled[0][1].levels, [fold for of, fold in rolled if of == seeds[0]]
    each = [scores(seen, levels) for seen in by_seed]
    metrics = {key: float(np.mean([one[key] for one in each if key in one])) for key in each[0]}
    for target in by_seed[0]:
        metrics |= over_seeds(target, [seen[target] for seen in by_seed], each, levels)
    if rolling.scenario is not None and DEMAND in by_seed[0]:
        metrics |= {f"test/{DEMAND}/{key}": value for key, value in costs(rolled, rolling).items()}
    by_fold = tuple(fold.metrics for fold in first) if rolling.refit else cut(by_seed[0], levels, rolling)
    fold = rolled[0][1]
    return Result(name, task, metrics, by_fold, by_seed, levels, fold.tick_s, fold.units, baseline)


def scores(seen: dict[str, Hindsight], levels: tuple[float, ...]) -> dict[str, float]:
    """Metrics by flat name, regimes and hours among them."""
    found = evaluation.flat(evaluation.score(seen, levels), levels, "test")
    for target, one in seen.items():
        parts = slices.flat(slices.slices(one.issued, levels))
        found |= {f"test/{target}/{key}": value for key, value in parts.items()}
    return found


def over_seeds(
    target: str, seen: Sequence[Hindsight], each: Sequence[dict[str, float]], levels: tuple[float, ...]
) -> dict[str, float]:
    """The spread over seeds, and the interval of the skill of the loss averaged over them; nothing for one seed."""
    if len(seen) == 1:
        return {}
    known = [one.issued.complete() for one in seen]
    losses = [pinball(one.truth, one.quantiles, levels).mean(axis=(1, 2)) for one in known]
    base = pinball(known[0].truth, known[0].reference, levels).mean(axis=(1, 2))
    skills = [one[f"test/{target}/skill"] for one in each]
    found = {"skill_seed_low": min(skills), "skill_seed_high": max(skills)}
    interval = day_interval(day_sums(known[0].issued_s, np.mean(losses, axis=0), base), skill)
    if interval is not None:
        found |= {"skill_low": interval[0], "skill_high": interval[1]}
    return {f"test/{target}/{key}": value for key, value in found.items()}


def cut(seen: dict[str, Hindsight], levels: tuple[float, ...], rolling: Rolling) -> tuple[dict[str, float], ...]:
    """Metrics of each step of a model that was fitted once."""
    found = []
    for fold in range(rolling.folds):
        span = (rolling.starts(fold).timestamp(), rolling.starts(fold + 1).timestamp())
        part = {target: between(one, *span) for target, one in seen.items()}
        found.append(evaluation.flat(evaluation.score(part, levels), levels, "test"))
    return tuple(found)


def between(seen: Hindsight, start_s: float, end_s: float) -> Hindsight:
    """The issue times in [start, end), epoch seconds."""

    def inside(at_s: NDArray[np.int64]) -> NDArray[np.bool_]:
        return (at_s >= start_s) & (at_s < end_s)

    onsets = seen.onsets
    return Hindsight(
        slices.subset(seen.issued, inside(seen.issued.issued_s)),
        None if onsets is None else select(onsets, inside(onsets.tick * onsets.tick_s)),
    )


def costs(rolled: Sequence[tuple[int | None, Fold]], rolling: Rolling) -> dict[str, float]:
    """What decisions cost over all folds and seeds."""
    found = []
    for place, (_, fold) in enumerate(rolled):
        since = rolling.starts(place % len(rolling.fitted))
        found.append(cost(fold, rolling, since, since + dt.timedelta(days=rolling.tested_days)))
    return pricing.flat(pricing.total(found))


def cost(fold: Fold, rolling: Rolling, since: dt.datetime, until: dt.datetime) -> pricing.Cost:
    """What the decisions of one fold cost, replayed unless they have been already."""
    assert rolling.scenario is not None  # noqa: S101 - the only caller asks first
    key = hashlib.sha256(json.dumps([rolling.scenario.read_text("utf-8"), fold.key]).encode()).hexdigest()
    known = folds.read_fold(fold.home / COST)
    if known.get("key") != key:
        made = fold.home / ARTEFACT
        if not made.is_dir():
            made = fold.home / EXPORTED
            export_run(fold.home, made)
        found = pricing.price(made, rolling.history, read_scenario(rolling.scenario), since, until)
        known = {"key": key, "led_usd": found.led_usd, "reactive_usd": found.reactive_usd}
        write_json(fold.home / COST, known)
    return pricing.Cost(known["led_usd"], known["reactive_usd"])


def gains(results: Sequence[Result]) -> dict[tuple[str, str], tuple[str, Difference | None]]:
    """By (model, target): the best baseline of its task there, and the gain over it, its loss averaged over seeds."""
    found = {}
    for result in results:
        for target in result.seen if not result.baseline else ():
            rivals = [one for one in results if one.baseline and one.task == result.task and target in one.seen]
            if rivals:
                best = max(rivals, key=lambda one: one.metrics.get(f"test/{target}/skill", -np.inf))
                found[result.name, target] = (best.name, gain(result, best, target))
    return found


def weighed(
    results: Sequence[Result], horizons: Sequence[int]
) -> dict[tuple[str, str], list[tuple[str, Weighted | None]]]:
    """By (model, target): at each horizon the baseline with the least weighted quantile loss there, and the loss against it."""
    found = {}
    for result in results:
        for target, one in result.seen.items():
            steps = [horizon - 1 for horizon in horizons if horizon <= one.issued.truth.shape[1]]
            rivals = [other for other in results if other.baseline and other.task == result.task]
            found[result.name, target] = [lightest(result, rivals, target, step) for step in steps]
    return found


def lightest(result: Result, rivals: Sequence[Result], target: str, step: int) -> tuple[str, Weighted | None]:
    """The loss at one horizon against the baseline that does best there."""
    ours = [seen[target].issued for seen in result.by_seed]
    against = [
        (one.name, weighted(ours, one.seen[target].issued, result.levels, result.units[target], step))
        for one in rivals
        if target in one.seen and one.levels == result.levels
    ]
    known = [(name, one) for name, one in against if one is not None]
    return min(known, key=lambda pair: pair[1].gain, default=("", None))


def gain(result: Result, other: Result, target: str) -> Difference | None:
    """A model against another on the issue times that both have; none where they share none."""
    levels = (result.levels, other.levels)
    pairs = [pair(seen[target].issued, other.seen[target].issued, levels) for seen in result.by_seed]
    known = [one for one in pairs if one is not None]
    return difference(averaged(known)) if known and len(known) == len(pairs) else None


def parent_run(name: str, task: str, rolling: Rolling, baseline: bool) -> Run:
    """The run that the folds of one model are nested under."""
    tags = {"kind": "baseline" if baseline else "backtest", "task": task, **environment()}
    run = Store(rolling.store).start(rolling.experiment or task, name, tags)
    settings = {"folds": rolling.folds, "step_days": rolling.step_days, "origin": rolling.origin.isoformat()}
    settings |= {"refit": rolling.refit, "seeds": list(rolling.seeds)}
    run.params({"history": str(rolling.history), **settings})
    return run


def record(result: Result, home: Path, parent: Run | None) -> None:
    """Keep metrics and what the first seed said, in a folder and with the run; forecasts also as `shaper forecast` writes them."""
    write_json(home / "metrics.json", result.metrics)
    evaluation.save(result.seen, home / folds.TEST)
    write_seen(result.seen, result.levels, home / FORECASTS)
    if parent is not None:
        parent.tags({"tick_s": str(result.tick_s)})
        parent.metrics(result.metrics)
        parent.file(home / folds.TEST)
        for fold, values in enumerate(result.folds):
            parent.metrics({f"fold/{key}": value for key, value in values.items() if key.endswith("/skill")}, fold)
