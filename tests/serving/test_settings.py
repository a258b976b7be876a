from collections import Counter
from pathlib import Path

import pytest

from data.errors import UsageError
from data.strict import convert, read_toml
from serving.settings import Settings, check, is_loopback, read_settings, resolved
from tests.serving.fuzzing import Spoiler
from tests.serving.made import write_config

DEPLOYED = Path(__file__).parents[2] / "serving" / "deploy" / "shaper.toml"


def faults(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        check(read_settings(path), str(path))
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_the_deployed_example_is_sound() -> None:
    settings = read_settings(DEPLOYED)
    check(settings, str(DEPLOYED))
    assert settings.server.host == "127.0.0.1"
    assert [tier.name for tier in settings.venue.tiers] == ["critical", "hedge", "maker", "taker", "bulk"]


def test_spoilt_settings_are_sound_or_said_to_be_wrong_and_nothing_else(tmp_path: Path) -> None:
    sound, found = read_toml(DEPLOYED), Counter[str]()
    for number in range(300):
        spoilt = Spoiler(number).value(sound)
        try:
            check(resolved(convert(Settings, spoilt, "here"), tmp_path), "here")
        except UsageError:
            found["wrong"] += 1
        else:
            found["sound"] += 1
    assert min(found.values()) > 30


def test_what_is_nested_too_deeply_is_no_readable_file(tmp_path: Path) -> None:
    path = tmp_path / "deep.toml"
    path.write_text("a = " + "[" * 100_000 + "]" * 100_000, "utf-8")
    assert "expected a readable TOML file" in faults(path)


def test_paths_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    settings = read_settings(write_config(tmp_path, 'kind = "history"\nfolder = "rows"'))
    assert settings.model.artefact == str(tmp_path / "artefact")
    assert settings.feed.folder == str(tmp_path / "rows")


def test_the_name_of_a_registered_model_is_no_path(tmp_path: Path) -> None:
    config = write_config(tmp_path, change=('artefact = "artefact"', 'artefact = "models:/demand@champion"'))
    assert read_settings(config).model.artefact == "models:/demand@champion"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("port = 0", "prot = 0"), "server.prot"),
        (("review_s = 15", "reveiw_s = 15"), "venue.reveiw_s"),
        (("min_units = 2", "min_unit = 2"), "venue.pool.min_unit"),
        (("deadline_s = 30", "dead_line_s = 30"), "venue.tiers.dead_line_s"),
        (("[model]", "[modell]"), "modell"),
    ],
)
def test_an_unknown_key_is_named_where_it_stands(tmp_path: Path, change: tuple[str, str], named: str) -> None:
    assert f"unknown {named}" in faults(write_config(tmp_path, change=change))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("port = 0", 'port = "8080"'), "Expected `int`, got `str`"),
        (("port = 0", "port = 70000"), "server.port from 0 to 65535; found 70000"),
        (("port = 0", 'host = "0.0.0.0"'), "loopback interface"),
        (("port = 0", 'host = "venue.example"'), "loopback interface"),
        (("review_s = 15", "review_s = -1"), "positive review_s"),
        (("demand_share = 0.75", "demand_share = 0.8"), "demand shares that sum to 1"),
        (('[venue.pool]\nname = "matching"', "[venue.pool]"), "missing required field `name`"),
        (("[model]", "[model]\nmax_blind_ticks = 0"), "max_blind_ticks of at least 1"),
    ],
)
def test_a_value_that_cannot_be_is_named(tmp_path: Path, change: tuple[str, str], named: str) -> None:
    assert named in faults(write_config(tmp_path, change=change))


@pytest.mark.parametrize(
    ("feed", "named"),
    [
        ('kind = "none"\nfolder = "rows"', 'only with feed.kind = "history"'),
        ('kind = "history"\nclock = "rows"', 'only with feed.kind = "none"'),
        ('kind = "history"\nspeed = 0', "feed.speed above 0"),
        ('kind = "history"\nspeed = nan', "feed.speed above 0"),
        ('kind = "replay"', "Invalid enum value 'replay'"),
        ('kind = "history"\nstart = 2024-01-01T00:00:00', "timezone"),
        (
            'kind = "history"\nstart = 2024-01-02T00:00:00Z\nuntil = 2024-01-01T00:00:00Z',
            "feed.start before feed.until",
        ),
        ('kind = "none"\nsettle_s = 100', "feed.settle_s"),
        ('kind = "none"\ndemand_window_s = 0', "feed.demand_window_s"),
    ],
)
def test_a_feed_that_contradicts_itself_is_refused(tmp_path: Path, feed: str, named: str) -> None:
    assert named in faults(write_config(tmp_path, feed))


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[server", b"port = 1 = 2"])
def test_what_is_not_toml_is_one_message(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "shaper.toml"
    path.write_bytes(content)
    assert len(faults(path).splitlines()) == 1


def test_a_file_that_is_not_there_is_one_message(tmp_path: Path) -> None:
    assert "No such file" in faults(tmp_path / "none.toml")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.0.9", "::1"])
def test_a_host_of_this_machine_is_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "10.0.0.1", "localhost.example", "127.0.0.1.example"])  # noqa: S104
def test_any_other_host_is_not(host: str) -> None:
    assert not is_loopback(host)
