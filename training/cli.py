"""The command line of network training: LightningCLI with the project's module, data and runs.

Decided here: which keys a configuration has beside Lightning's own (`run`, `early_stopping`), what happens before and after a
fit, and which of Lightning's remarks are not worth a reader's time.
"""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec.yaml
import torch
from jsonargparse import ArgumentError
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities import rank_zero_only

from data.errors import UsageError
from training.datamodule import PanelData
from training.fitting import CONFIG, Fit, begin, finish
from training.module import ForecastModule
from training.settings import RunSettings, plainly
from training.tracking import Run, closing

CHECKPOINTS, BEST, LAST = "checkpoints", "best", "last"
SEED = 7
REMARKS = (
    "The '.*_dataloader' does not have many workers",
    "Checkpoint directory .* exists and is not empty",
    "`LightningModule.configure_optimizers` returned `None`",
    "`training_step` returned `None`",
    "The number of training batches",
    "`Trainer.fit` stopped",
    ".*isinstance\\(treespec, LeafSpec\\).*",
)


class ForecastCLI(LightningCLI):
    """Parse, fit, validate or test; after a fit `result` holds the finished run."""

    result: Fit | None = None
    run_settings: RunSettings
    tracked: Run | None = None

    def __init__(self, args: ArgsType, description: dict[str, str] | None = None) -> None:
        told = {**(description or {}), "exit_on_error": False}
        with quiet(), plainly():
            super().__init__(
                ForecastModule,
                PanelData,
                args=args,
                save_config_callback=None,
                seed_everything_default=SEED,
                trainer_defaults={"logger": False, "enable_model_summary": False, "max_epochs": 10},
                auto_configure_optimizers=False,
                load_from_checkpoint_support=False,
                parser_kwargs={"prog": "shaper train", **told, **{name: dict(told) for name in self.subcommands()}},
            )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """What Lightning offers that makes sense here."""
        loaders = {"model", "train_dataloaders", "val_dataloaders", "dataloaders", "datamodule"}
        return {"fit": loaders, "validate": loaders, "test": loaders}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the run and early stopping; the seed also goes into the contract."""
        parser.add_class_arguments(RunSettings, "run")
        parser.add_lightning_class_args(EarlyStopping, "early_stopping")
        parser.set_defaults({"early_stopping.monitor": "val_loss", "early_stopping.patience": 3})
        parser.link_arguments("seed_everything", "data.seed", compute_fn=int)

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse what was handed over, whatever the process was started with."""
        with explained("shaper train"):
            self.config = parser.parse_args(args)  # type: ignore[arg-type]

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """A trainer that keeps the best and the last weights in the run's folder."""
        self.run_settings = self._get(self.config_init, "run")
        told = self._get(self.config_init, "trainer")
        named = told.get("callbacks") or []
        kept = checkpoints(self.run_settings.home / CHECKPOINTS)
        callbacks = [*(named if isinstance(named, list) else [named]), *kept]
        return super().instantiate_trainer(callbacks=callbacks, default_root_dir=self.run_settings.home, **kwargs)

    def before_fit(self) -> None:
        """Read the history first, so that nothing is written when it cannot be used; then open the run.

        Of several processes the first alone keeps the run.
        """
        prepared = self.datamodule.prepared
        self.model.adopt(self.datamodule)
        if not first_process():
            return
        config = msgspec.yaml.decode(self.parser.dump(self.config, skip_none=False))["fit"]
        resumed = config.pop("ckpt_path", None) is not None
        config.pop("config", None)
        self.tracked = begin(self.run_settings, prepared, config, resumed)
        write_config(self.run_settings.home / CONFIG, config)
        if self.tracked is not None:
            self.trainer.logger = self.tracked.logger()

    def after_fit(self) -> None:
        """Take the best weights, calibrate, score, save and record."""
        if not first_process():
            return
        with closing(self.tracked):
            best = getattr(self.trainer.checkpoint_callback, "best_model_path", "")
            if best and self.run_settings.keep == "best":
                self.model.load_state_dict(torch.load(best, map_location="cpu", weights_only=True)["state_dict"])
            bundle = self.model.bundle()
            self.result = finish(bundle, self.datamodule.prepared, self.run_settings, self.tracked)


def checkpoints(folder: Path) -> list[ModelCheckpoint]:
    """Keepers of the best weights and of every epoch's: `save_last` alone would skip epochs that are not the best so far."""
    return [
        ModelCheckpoint(folder, BEST, monitor="val_loss", enable_version_counter=False),
        ModelCheckpoint(folder, LAST, enable_version_counter=False),
    ]


def first_process() -> bool:
    """Whether this is the first of the processes that fit together, or the only one."""
    return not getattr(rank_zero_only, "rank", 0)


@contextmanager
def explained(command: str) -> Iterator[None]:
    """Turn a parser's error into one UsageError."""
    try:
        yield
    except ArgumentError as error:
        found = " ".join(str(error.message).split())
        remedy = f"see `{command} --help`, or --print_config for all keys"
        raise UsageError("options", expected="known options and values", found=found, remedy=remedy) from error


def fit_network(config: Path, overrides: tuple[str, ...] = ()) -> Fit:
    """Fit the network of a configuration file; overrides are written as on the command line (`--data.history=DIR`)."""
    cli = ForecastCLI(["fit", "--config", str(config), *overrides])
    if cli.result is None:
        raise RuntimeError("expected a finished fit")
    return cli.result


def write_config(path: Path, config: Mapping[str, Any]) -> None:
    """Write what a run was told, so that it can be run again."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(msgspec.yaml.encode(config))
    partial.replace(path)


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out remarks that hold for every run here."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric", "mlflow")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Lightning, jsonargparse and torch about one another
            for message in REMARKS:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
