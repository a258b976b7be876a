"""What a search may change: a short YAML of keys, written as on the command line, with ranges or choices.

Decided here: the two kinds of entries, `{low, high, log, step}` and `{choices}`, and that whole bounds give whole numbers.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from data.errors import UsageError

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

Value = bool | int | float | str


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers from low to high, both included; `log`: even over orders of magnitude; `step`: multiples above low."""

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None


class Choices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of a few values."""

    choices: tuple[Value, ...]


@dataclass(frozen=True)
class Space:
    """Ranges and choices by key."""

    keys: dict[str, Range | Choices]

    def ask(self, trial: "BaseTrial") -> tuple[str, ...]:
        """Values that a trial suggests, as overrides of a command line."""
        return tuple(f"--{key}={suggested(trial, key, entry)}" for key, entry in self.keys.items())


def suggested(trial: "BaseTrial", key: str, entry: Range | Choices) -> Value:
    """One value."""
    if isinstance(entry, Choices):
        return cast("Value", trial.suggest_categorical(key, entry.choices))
    if isinstance(entry.low, int) and isinstance(entry.high, int):
        return trial.suggest_int(key, entry.low, entry.high, step=int(entry.step or 1), log=entry.log)
    return trial.suggest_float(key, entry.low, entry.high, step=entry.step, log=entry.log)


def read_space(path: Path) -> Space:
    """Read a file. Raises UsageError for what is not YAML, unknown fields, empty choices or bounds out of order."""
    try:
        raw = msgspec.yaml.decode(path.read_bytes(), type=dict[str, dict[str, Any]])
        keys = {key: entry_of(entry) for key, entry in raw.items()}
    except (OSError, msgspec.MsgspecError) as error:
        raise faulty(path, "keys with {low, high} or {choices}", str(error)) from error
    for key, entry in keys.items():
        if isinstance(entry, Choices):
            holds = bool(entry.choices)
        else:
            holds = entry.low < entry.high and not (entry.log and (entry.low <= 0 or entry.step is not None))
        if not holds:
            raise faulty(path, f"for {key} some choices, or low below high (log: above 0, without a step)", str(entry))
    if not keys:
        raise faulty(path, "at least one key", "none")
    return Space(keys)


def entry_of(raw: dict[str, Any]) -> Range | Choices:
    """One entry of the file."""
    return msgspec.convert(raw, Choices) if "choices" in raw else msgspec.convert(raw, Range)


def faulty(path: Path, expected: str, found: str) -> UsageError:
    """The error of a search space."""
    return UsageError(str(path), expected=expected, found=found, remedy="see training/configs/tune-panel-linear.yaml")
