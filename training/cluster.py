"""The same search on a Ray cluster: one actor holds the study, and trials run wherever a core is free.

Decided here: the study stays where the search was started; nodes need the package, the history under the same path, and the
MLflow server that MLFLOW_TRACKING_URI names, and nothing else of one another.
"""

from dataclasses import replace
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from data.environment import unless_told_otherwise
from training.fitting import write_json
from training.pruning import RAY
from training.space import Space
from training.study import Judge, storage
from training.tracking import closing
from training.tuning import Found, Progress, Search, one_trial, open_parent, settle


class Remote:
    """The judge of a trial, which is asked over the cluster."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor

    def ask(self, space: Space) -> tuple[int, tuple[str, ...]]:
        """As `Judge.ask`."""
        found: tuple[int, tuple[str, ...]] = ray.get(self.actor.ask.remote(space))
        return found

    def finish(self, number: int, value: float | None, pruned: bool = False) -> None:
        """As `Judge.finish`."""
        ray.get(self.actor.finish.remote(number, value, pruned))


def search_on_cluster(search: Search, address: str, jobs: int, progress: Progress, track: bool = True) -> Found:
    """Search on a cluster, `jobs` trials at a time. Raises what a trial raises; what was found until then is kept."""
    unless_told_otherwise("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports home unless told not to
    ray.init(address=None if address == "local" else address, ignore_reinit_error=True, log_to_driver=False)
    where = storage(search.home)
    judge = Judge(where, search.name, search.seed)
    judge.recover()
    actor_name = f"shaper-tune-{search.name}"
    local = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor: Any = (
        ray.remote(Judge)
        .options(name=actor_name, num_cpus=0, scheduling_strategy=local)
        .remote(where, search.name, search.seed)
    )
    run = open_parent(search, judge, track)
    told = replace(search, where=f"{RAY}{actor_name}", parent=None if run is None else run.run_id)
    try:
        with closing(run):
            nodes = roll(told, actor, jobs, max(0, search.trials - judge.done()), progress)
            write_json(search.home / "nodes.json", {"nodes": nodes})
            return settle(search, judge, run)
    finally:
        ray.kill(actor)


def roll(search: Search, actor: Any, jobs: int, left: int, progress: Progress) -> list[str]:
    """Keep `jobs` trials running until enough have ended; returns the nodes that they ran on."""
    trial = ray.remote(trial_on_node).options(num_cpus=1, scheduling_strategy="SPREAD")
    waiting = [trial.remote(search, actor) for _ in range(min(jobs, left))]
    nodes: list[str] = []
    while waiting:
        ready, waiting = ray.wait(waiting)
        nodes += ray.get(ready)
        progress(len(nodes), left)
        if len(nodes) + len(waiting) < left:
            waiting.append(trial.remote(search, actor))
    return nodes


def trial_on_node(search: Search, actor: Any) -> str:
    """One trial; returns the node that it ran on."""
    one_trial(search, Remote(actor))
    return str(ray.get_runtime_context().get_node_id())
