import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data.errors import DataError
from data.sources.deribit import Deribit
from tests.data.sources.pulling import run_pull, table
from tests.data.sources.server import Handler, Reply, Server

START = datetime(2024, 1, 1, tzinfo=UTC)
START_MS = 1_704_067_200_000
HOUR_MS = 3_600_000


def result(value: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "result": value, "usIn": 1, "usOut": 2, "testnet": False}).encode()


def asked(server: Server, kind: str, hours: float, now_ms: int) -> Deribit:
    server.routes["/public/get_time"] = result(now_ms)
    until = START + timedelta(hours=hours)
    return Deribit((kind,), ("ETH",), ("ETH-PERPETUAL",), START, until, 3600, server.url)


def paged_candles(query: dict[str, str], _: Any) -> Reply:
    """At most 10 candles an answer, the newest first, and where the next page ends."""
    first, last = int(query["start_timestamp"]), int(query["end_timestamp"])
    times = [at for at in range(START_MS, last + 1, HOUR_MS) if at >= first]
    page = times[-10:]
    following = page[0] - 1 if len(times) > len(page) else None
    return Reply(result({"data": [[at, 50.0, 52.0, 49.0, 51.0] for at in page], "continuation": following}))


def test_dvol_arrives_as_candles_over_several_pages(server: Server, tmp_path: Path) -> None:
    server.routes["/public/get_volatility_index_data"] = paged_candles
    run_pull(asked(server, "dvol", 48, START_MS + 30 * HOUR_MS + 1), tmp_path)
    bars = table(tmp_path, "bars")
    assert bars["ts"].to_list() == [START + timedelta(hours=n) for n in range(30)]
    assert bars.row(0) == ("ETH-DVOL", START, 3600, 50.0, 52.0, 49.0, 51.0, 0.0, None)


def test_pages_that_lead_nowhere_end_in_one_message(server: Server, tmp_path: Path) -> None:
    server.routes["/public/get_volatility_index_data"] = result({"data": [], "continuation": START_MS + 99 * HOUR_MS})
    (failure,) = run_pull(asked(server, "dvol", 3, START_MS + 30 * HOUR_MS), tmp_path).failures
    assert "expected an earlier page" in str(failure)


def trades(stamps: list[int], most: int) -> Handler:
    """The trades at these milliseconds, `most` an answer; the third of them is a liquidation."""

    def answer(query: dict[str, str], _: Any) -> Reply:
        first, last = int(query["start_timestamp"]), int(query["end_timestamp"])
        found = [n for n, at in enumerate(stamps) if first <= at <= last]
        page = [
            {
                "trade_id": f"ETH-{n}",
                "timestamp": stamps[n],
                "amount": 100.0 + n,
                "price": 2000.0,
                "index_price": 2001.0,
            }
            | ({"liquidation": "T"} if n == 2 else {})
            for n in found[:most]
        ]
        return Reply(result({"trades": page, "has_more": len(found) > most}))

    return answer


def test_trades_are_counted_per_second_and_liquidations_kept(server: Server, tmp_path: Path) -> None:
    stamps = [START_MS + at for at in (0, 1, 1, 999, 1000, 5000, 5000, 5000, HOUR_MS - 1, HOUR_MS)]
    server.routes["/public/get_last_trades_by_instrument_and_time"] = trades(stamps, 4)
    outcome = run_pull(asked(server, "trades", 1, START_MS + 2 * HOUR_MS), tmp_path)
    counts = table(tmp_path, "request_counts")
    assert outcome.failures == []
    assert counts.height == 3600
    found = counts.filter(pl.col("count") > 0).select("ts", "count").rows()
    assert [((at - START).seconds, count) for at, count in found] == [(0, 4), (1, 1), (5, 3), (3599, 1)]
    assert table(tmp_path, "liquidations").rows() == [(START + timedelta(milliseconds=1), "ETH-PERPETUAL", 102.0)]


def test_the_second_that_still_lasts_is_left_out(server: Server, tmp_path: Path) -> None:
    server.routes["/public/get_last_trades_by_instrument_and_time"] = trades([START_MS + 9_100], 4)
    run_pull(asked(server, "trades", 1, START_MS + 9_500), tmp_path)
    assert table(tmp_path, "request_counts").height == 9
    again = run_pull(asked(server, "trades", 1, START_MS + 2 * HOUR_MS), tmp_path)
    assert (again.skipped, again.tables["request_counts"].new, again.tables["request_counts"].conflicting) == (
        0,
        3591,
        0,
    )


def test_instruments_are_listed_with_what_they_have(server: Server, tmp_path: Path) -> None:
    listed = [
        {
            "instrument_name": "ETH-PERPETUAL",
            "kind": "future",
            "settlement_period": "perpetual",
            "creation_timestamp": START_MS,
            "expiration_timestamp": 32_503_708_800_000,
            "contract_size": 1,
        },
        {
            "instrument_name": "ETH-29MAR24-2000-C",
            "kind": "option",
            "settlement_period": "month",
            "creation_timestamp": START_MS,
            "expiration_timestamp": START_MS + HOUR_MS,
            "strike": 2000.0,
            "option_type": "call",
            "contract_size": 1.0,
        },
    ]
    server.routes["/public/get_instruments"] = result(listed)
    run_pull(asked(server, "instruments", 1, START_MS), tmp_path)
    assert table(tmp_path, "instruments").rows() == [
        ("ETH-29MAR24-2000-C", START, "option", START + timedelta(hours=1), 2000.0, 1, 1.0),
        ("ETH-PERPETUAL", START, "perpetual", None, None, None, 1.0),
    ]


def test_an_error_of_the_api_is_one_message(server: Server, tmp_path: Path) -> None:
    source = asked(server, "dvol", 1, START_MS)
    server.routes["/public/get_time"] = b'{"error":{"code":10028,"message":"too_many_requests"}}'
    with pytest.raises(DataError, match=r"expected a result; found .*too_many_requests"):
        run_pull(source, tmp_path)
