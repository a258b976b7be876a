"""The demo as a list of the product's own commands: what a newcomer would type, in order, with the periods filled in.

Decided here: which periods are held out (the last fifth of the panel, the last two days of the orders), which models are
fitted, that the one exported is chosen on its validation period, and that a finished step is not done again.
"""

import datetime as dt
import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data.errors import DataError
from data.history import History
from training.fitting import METRICS, write_json

CONFIGS = Path(__file__).parent / "configs"
SCENARIO, TOLD = CONFIGS / "replay.toml", CONFIGS / "replay-systemic.toml"
RIVALS = ("priority + LIFO, one set", "ours, learned")
DONE = "steps.json"
MODELS = ("persistence", "linear", "tcn")
LEARNED = ("linear", "tcn")
REPLAY_DAYS, HELD_OUT = 2.0, 0.2
SEEDS = 6  # of the surge that is told: its interval is clear of zero, in half a minute
STEPS = {"linear": 400, "tcn": 260}  # of the optimiser: enough for the losses to flatten, few enough for minutes
EPOCH_STEPS, VALIDATE_EVERY = 40, 4  # a large history is validated on the way, a small one not after each few steps


@dataclass(frozen=True)
class Step:
    """One command: what it is for, its words after `shaper`, and what it leaves behind."""

    title: str
    argv: tuple[str, ...]
    product: Path

    @property
    def line(self) -> str:
        """The command as one would type it."""
        return shlex.join(["shaper", *self.argv])


@dataclass(frozen=True)
class Periods:
    """Ends of what training may know: of the panel, and of the order stream."""

    panel: dt.datetime
    demand: dt.datetime
    panel_end: dt.datetime


@dataclass(frozen=True)
class Story:
    """Where the demo works and on which history."""

    home: Path
    history: Path

    def run_folder(self, task: str, model: str) -> Path:
        """Folder of a fitted run."""
        return self.home / "runs" / f"{task}-{model}"

    def artefact(self, task: str) -> Path:
        """Folder of the artefact of a task."""
        return self.home / "artefacts" / task

    @property
    def replay(self) -> Path:
        """Folder of the results of the replay of this history."""
        return self.home / "replay"

    @property
    def told(self) -> Path:
        """Folder of the results of the replay of a surge that was told."""
        return self.home / "told"


def world_step(story: Story, days: float, seed: int) -> Step:
    """Generate the simulated world."""
    argv = ("data", "simulate", "--out", str(story.history), "--days", f"{days:g}", "--seed", str(seed))
    return Step("A world that never happened", argv, story.history / "blocks.parquet")


def fit_steps(story: Story, periods: Periods) -> list[Step]:
    """Check the history, fit every model on it, and set the runs side by side."""
    steps = [Step("Can the history be trusted?", ("data", "check", str(story.history)), story.history)]
    for task, until in (("panel", periods.panel), ("demand", periods.demand)):
        steps += [fit_step(story, task, model, until) for model in MODELS]
        argv = ("compare", "--experiment", f"demo-{task}", "--store", str(story.home / "mlflow"))
        out = story.home / "compare" / task
        steps.append(Step(f"The {task} models side by side", (*argv, "--out", str(out)), out))
    return steps


def fit_step(story: Story, task: str, model: str, until: dt.datetime) -> Step:
    """Fit one model on what was known before `until`."""
    days = (3, 3) if task == "panel" else (1, 2)
    settings = {
        "data.history": str(story.history),
        "data.split.until": f"{until:%Y-%m-%dT%H:%M}",
        "data.split.validation_days": days[0],
        "data.split.calibration_days": days[1],
        "run.folder": str(story.home / "runs"),
        "run.store": str(story.home / "mlflow"),
        "run.experiment": f"demo-{task}",
    }
    if model in STEPS:
        limits = {"max_epochs": 60, "max_steps": STEPS[model], "limit_train_batches": EPOCH_STEPS}
        limits["check_val_every_n_epoch"] = VALIDATE_EVERY
        settings |= {f"trainer.{key}": value for key, value in limits.items()} | {"early_stopping.patience": 20}
    words = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    config = str(CONFIGS / f"{task}-{model}.yaml")
    product = story.run_folder(task, model) / METRICS
    return Step(f"Fit {task}-{model}", ("train", "fit", "--config", config, *words), product)


