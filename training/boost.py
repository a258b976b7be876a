"""Gradient boosting as a run: the same data, split, calibration, scores and record as a network's.

Decided here: the keys of a boosting configuration (`boosting` in place of `model` and `trainer`), and that the graph is made at
the fit, because trees are not pickled.
"""

from pathlib import Path
from typing import Any

import msgspec
from jsonargparse import ArgumentParser

from training import boosting
from training.bundle import samples
from training.calibrating import offsets
from training.cli import write_config
from training.datamodule import PanelData
from training.ensembles import Boosted
from training.evaluation import headlines
from training.fitting import ARTEFACT, CONFIG, Fit, begin, calibration_of, conclude, judge
from training.keys import read, reader_of
from training.preparation import Prepared
from training.progress import bar
from training.settings import RunSettings
from training.tracking import closing, code_version

DESCRIPTION = "Fit gradient boosting on recorded history."
EXAMPLE = (
    "example: shaper train boost --config training/configs/panel-boosting.yaml --data.history history"
    " --data.split.until 2024-02-01"
)


def parser() -> ArgumentParser:
    """The keys of a boosting run."""
    made = reader_of("shaper train boost", DESCRIPTION, EXAMPLE, "seed of the sampling")
    made.add_class_arguments(boosting.Boosting, "boosting")
    made.link_arguments("seed_everything", "boosting.seed")
    return made


def boost(arguments: list[str]) -> tuple[Fit, RunSettings]:
    """Fit what the arguments say; returns the finished run and where it is kept."""
    made, config = read(parser(), arguments)
    return fit(made.boosting, made.data, made.run, config), made.run


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
