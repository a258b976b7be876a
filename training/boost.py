"""Gradient boosting as a run: the same data, split, calibration, scores and record as a network's.

Decided here: the keys of a boosting configuration (`boosting` in place of `model` and `trainer`), and that the graph is made at
the fit, because trees are not pickled.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
from jsonargparse import ArgumentParser, Namespace

from data.errors import UsageError
from training import boosting
from training.bundle import samples
from training.calibrating import offsets
from training.cli import SEED, explained, write_config
from training.datamodule import PanelData
from training.ensembles import Boosted
from training.evaluation import headlines
from training.fitting import ARTEFACT, CONFIG, Fit, begin, calibration_of, conclude, judge
from training.preparation import Prepared
from training.progress import bar
from training.settings import RunSettings, plainly
from training.tracking import closing, code_version

DESCRIPTION = "Fit gradient boosting on recorded history."
EXAMPLE = (
    "example: shaper train boost --config training/configs/panel-boosting.yaml --data.history history"
    " --data.split.until 2024-02-01"
)


def parser() -> ArgumentParser:
    """The keys of a boosting run."""
    made = ArgumentParser(prog="shaper train boost", description=DESCRIPTION, epilog=EXAMPLE, exit_on_error=False)
    made.add_argument("--config", action="config", help="a configuration file")
    made.add_argument("--seed_everything", type=int, default=SEED, help="seed of the sampling")
    made.add_class_arguments(RunSettings, "run")
    made.add_class_arguments(PanelData, "data")
    made.add_class_arguments(boosting.Boosting, "boosting")
    made.link_arguments("seed_everything", "data.seed")
    made.link_arguments("seed_everything", "boosting.seed")
    return made


def boost(arguments: list[str]) -> tuple[Fit, RunSettings]:
    """Fit what the arguments say; returns the finished run and where it is kept."""
    reader = parser()
    with explained("shaper train boost"):
        told = reader.parse_args(arguments)
    made = instantiated(reader, told)
    config = json.loads(reader.dump(told, format="json", skip_unset=False))
    config.pop("config", None)
    return fit(made.boosting, made.data, made.run, config), made.run


def instantiated(reader: ArgumentParser, told: Namespace) -> Namespace:
    """The settings as values. Raises UsageError for those that cannot be fitted."""
    try:
        with plainly():
            made: Namespace = reader.instantiate(told)
            return made
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(
            "configuration", expected="values that can be fitted", found=str(error), remedy="correct the configuration"
        ) from error


def fit(config: boosting.Boosting, data: PanelData, settings: RunSettings, told: dict[str, Any]) -> Fit:
    """Fit, calibrate, score, export and record."""
    prepared = data.prepared
    run = begin(settings, prepared, told)
    write_config(settings.home / CONFIG, told)
    with closing(run):
        boosted = trees(config, prepared, data.batch.stride)
        if settings.calibrate:
            boosted = boosted.calibrated(offsets(boosted.predict, prepared))
        calibration = calibration_of(boosted.predict, prepared, settings)
        verdict = judge(boosted.predict, prepared, calibration)
        contract = msgspec.structs.replace(
            prepared.contract,
            name=settings.name,
            architecture=boosting.ARCHITECTURE,
            code_version=code_version(),
            calibration=calibration,
            metrics=headlines(verdict.metrics),
        )
        boosting.export(boosted, contract, settings.home / ARTEFACT, samples(prepared))
        return conclude(contract, verdict, settings, run)


def trees(config: boosting.Boosting, prepared: Prepared, stride: int) -> Boosted:
    """Fit every ensemble on the fitting rows."""
    rows = prepared.trainable(prepared.split.fit, stride)
    with bar("boosting") as progress:
        return boosting.fit(config, prepared.contract, prepared.windows, prepared.labels, rows, progress)


def fit_boosting(config: Path, overrides: tuple[str, ...] = ()) -> Fit:
    """Fit the boosting of a configuration file; overrides are written as on the command line (`--data.history=DIR`)."""
    return boost(["--config", str(config), *overrides])[0]
