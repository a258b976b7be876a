"""Tables of a configuration as frozen dataclasses: an unknown key is refused where it stands, a misfit is named."""

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from data.errors import UsageError

T = TypeVar("T")


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises UsageError when it cannot be read or is not TOML."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            str(path), expected="a readable TOML file", found=str(error), remedy="correct the path or the file"
        ) from error


def convert(kind: type[T], section: Mapping[str, Any], where: str) -> T:
    """A dataclass from a table of plain values, checked to the depth.

    Raises UsageError naming each unknown key, else the first value that does not fit, else what the class itself refuses.
    """
    unknown = sorted(unknown_keys(kind, section))
    if unknown:
        raise UsageError(
            where, expected="known keys only", found=f"unknown {', '.join(unknown)}", remedy="correct or remove them"
        )
    try:
        return msgspec.convert(section, kind)
    except (msgspec.ValidationError, ValueError) as error:
        raise UsageError(where, expected="values that fit", found=str(error), remedy="correct that key") from error


def unknown_keys(kind: Any, value: Any, path: str = "") -> Iterator[str]:
    """Dotted names of the keys that a dataclass, or one inside it, does not have."""
    inner = next((part for part in (kind, *parts_of(kind)) if dataclasses.is_dataclass(part)), None)
    if inner is None:
        return
    if isinstance(value, list):
        for item in value:
            yield from unknown_keys(inner, item, path)
    elif isinstance(value, Mapping):
        hints = get_type_hints(inner)
        for key, entry in value.items():
            here = f"{path}.{key}" if path else key
            if key in hints:
                yield from unknown_keys(hints[key], entry, here)
            else:
                yield here


def parts_of(kind: Any) -> Iterator[Any]:
    """The types that a union or a container is made of, to the depth."""
    for part in get_args(kind):
        yield part
        yield from parts_of(part)
