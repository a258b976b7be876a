from dataclasses import dataclass
from pathlib import Path

import pytest

from data.errors import UsageError
from data.strict import convert, read_toml


@dataclass(frozen=True)
class Inner:
    name: str
    rate: float = 1.0


@dataclass(frozen=True)
class Outer:
    inners: tuple[Inner, ...]
    one: Inner | None = None
    count: int = 0

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError(f"expected a count of 0 or more, found {self.count}")


def test_tables_become_nested_dataclasses() -> None:
    made = convert(Outer, {"inners": [{"name": "a"}, {"name": "b", "rate": 2}], "one": {"name": "c"}}, "here")
    assert made == Outer((Inner("a"), Inner("b", 2.0)), Inner("c"))


def test_every_unknown_key_is_named_where_it_stands() -> None:
    section = {"inners": [{"name": "a", "rte": 1}], "one": {"name": "c", "x": 0}, "cuont": 1}
    with pytest.raises(UsageError, match=r"file\.toml.*unknown cuont, inners\.rte, one\.x") as caught:
        convert(Outer, section, "file.toml")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("section", "named"),
    [({"inners": [{"name": 3}]}, "name"), ({}, "inners"), ({"inners": [], "count": -1}, "count of 0 or more")],
)
def test_a_value_that_does_not_fit_is_named(section: dict[str, object], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        convert(Outer, section, "file.toml")


def test_a_file_that_is_not_toml_is_a_usage_error(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text("a = [", "utf-8")
    with pytest.raises(UsageError, match=r"broken\.toml.*TOML"):
        read_toml(path)
    with pytest.raises(UsageError, match=r"absent\.toml"):
        read_toml(tmp_path / "absent.toml")
