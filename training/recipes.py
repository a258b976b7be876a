"""One way to fit whatever a configuration file describes, for the commands that fit many."""

from pathlib import Path

from training.fitting import Fit
from training.single import fit_single, kind


def fit(config: Path, overrides: tuple[str, ...] = ()) -> Fit:
    """Fit a configuration file; overrides are written as on the command line, such as `--data.split.until=2024-02-01`.

    Raises UsageError when the file cannot be read as YAML; SystemExit(2) for keys that do not exist.
    """
    if kind(config) == "combination":
        from training.combine import combine

        return combine(["--config", str(config), *overrides])[0]
    return fit_single(config, overrides)
