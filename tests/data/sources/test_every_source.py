"""One suite that every source has to pass, whatever its format."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from data.errors import DataError
from data.history import History
from data.lake.append import append
from data.sources.binance import Archive
from data.sources.binance_rest import Newest
from data.sources.binance_tables import listing
from data.sources.deribit import Deribit
from data.sources.dumpster import Dumpster
from data.sources.engine import Appended, Source
from data.sources.evm import Asked, Chain
from data.sources.mempool_space import BANDS, Mempool
from data.sources.web import Manners
from tests.data.sources import test_binance_rest as rest
from tests.data.sources import test_deribit as deribit
from tests.data.sources import test_dumpster as dumpster
from tests.data.sources.klines import publish_days
from tests.data.sources.node import Node
from tests.data.sources.pulling import run_pull
from tests.data.sources.server import Reply, Server

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
PATIENT = Manners(attempts=8, concurrency=1, timeout_s=0.5)


def binance(server: Server) -> Source:
    publish_days(server, 3)
    return Archive((listing("ETHUSDT", "um"),), ("klines",), date(2024, 1, 1), date(2024, 1, 4), "1h", server.url)


def binance_rest(server: Server) -> Source:
    server.routes |= {"/fapi/v1/time": rest.clock(START + 48 * HOUR), "/fapi/v1/klines": rest.klines}
    return Newest((listing("ETHUSDT", "um"),), ("klines",), START, START + 24 * HOUR, "5m", server.url)


def evm(server: Server) -> Source:
    server.routes["/"] = Node()
    return Chain(Asked(f"{server.url}/", START + HOUR / 3, START + HOUR / 2, batch=20))


def mempool_dumpster(server: Server) -> Source:
    dumpster.publish(server, "2024-01-01", [])
    dumpster.publish(server, "2024-01-02", dumpster.TODAY)
    return Dumpster(date(2024, 1, 2), date(2024, 1, 3), base_url=server.url)


def mempool_space(server: Server) -> Source:
    record = {"added": 1_743_508_800, "count": 1, "total_fee": 5, "min_fee": 1, "vsizes": [1.0] * len(BANDS)}
    server.routes["/api/v1/statistics/24h"] = json.dumps([record]).encode()
    return Mempool("24h", None, "bitcoin", server.url)


def deribit_dvol(server: Server) -> Source:
    server.routes["/public/get_time"] = deribit.result(deribit.START_MS + 99 * deribit.HOUR_MS)
    server.routes["/public/get_volatility_index_data"] = deribit.paged_candles
    return Deribit(("dvol",), ("ETH", "BTC"), (), START, START + 24 * HOUR, 3600, server.url)


every_source = pytest.mark.parametrize(
    "make", [binance, binance_rest, evm, mempool_dumpster, mempool_space, deribit_dvol], ids=lambda make: make.__name__
)
Make = Callable[[Server], Source]


def content(folder: Path) -> str:
    return History.open(folder).digest()


@every_source
def test_rate_limits_faults_timeouts_and_broken_connections_change_nothing(
    server: Server, tmp_path: Path, make: Make
) -> None:
    source = make(server)
    assert run_pull(source, tmp_path / "calm").failures == []
    for path in set(server.requests):
        server.faults[path] = [
            Reply(status=429, headers={"retry-after": "2"}),
            Reply(status=503),
            Reply(delay_s=0.8),
            Reply(b"half of", announced=5000),
        ]
    outcome = run_pull(source, tmp_path / "rough", PATIENT)
    assert outcome.failures == []
    assert not any(server.faults.values())
    assert content(tmp_path / "rough") == content(tmp_path / "calm")


@every_source
def test_a_crash_after_an_append_and_a_second_run_give_the_same_history(
    server: Server, tmp_path: Path, make: Make
) -> None:
    source = make(server)
    run_pull(source, tmp_path / "whole")
    calls = 0

    def crashing(folder: Path, table: str, frame: pl.DataFrame, origin: str) -> Appended:
        nonlocal calls
        calls += 1
        kept = append(folder, table, frame, origin)
        if calls == 2:
            raise RuntimeError("the power went out")
        return kept

    try:
        run_pull(source, tmp_path / "torn", Manners(concurrency=1), crashing)
    except RuntimeError:
        assert calls == 2
    outcome = run_pull(source, tmp_path / "torn")
    assert [counts.conflicting + counts.broken for counts in outcome.tables.values()] == [0] * len(outcome.tables)
    assert content(tmp_path / "torn") == content(tmp_path / "whole")


@every_source
@pytest.mark.parametrize(
    "garbage", [b"", b"{}", b"[]", b"null", b'[[1, "x"]]', b"<html>", b"PK\x03\x04", b'{"result": 7}']
)
def test_an_answer_of_any_other_form_is_an_error_of_ours_and_writes_no_row(
    server: Server, tmp_path: Path, make: Make, garbage: bytes
) -> None:
    source = make(server)
    for path in list(server.routes):
        server.routes[path] = garbage
    try:
        outcome = run_pull(source, tmp_path, Manners(attempts=1))
        assert outcome.failures or sum(counts.new for counts in outcome.tables.values()) == 0
    except DataError:
        pass
    assert list(tmp_path.rglob("*.parquet")) == []


@every_source
def test_every_row_says_where_it_came_from(server: Server, tmp_path: Path, make: Make) -> None:
    run_pull(make(server), tmp_path)
    for path in tmp_path.rglob("*.parquet"):
        found = pl.read_parquet(path, hive_partitioning=False)["origin"]
        assert found.null_count() == 0
        assert found.str.starts_with(server.url).all()
