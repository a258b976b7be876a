"""One way to fit whatever a configuration file of a single model describes, and to read any configuration file.

Decided here: the section that a file has beside its data says what it describes; a file with none of these is a network.
"""

from pathlib import Path
from typing import Any, Literal

import msgspec.yaml

from data.errors import UsageError
from training.fitting import Fit

Kind = Literal["network", "trees", "regression", "combination"]
SECTIONS: dict[str, Kind] = {"boosting": "trees", "regression": "regression", "combination": "combination"}


def fit_single(config: Path, overrides: tuple[str, ...] = ()) -> Fit:
    """Fit a configuration file; overrides are written as on the command line, such as `--data.split.until=2024-02-01`.

    Raises UsageError when the file cannot be read as YAML; SystemExit(2) for keys that do not exist.
    """
    match kind(config):
        case "trees":
            from training.boost import fit_boosting

            return fit_boosting(config, overrides)
        case "regression":
            from training.regress import fit_regression

            return fit_regression(config, overrides)
        case "network":
            from training.cli import fit_network

            return fit_network(config, overrides)
        case "combination":
            raise UsageError(
                str(config), expected="a single model", found="a combination", remedy="name its members one by one"
            )


def kind(config: Path) -> Kind:
    """What a configuration file describes."""
    told = read(config)
    return next((kind for section, kind in SECTIONS.items() if section in told), "network")


def read(config: Path) -> dict[str, Any]:
    """The content of a configuration file."""
    try:
        return msgspec.yaml.decode(config.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageError(
            str(config), expected="a configuration in YAML", found=str(error), remedy="see training/configs"
        ) from error
