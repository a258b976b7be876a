"""Quantile regression as a run: the same data, split, calibration, scores and record as a network's.

Decided here: the keys of its configuration (`regression` in place of `model` and `trainer`). The run folder holds the same
`model.pt` as that of a network, whose architecture is `regression`.
"""

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from models.regression import Regression, RegressionConfig
from training import regressing
from training.bundle import Bundle
from training.cli import write_config
from training.datamodule import PanelData
from training.fitting import CONFIG, Fit, begin, finish
from training.keys import read, reader_of
from training.regressing import Regressing
from training.settings import RunSettings
from training.tracking import closing

ARCHITECTURE = "regression"
DESCRIPTION = "Fit quantile regression on recorded history."
EXAMPLE = (
    "example: shaper train regress --config training/configs/volatility-har.yaml --data.history history"
    " --data.split.until 2024-02-01"
)


def parser() -> ArgumentParser:
    """The keys of a regression."""
    made = reader_of("shaper train regress", DESCRIPTION, EXAMPLE, "recorded; the fit is not random")
    made.add_class_arguments(Regressing, "regression")
    return made


def regress(arguments: list[str]) -> tuple[Fit, RunSettings]:
    """Fit what the arguments say; returns the finished run and where it is kept."""
    made, config = read(parser(), arguments)
    return fit(made.regression, made.data, made.run, config), made.run


def fit(config: Regressing, data: PanelData, settings: RunSettings, told: dict[str, Any]) -> Fit:
    """Fit, calibrate, score, save and record."""
    prepared = data.prepared
    run = begin(settings, prepared, told)
    write_config(settings.home / CONFIG, told)
    with closing(run):
        network = Regression(prepared.shape, prepared.statistics, RegressionConfig(config.half_life))
        regressing.fit(config, network, prepared, prepared.trainable(prepared.split.fit, data.batch.stride))
        bundle = Bundle.of(ARCHITECTURE, {"half_life": config.half_life}, network, prepared)
        return finish(bundle, prepared, settings, run)


def fit_regression(config: Path, overrides: tuple[str, ...] = ()) -> Fit:
    """Fit the regression of a configuration file; overrides are written as on the command line (`--data.history=DIR`)."""
    return regress(["--config", str(config), *overrides])[0]
