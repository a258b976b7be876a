"""One way to fit whatever a configuration file describes, for the commands that fit many.

Decided here: a file with a `boosting` section is gradient boosting, any other is a network.
"""

from pathlib import Path
from typing import Any

import msgspec.yaml

from data.errors import UsageError
from training.fitting import Fit


def fit(config: Path, overrides: tuple[str, ...] = ()) -> Fit:
    """Fit a configuration file; overrides are written as on the command line, such as `--data.split.until=2024-02-01`.

    Raises UsageError when the file cannot be read as YAML; SystemExit(2) for keys that do not exist.
    """
    if has_trees(config):
        from training.boost import fit_boosting

        return fit_boosting(config, overrides)
    from training.cli import fit_network

    return fit_network(config, overrides)


def has_trees(config: Path) -> bool:
    """Whether a configuration file describes gradient boosting."""
    return "boosting" in read(config)


def read(config: Path) -> dict[str, Any]:
    """The content of a configuration file."""
    try:
        return msgspec.yaml.decode(config.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageError(
            str(config), expected="a configuration in YAML", found=str(error), remedy="see training/configs"
        ) from error
