"""Worlds by name: a scenario is a TOML file that says what differs from the measured world, and what happens when.

Decided here: the form of the file. `summary` is one sentence; below `[world]` stand values of `World` by their names, at any
depth, and `[[world.episodes]]`. Everything else stays as it is in the world that the scenario is applied to.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from data.errors import UsageError
from data.strict import convert, read_toml
from data.world.constants import World

FOLDER = Path(__file__).with_name("scenarios")


@dataclass(frozen=True)
class Scenario:
    """What differs from the measured world, as plain nested values."""

    summary: str
    world: dict[str, Any] = field(default_factory=dict)


def names() -> tuple[str, ...]:
    """The scenarios that come with the product; `market`, the measured world itself, is first."""
    return ("market", *sorted(path.stem for path in FOLDER.glob("*.toml") if path.stem != "market"))


def read(name: str) -> Scenario:
    """A scenario by its name, or from a file whose path ends with `.toml`. Raises UsageError when there is none such."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        raise UsageError(
            "scenario", expected=f"one of {', '.join(names())}, or a TOML file", found=name, remedy="choose one of them"
        )
    return convert(Scenario, read_toml(path), str(path))


def applied(scenario: Scenario, world: World | None = None) -> World:
    """The world with the scenario's values put in. Raises UsageError for unknown names and values that do not fit."""
    whole: dict[str, Any] = asdict(world or World())
    return convert(World, merged(whole, scenario.world), "scenario: world")


def merged(whole: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values with some of them replaced; tables are merged, all else is replaced."""
    values = dict(whole)
    for name, value in part.items():
        old = values.get(name)
        values[name] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return values
