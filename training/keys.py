"""The configuration of a run that is not a network's: the keys that all of them share, and how they are read.

Decided here: what is fitted has a section of its own beside `run` and `data`, and values that cannot be fitted are for the user to
mend.
"""

import json
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from data.errors import UsageError
from training.cli import SEED, explained
from training.datamodule import PanelData
from training.settings import RunSettings, plainly


def reader_of(command: str, description: str, example: str, seed: str) -> ArgumentParser:
    """A reader of `run` and `data`; `seed` says what the seed is for."""
    made = ArgumentParser(prog=command, description=description, epilog=example, exit_on_error=False)
    made.add_argument("--config", action="config", help="a configuration file")
    made.add_argument("--seed_everything", type=int, default=SEED, help=seed)
    made.add_class_arguments(RunSettings, "run")
    made.add_class_arguments(PanelData, "data")
    made.link_arguments("seed_everything", "data.seed")
    return made


def read(reader: ArgumentParser, arguments: list[str]) -> tuple[Namespace, dict[str, Any]]:
    """The settings that arguments tell, as values and as they are recorded. Raises UsageError."""
    with explained(str(reader.prog)):
        told = reader.parse_args(arguments)
    config = json.loads(reader.dump(told, format="json", skip_unset=False))
    config.pop("config", None)
    return instantiated(reader, told), config


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
