from dataclasses import replace
from pathlib import Path

import pytest

from data.errors import UsageError
from serving.haproxy.files import files, write
from serving.haproxy.render import depths, render
from serving.haproxy.settings import Server, rules
from tests.serving.haproxy.made import section, venue


def refused(**changes: object) -> list[str]:
    own = section(Path("/x"), **changes)
    return [f"{expected}; {found}" for holds, expected, found, _ in rules(own, venue()) if not holds]


def test_the_section_of_the_example_contradicts_nothing() -> None:
    assert refused() == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"bind": "localhost:80"}, "bind"),
        ({"tier_from": "key"}, "keys"),
        ({"keys": "keys.map"}, "keys"),
        ({"lifo_after": 0}, "lifo_after"),
        ({"threads": 0}, "threads"),
        ({"account_share": 0.0}, "account_share"),
        ({"queue_timeout_s": 0.0}, "queue_timeout_s"),
        ({"tier_header": "x tier"}, "headers"),
    ],
)
def test_a_setting_that_cannot_be_is_named(changes: dict[str, object], named: str) -> None:
    (fault,) = refused(**changes)
    assert named in fault


def test_a_node_without_a_server_and_a_server_without_a_node_are_named() -> None:
    own = section(Path("/x"))
    strange = replace(own, servers=(*own.servers[:2], Server("n9", "127.0.0.1:1")))
    (fault,) = [f"{expected}; {found}" for holds, expected, found, _ in rules(strange, venue()) if not holds]
    assert "n2" in fault
    assert "n9" in fault


def test_nothing_that_may_have_reached_a_node_is_tried_again() -> None:
    text = render(section(Path("/x")), venue())
    assert "retry-on conn-failure" in text
    assert "all-retryable-errors" not in text


def test_the_less_urgent_a_tier_the_less_of_the_queue_it_may_fill() -> None:
    deep = depths(section(Path("/x"), max_waiting=1000), venue().tiers)
    assert list(deep.values()) == [1000, 800, 600, 400, 200]


def test_a_key_decides_the_tier_where_labels_are_not_trusted(tmp_path: Path) -> None:
    text = render(section(tmp_path, tier_from="key", keys="/k/keys.map"), venue())
    assert "req.hdr(x-api-key),map_str(/k/keys.map,bulk)" in text
    assert "x-tier" not in text


def test_files_are_put_in_place_whole(tmp_path: Path) -> None:
    own = section(tmp_path)
    path = write(own, venue())
    assert {one.name for one in tmp_path.iterdir()} == set(files(own, venue()))
    assert path.read_text() == render(own, venue())
    assert (tmp_path / "classes.map").read_text().splitlines()[0] == "critical 0"


def test_an_unknown_key_of_the_section_is_refused(tmp_path: Path) -> None:
    from serving.settings import read_settings
    from tests.serving.made import write_config

    config = write_config(tmp_path)
    config.write_text(config.read_text() + '\n[dataplane.haproxy]\nsocket = "s"\nservers = []\nbalance = "x"\n')
    with pytest.raises(UsageError, match="balance"):
        read_settings(config)
