import json
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from data.errors import DataError
from data.lake.append import append
from data.sources.binance import Archive
from data.sources.binance_tables import listing
from data.sources.engine import Appended
from data.sources.journal import Entry, Journal
from data.sources.web import Manners
from tests.data.sources.klines import publish_days
from tests.data.sources.pulling import run_pull, table
from tests.data.sources.server import Reply, Server

DAYS = 6


def source(server: Server, days: int = DAYS) -> Archive:
    return Archive(
        (listing("ETHUSDT", "um"),), ("klines",), date(2024, 1, 1), date(2024, 1, 1 + days), "1h", server.url
    )


def command(server: Server, folder: Path) -> list[str]:
    code = (
        "import sys, argparse\n"
        "from data.sources.commands import register\n"
        "top = argparse.ArgumentParser(); register(top.add_subparsers())\n"
        "options = top.parse_args(sys.argv[1:]); sys.exit(options.run(options))"
    )
    options = ["pull", "binance", "--symbol", "ETHUSDT", "--interval", "1h", "--since", "2024-01-01"]
    options += ["--until", f"2024-01-0{1 + DAYS}", "--base-url", server.url, "--out", str(folder)]
    return [sys.executable, "-c", code, *options, "--concurrency", "2", "--json"]


def test_a_second_pull_asks_the_server_for_nothing(server: Server, tmp_path: Path) -> None:
    publish_days(server, DAYS)
    first = run_pull(source(server), tmp_path)
    asked = len(server.requests)
    second = run_pull(source(server), tmp_path)
    assert (first.skipped, second.skipped, len(server.requests)) == (0, DAYS, asked)


def test_a_longer_range_pulls_only_what_is_new(server: Server, tmp_path: Path) -> None:
    publish_days(server, DAYS)
    run_pull(source(server, 2), tmp_path)
    outcome = run_pull(source(server), tmp_path)
    assert (outcome.skipped, outcome.tables["bars"].new) == (2, 24 * (DAYS - 2))


def test_pulling_again_on_demand_changes_nothing(server: Server, tmp_path: Path) -> None:
    publish_days(server, DAYS)
    run_pull(source(server), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    outcome = run_pull(source(server), tmp_path, again=True)
    assert outcome.tables["bars"].known == 24 * DAYS
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")} == before


def test_no_more_requests_are_under_way_than_allowed(server: Server, tmp_path: Path) -> None:
    for path in publish_days(server, DAYS):
        server.faults[path] = [Reply(status=503, delay_s=0.05)]
    run_pull(source(server), tmp_path, Manners(attempts=3, concurrency=2))
    assert server.most_at_once == 2


def test_a_crash_between_append_and_journal_loses_and_doubles_nothing(server: Server, tmp_path: Path) -> None:
    publish_days(server, DAYS)
    calls = 0

    def crashing(folder: Path, name: str, frame: pl.DataFrame, origin: str) -> Appended:
        nonlocal calls
        calls += 1
        kept = append(folder, name, frame, origin)
        if calls == 3:
            raise RuntimeError("the power went out")
        return kept

    with pytest.raises(RuntimeError, match="power"):
        run_pull(source(server), tmp_path, Manners(concurrency=1), crashing)
    outcome = run_pull(source(server), tmp_path)
    assert (outcome.skipped, outcome.tables["bars"].known, outcome.tables["bars"].conflicting) == (2, 24, 0)
    assert table(tmp_path, "bars").height == 24 * DAYS


def test_a_pull_gives_up_after_three_failed_parts_and_keeps_the_others(server: Server, tmp_path: Path) -> None:
    paths = publish_days(server, DAYS)
    for path in paths[1:]:
        server.faults[path] = [Reply(status=403)]
    outcome = run_pull(source(server), tmp_path, Manners(attempts=1, concurrency=1))
    assert len(outcome.failures) == 3
    assert server.count(paths[4]) == 0
    with pytest.raises(DataError, match="403"):
        outcome.require_success("pull")
    assert table(tmp_path, "bars").height == 24


def test_a_journal_with_a_torn_line_is_read_and_goes_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path / ".pull" / "journal.jsonl")
    assert journal.finished() == frozenset()
    journal.add(Entry("one", 1, "now"))
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole + b'{"key":"tw')
    journal.add(Entry("three", 3, "now"))
    assert journal.finished() == {"one", "three"}


@pytest.mark.integration
def test_a_killed_pull_resumes_without_loss_or_duplicate(server: Server, tmp_path: Path) -> None:
    paths = publish_days(server, DAYS)
    run_pull(source(server), tmp_path / "whole")
    asked = len(server.requests)
    server.faults[paths[3]] = [Reply(server.routes[paths[3]], delay_s=60.0)]  # type: ignore[arg-type]
    server.faults[paths[5]] = [Reply(server.routes[paths[5]], delay_s=60.0)]  # type: ignore[arg-type]
    killed = subprocess.Popen(
        command(server, tmp_path / "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        journal = Journal(tmp_path / "killed" / ".pull" / "journal.jsonl")
        wait_for(lambda: len(journal.finished()) == 4 and paths[5] in server.requests[asked:])
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    asked = len(server.requests)
    shown = subprocess.run(command(server, tmp_path / "killed"), capture_output=True, text=True, check=True)
    report = json.loads(shown.stdout)
    assert (report["parts"], report["finished_earlier"]) == (DAYS, 4)
    assert sorted(path for path in server.requests[asked:] if path.endswith(".zip")) == [paths[3], paths[5]]
    assert table(tmp_path / "killed", "bars").equals(table(tmp_path / "whole", "bars"))
    assert report["tables"]["bars"] == {"new": 48, "known": 0, "conflicting": 0, "broken": 0}


def wait_for(condition: "object", seconds: float = 30.0) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.mark.integration
def test_a_command_that_succeeds_says_what_it_did_and_draws_its_progress_aside(server: Server, tmp_path: Path) -> None:
    publish_days(server, DAYS)
    plain = [word for word in command(server, tmp_path) if word != "--json"]
    shown = subprocess.run(plain, capture_output=True, text=True, check=True)
    assert "144" in shown.stdout
    assert "6 parts, 0 of them finished earlier, 0 failed" in shown.stdout
    assert "6/6" in shown.stderr
