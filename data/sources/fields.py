"""Values out of JSON that somebody else wrote: each has the type that is needed, or an error names the field.

Decided here: numbers may come as text (exchanges do that), and nothing else is guessed.
"""

from collections.abc import Mapping
from typing import cast

from data.errors import DataError

REMEDY = "the source changed its format: use a mapping file with `shaper data import`"


def mapping(value: object, where: str) -> Mapping[str, object]:
    """A JSON object."""
    if isinstance(value, dict):
        return cast("Mapping[str, object]", value)
    raise unfit(where, "a JSON object", value)


def array(value: object, where: str) -> list[object]:
    """A JSON array."""
    if isinstance(value, list):
        return value
    raise unfit(where, "a JSON array", value)


def number(value: object, where: str, name: str) -> float:
    """A number, also one that is written as text."""
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            pass
    raise unfit(where, f"a number in {name}", value)


def whole(value: object, where: str, name: str) -> int:
    """A whole number, also one that is written as text."""
    found = number(value, where, name)
    if found != int(found):
        raise unfit(where, f"a whole number in {name}", value)
    return int(value) if isinstance(value, int | str) and str(value).lstrip("-").isdigit() else int(found)


def unfit(where: str, expected: str, value: object) -> DataError:
    """The error for a value that is not what is needed."""
    return DataError(where, expected=expected, found=repr(value)[:80], remedy=REMEDY)
