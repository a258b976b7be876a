"""The memory of a search: which trials were made, how they ended, and what to try next. It outlives a kill.

Decided here: trials are asked of a tree-structured Parzen estimator and pruned below the median of earlier ones; less is better;
what was running when a search was killed is tried again.
"""

from pathlib import Path

import optuna
from optuna.trial import Trial, TrialState

from training.space import Space, Value

STARTUP, WARM_UP = 4, 1  # trials that are never pruned, and epochs after which a trial may be
RUN = "run_id"


class Judge:
    """A study in a storage, opened or made; every worker has its own, all see the same trials."""

    def __init__(self, storage: str, name: str, seed: int = 0) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = optuna.create_study(
            storage=storage,
            study_name=name,
            sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP, constant_liar=True),
            pruner=optuna.pruners.MedianPruner(STARTUP, WARM_UP),
            load_if_exists=True,
        )

    def ask(self, space: Space) -> tuple[int, tuple[str, ...]]:
        """Number of a new trial, and its values as overrides of a command line."""
        trial = self.study.ask()
        return trial.number, space.ask(trial)

    def hopeless(self, number: int, step: int, value: float) -> bool:
        """Note a value of a running trial, and whether it should end."""
        identity = self.study.get_trials(deepcopy=False)[number]._trial_id
        trial = Trial(self.study, identity)
        trial.report(value, step)
        return trial.should_prune()

    def finish(self, number: int, value: float | None, pruned: bool = False) -> None:
        """Note how a trial ended: with a value, pruned, or failed where there is neither."""
        state = TrialState.PRUNED if pruned else TrialState.FAIL if value is None else None
        self.study.tell(number, value if state is None else None, state=state)

    def recover(self) -> int:
        """Close what was running when a search was killed, and try it again first; returns how many trials that were."""
        stale = self.study.get_trials(states=(TrialState.RUNNING,))
        for trial in stale:
            self.study.enqueue_trial(trial.params)
            self.study.tell(trial.number, state=TrialState.FAIL)
        return len(stale)

    def done(self) -> int:
        """Trials that ended with a value or were pruned."""
        return len(self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)))

    def best(self) -> tuple[int, float, dict[str, Value]] | None:
        """Number, value and parameters of the best trial; none when none is complete."""
        if not self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            return None
        found = self.study.best_trial
        return found.number, float(found.values[0]), dict(found.params)

    def counts(self) -> dict[str, int]:
        """Trials by how they ended."""
        states = [trial.state.name.lower() for trial in self.study.get_trials(deepcopy=False)]
        return {state: states.count(state) for state in sorted(set(states))}

    def remembered(self) -> str | None:
        """The MLflow run of the search, where it has one."""
        found: str | None = self.study.user_attrs.get(RUN)
        return found

    def remember(self, run_id: str) -> None:
        """Note the MLflow run of the search."""
        self.study.set_user_attr(RUN, run_id)


def storage(home: Path) -> str:
    """Address of a search's storage: one file in its folder."""
    home.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{(home / 'study.db').resolve()}"
