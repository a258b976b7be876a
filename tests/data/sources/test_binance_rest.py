import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from data.errors import DataError
from data.sources.binance_rest import Newest, breather
from data.sources.binance_tables import listing
from tests.data.sources.pulling import run_pull, table
from tests.data.sources.server import Handler, Reply, Server

START = datetime(2024, 1, 1, tzinfo=UTC)
FIVE = timedelta(minutes=5)


def ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def clock(now: datetime) -> Handler:
    return lambda *_: Reply(json.dumps({"serverTime": ms(now)}).encode())


def klines(query: dict[str, str], _: Any) -> Reply:
    assert query["interval"] == "5m"
    first, last = int(query["startTime"]), int(query["endTime"])
    times = list(range(-(-first // 300_000) * 300_000, last + 1, 300_000))[: int(query["limit"])]
    rows = [[at, "10.5", "11", "9", "10", "3.5", at + 299_999, "35.0", 7, "1", "2", "0"] for at in times]
    return Reply(json.dumps(rows).encode())


def newest(server: Server, bars: float, kind: str = "klines") -> Newest:
    return Newest((listing("ETHUSDT", "um"),), (kind,), START, START + bars * FIVE, "5m", server.url)


def test_candles_come_by_the_thousand_and_only_closed_ones(server: Server, tmp_path: Path) -> None:
    server.routes |= {"/fapi/v1/time": clock(START + 1499.5 * FIVE), "/fapi/v1/klines": klines}
    outcome = run_pull(newest(server, 1500), tmp_path)
    bars = table(tmp_path, "bars")
    assert outcome.failures == []
    assert bars.height == 1499
    assert bars.row(0) == ("ETH-PERP", START, 300, 10.5, 11.0, 9.0, 10.0, 3.5, 7)


def test_a_range_that_is_not_over_is_asked_for_again(server: Server, tmp_path: Path) -> None:
    server.routes |= {"/fapi/v1/time": clock(START + 10.5 * FIVE), "/fapi/v1/klines": klines}
    run_pull(newest(server, 20), tmp_path)
    server.routes["/fapi/v1/time"] = clock(START + 30 * FIVE)
    outcome = run_pull(newest(server, 20), tmp_path)
    assert (outcome.skipped, outcome.tables["bars"].new, outcome.tables["bars"].known) == (0, 10, 10)
    assert run_pull(newest(server, 20), tmp_path).skipped == 1


def test_the_last_candle_of_a_range_is_waited_for(server: Server, tmp_path: Path) -> None:
    server.routes |= {"/fapi/v1/time": clock(START + 2.7 * FIVE), "/fapi/v1/klines": klines}
    run_pull(newest(server, 2.5), tmp_path)
    server.routes["/fapi/v1/time"] = clock(START + 9 * FIVE)
    assert run_pull(newest(server, 2.5), tmp_path).tables["bars"].new == 1


def test_archive_and_rest_agree_on_what_a_row_is(server: Server, tmp_path: Path) -> None:
    server.routes |= {"/fapi/v1/time": clock(START + 99 * FIVE), "/fapi/v1/klines": klines}
    run_pull(newest(server, 10), tmp_path)
    again = run_pull(newest(server, 12), tmp_path)
    assert (again.tables["bars"].new, again.tables["bars"].known, again.tables["bars"].conflicting) == (2, 10, 0)


def test_funding_is_read_from_text_numbers(server: Server, tmp_path: Path) -> None:
    rows = [{"symbol": "ETHUSDT", "fundingTime": ms(START) + 7, "fundingRate": "-0.00012", "markPrice": "2000"}]
    server.routes["/fapi/v1/time"] = clock(START + 99 * FIVE)
    server.routes["/fapi/v1/fundingRate"] = json.dumps(rows).encode()
    run_pull(newest(server, 12, "fundingRate"), tmp_path)
    assert table(tmp_path, "funding").rows() == [("ETH-PERP", START + timedelta(milliseconds=7), -0.00012)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"code":-1121,"msg":"Invalid symbol."}', "expected a JSON array"),
        (b"[[1704067200000,1,2]]", "expected candles of 12 values; found 3 values"),
        (b'[[1704067200000,"x",2,3,4,5,6,7,8,9,10,11]]', "expected a number in open; found 'x'"),
        (b'[{"t":1}]', "expected a JSON array"),
    ],
)
def test_an_answer_of_another_form_is_one_message(server: Server, tmp_path: Path, body: bytes, expected: str) -> None:
    server.routes |= {"/fapi/v1/time": clock(START + 99 * FIVE), "/fapi/v1/klines": body}
    (failure,) = run_pull(newest(server, 12), tmp_path).failures
    assert expected in str(failure)


def test_a_server_without_a_clock_is_one_message(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a source; found 404"):
        run_pull(newest(server, 12), tmp_path)


def test_requests_pause_when_most_of_the_weight_is_used() -> None:
    assert breather({"x-mbx-used-weight-1m": "1801"}) == 20.0
    assert breather({"x-mbx-used-weight-1m": "1800"}) == 0.0
    assert breather({}) == 0.0