def serve_steps(story: Story, periods: Periods) -> list[Step]:
    """Export the better learned model of each task, forecast the held-out period, and close the loop."""
    steps = [export_step(story, task) for task in ("panel", "demand")]
    forecasts = story.home / "forecasts"
    argv = ("forecast", "--model", str(story.artefact("panel")), "--data", str(story.history), "--out", str(forecasts))
    span = ("--since", f"{periods.panel:%Y-%m-%dT%H:%M}", "--until", f"{periods.panel_end:%Y-%m-%dT%H:%M}")
    steps.append(Step("What it would have said of the held-out days", (*argv, *span), forecasts))
    words = ("--scenario", str(SCENARIO), "--data", str(story.history), "--model", str(story.artefact("demand")))
    title = "The closed loop: does this forecast pay on these orders?"
    steps.append(Step(title, ("replay", *words, "--out", str(story.replay)), story.replay))
    rivals = (word for name in RIVALS for word in ("--policy", name))
    told = ("replay", "--scenario", str(TOLD), *rivals, "--seeds", str(SEEDS), "--out", str(story.told))
    title = "And when a warning comes 90 s before a surge to ten times the calm, and half of the warnings are false?"
    return [*steps, Step(title, told, story.told)]


def export_step(story: Story, task: str) -> Step:
    """Export the better learned model of a task."""
    source = story.run_folder(task, best(story, task))
    argv = ("export", str(source), "--out", str(story.artefact(task)))
    return Step(f"Export {source.name}, the better on its validation period", argv, story.artefact(task))


def best(story: Story, task: str) -> str:
    """The learned model with the highest mean skill over targets on its validation period."""
    return max(LEARNED, key=lambda model: validation_skill(story.run_folder(task, model)))


def validation_skill(run: Path) -> float:
    """Mean over targets of a run's skill on its validation period."""
    metrics = json.loads((run / METRICS).read_text("utf-8"))
    found = [value for key, value in metrics.items() if key.startswith("validation/") and key.endswith("/skill")]
    return float(sum(found) / len(found))


def periods(history: History) -> Periods:
    """Where the held-out periods begin. Raises DataError when a table of the story is missing."""
    missing = sorted({"bars", "blocks", "request_counts"} - history.tables)
    if missing:
        raise DataError(
            history.where,
            expected="bars, blocks and request_counts",
            found=f"no {', '.join(missing)}",
            remedy="add them",
        )
    first, last = span(history, "blocks")
    held = dt.timedelta(days=max(round((last - first).total_seconds() * HELD_OUT / 86400), 1))
    panel = (last - held).replace(hour=0, minute=0, second=0, microsecond=0)
    orders = span(history, "request_counts")[1].replace(second=0, microsecond=0)
    return Periods(panel, orders - dt.timedelta(days=REPLAY_DAYS), last)


def span(history: History, table: str) -> tuple[dt.datetime, dt.datetime]:
    """First and last time of a table."""
    found = history.scan(table).select(first=pl.col("ts").min(), last=pl.col("ts").max()).collect().row(0)
    return found[0], found[1]


def play(
    story: Story, steps: list[Step], commands: Mapping[str, Callable[[list[str]], int]], told: Callable[[str], None]
) -> None:
    """Run the steps that are not done yet. Raises DataError when one fails."""
    record = story.home / DONE
    done = json.loads(record.read_text("utf-8")) if record.is_file() else {}
    for step in steps:
        told(f"\n[bold]{step.title}[/bold]\n[dim]$ {step.line}[/dim]")
        if done.get(step.line) and step.product.exists():
            told("[dim]done before[/dim]")
            continue
        if commands[step.argv[0]](list(step.argv[1:])) != 0:
            raise DataError(
                step.line, expected="a step that succeeds", found="a failure", remedy="mend what it says above"
            )
        done[step.line] = True
        write_json(record, done)
