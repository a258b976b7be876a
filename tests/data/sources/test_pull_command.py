import json
from pathlib import Path

import pytest

from data.commands import main
from data.errors import DataError
from tests.data.sources.klines import publish_days
from tests.data.sources.node import Node
from tests.data.sources.server import Reply, Server, zipped

RANGE = ["--since", "2024-01-01", "--until", "2024-01-03"]
KEYED = "/v3/secret"


def pull(folder: Path, *options: str) -> int:
    return main(["pull", *options, "--out", str(folder), "--attempts", "2"])


def test_from_an_empty_folder_to_a_history_that_passes_its_check(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_days(server, 2)
    funding = "calc_time,funding_interval_hours,last_funding_rate\n1704067200000,8,0.0001\n1704096000007,8,-0.0002\n"
    server.publish("/data/futures/um/monthly/fundingRate/ETHUSDT/ETHUSDT-fundingRate-2024-01.zip", zipped(funding))
    server.routes[KEYED] = Node()
    lake = tmp_path / "lake"
    kinds = ["--kind", "klines", "--kind", "fundingRate", "--interval", "1h"]
    assert pull(lake, "binance", "--symbol", "ETHUSDT", *kinds, *RANGE, "--base-url", server.url) == 0
    assert pull(lake, "evm", "--rpc", f"{server.url}{KEYED}", *RANGE) == 0
    assert main(["check", str(lake)]) == 0
    shown = capsys.readouterr().out
    assert "3 parts, 0 of them finished earlier, 0 failed" in shown
    assert "bars" in shown
    assert "secret" not in shown


def test_the_outcome_is_there_for_other_programs(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_days(server, 1)
    options = ["--symbol", "ETHUSDT", "--interval", "1h", *RANGE, "--base-url", server.url, "--json"]
    assert pull(tmp_path, "binance", *options) == 0
    assert json.loads(capsys.readouterr().out) == {
        "parts": 2,
        "finished_earlier": 0,
        "absent": ["binance/um/klines/ETHUSDT=ETH-PERP/1h/2024-01-02"],
        "failures": [],
        "tables": {"bars": {"new": 24, "known": 0, "conflicting": 0, "broken": 0}},
    }


def test_a_failed_part_ends_the_command_with_its_message_after_the_others_are_kept(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = publish_days(server, 2)
    server.faults[paths[0]] = [Reply(status=403)]
    options = ["--symbol", "ETHUSDT", "--interval", "1h", *RANGE, "--base-url", server.url]
    with pytest.raises(DataError, match="403 Forbidden") as caught:
        pull(tmp_path, "binance", *options)
    assert caught.value.exit_code == 1
    assert "24" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options",
    [
        ["nowhere"],
        ["binance", "--symbol", "ETHUSDT", "--since", "yesterday"],
        ["binance", "--symbol", "ETHUSDT", "--kind", "books", "--since", "2024-01-01"],
        ["binance", "--symbol", "ETHUSDT", "--since", "2024-01-01", "--concurrency", "0"],
        ["binance", "--symbol", "ETHUSDT", "--since", "2024-01-01", "--timeout", "0"],
        ["evm", "--since", "2024-01-01"],
    ],
)
def test_a_command_that_is_written_wrongly_ends_with_status_2(tmp_path: Path, options: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        pull(tmp_path, *options)
    assert caught.value.code == 2


@pytest.mark.parametrize(
    "source", ["binance", "binance-rest", "evm", "evm-live", "dumpster", "mempool-space", "deribit"]
)
def test_every_source_has_its_own_help(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["pull", source, "--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert "--out DIR" in shown
    assert shown.splitlines()[-1].startswith(f"  shaper data pull {source} ")
