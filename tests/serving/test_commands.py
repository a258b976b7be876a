import socket
from pathlib import Path

import pytest

from data.errors import DataError, UsageError
from serving import commands
from serving.cli import main as shaper
from serving.sockets import address, listen
from tests.serving.made import contract, write_artefact, write_config, write_history


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logging.basicConfig", lambda **_: None)
    monkeypatch.delenv("SHAPER_HISTORY", raising=False)


def test_help_ends_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        commands.main(["--help"])
    assert ended.value.code == 0
    assert "shaper serve --config serving/deploy/shaper.toml" in capsys.readouterr().out


def test_check_says_that_all_is_sound_and_serves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_artefact(tmp_path / "artefact")
    history = write_history(tmp_path / "rows", 1.0)
    config = write_config(tmp_path)
    assert commands.main(["--config", str(config), "--check"]) == 0
    assert commands.main(["--config", str(config), "--check", "--history", str(history), "--speed", "9"]) == 0
    assert "are sound" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (("port = 0", "prot = 0"), 2),
        (('artefact = "artefact"', 'artefact = "none"'), 1),
        (("port = 0", 'host = "0.0.0.0"'), 2),
    ],
)
def test_what_cannot_be_served_ends_with_one_message_and_a_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], status: int
) -> None:
    write_artefact(tmp_path / "artefact")
    config = write_config(tmp_path, change=change)
    assert shaper(["serve", "--config", str(config), "--check"]) == status
    message = capsys.readouterr().err
    assert message.startswith("shaper serve: ")
    assert len(message.strip().splitlines()) == 1
    assert "expected" in message
    assert "found" in message


def test_the_contract_of_another_model_is_refused_with_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_artefact(tmp_path / "artefact", digest=contract("another").digest)
    assert shaper(["serve", "--config", str(write_config(tmp_path)), "--check"]) == 1
    assert "made for the contract" in capsys.readouterr().err


def test_a_venue_that_needs_another_target_is_refused(tmp_path: Path) -> None:
    write_artefact(tmp_path / "artefact")
    demand = '[venue.demand]\ncoefficients = [["volatility", 1.0]]\n[venue.pool]'
    config = write_config(tmp_path, change=("[venue.pool]", demand))
    with pytest.raises(UsageError, match="targets of model echo: demand; found volatility"):
        commands.main(["--config", str(config), "--check"])


def test_a_history_feed_without_a_folder_is_refused(tmp_path: Path) -> None:
    write_artefact(tmp_path / "artefact")
    with pytest.raises(UsageError, match="SHAPER_HISTORY is not set"):
        commands.main(["--config", str(write_config(tmp_path, 'kind = "history"')), "--check"])


def test_a_history_feed_finds_the_folder_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_artefact(tmp_path / "artefact")
    monkeypatch.setenv("SHAPER_HISTORY", str(write_history(tmp_path / "rows", 1.0)))
    assert commands.main(["--config", str(write_config(tmp_path, 'kind = "history"')), "--check"]) == 0


def test_a_port_that_is_taken_is_named() -> None:
    with listen("127.0.0.1", 0) as taken:
        taken.listen()
        with pytest.raises(DataError, match=f"found {taken.getsockname()[1]}: "):
            listen("127.0.0.1", taken.getsockname()[1])


def test_an_address_is_a_url() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert address(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"
    if socket.has_ipv6:
        with listen("::1", 0) as listener:
            assert address(listener).startswith("http://[::1]:")
