from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from data.errors import DataError, UsageError
from data.sources.binance import KINDS, Archive, Period, periods
from data.sources.binance_tables import listing
from tests.data.sources.klines import HEADER, kline_csv, publish_days
from tests.data.sources.pulling import origins, run_pull, table
from tests.data.sources.server import Reply, Server, zipped

START = datetime(2024, 1, 1, tzinfo=UTC)
ETH = listing("ETHUSDT", "um")


def klines(server: Server, days: int = 2, since: date = date(2024, 1, 1)) -> Archive:
    return Archive((ETH,), ("klines",), since, date(2024, 1, 1 + days), "1h", server.url)


def other(server: Server, kind: str, market: str = "um", symbol: str = "ETHUSDT") -> Archive:
    until = date(2024, 2, 1) if kind == "fundingRate" else date(2024, 1, 2)
    return Archive((listing(symbol, market),), (kind,), date(2024, 1, 1), until, "1h", server.url)


def publish(server: Server, path: str, text: str) -> None:
    server.publish(path, zipped(text))


def test_daily_candles_with_and_without_a_header_arrive_as_canonical_bars(server: Server, tmp_path: Path) -> None:
    publish_days(server, 2)
    outcome = run_pull(klines(server), tmp_path)
    bars = table(tmp_path, "bars")
    assert (outcome.parts, outcome.tables["bars"].new, bars.height) == (2, 48, 48)
    assert bars.row(25, named=True) == {
        "symbol": "ETH-PERP",
        "ts": datetime(2024, 1, 2, 1, tzinfo=UTC),
        "interval_s": 3600,
        "open": 2001.5,
        "high": 2003.0,
        "low": 1999.0,
        "close": 2001.0,
        "volume": 11.25,
        "trades": 1,
    }


def test_every_row_keeps_the_address_it_came_from(server: Server, tmp_path: Path) -> None:
    paths = publish_days(server, 2)
    run_pull(klines(server), tmp_path)
    assert origins(tmp_path, "bars") == {f"{server.url}{path}" for path in paths}


def test_microseconds_of_spot_files_since_2025_mean_the_same_times(server: Server, tmp_path: Path) -> None:
    publish(
        server,
        "/data/spot/daily/klines/ETHUSDT/1h/ETHUSDT-1h-2024-01-01.zip",
        kline_csv(START, 24, header=False, scale=1000),
    )
    source = Archive(
        (listing("ETHUSDT", "spot"),), ("klines",), date(2024, 1, 1), date(2024, 1, 2), "1h", server.url + "/"
    )
    run_pull(source, tmp_path)
    bars = table(tmp_path, "bars")
    assert bars["symbol"].unique().to_list() == ["ETH-SPOT"]
    assert bars["ts"][0] == START
    assert bars["ts"][23] == datetime(2024, 1, 1, 23, tzinfo=UTC)


def test_a_whole_month_comes_as_one_file_and_the_rest_as_days() -> None:
    found = periods(KINDS["klines"], date(2024, 1, 30), date(2024, 3, 3))
    assert [period.label for period in found] == [*("2024-01-30", "2024-01-31", "2024-02", "2024-03-01", "2024-03-02")]


def test_funding_comes_by_month_because_there_are_no_days_of_it() -> None:
    found = periods(KINDS["fundingRate"], date(2024, 1, 30), date(2024, 2, 3))
    assert [period.label for period in found] == ["2024-01", "2024-02"]
    assert Period(date(2024, 2, 1), date(2024, 3, 1)).days()[-1].label == "2024-02-29"


def test_a_month_without_a_file_is_put_together_from_its_days_and_asked_for_again(
    server: Server, tmp_path: Path
) -> None:
    publish_days(server, 5)
    month = Archive((ETH,), ("klines",), date(2024, 1, 1), date(2024, 2, 1), "1h", server.url)
    assert run_pull(month, tmp_path).tables["bars"].new == 120
    publish_days(server, 6)
    again = run_pull(month, tmp_path)
    assert (again.skipped, again.tables["bars"].new, again.tables["bars"].known) == (0, 24, 120)


def test_a_file_with_another_checksum_is_fetched_again(server: Server, tmp_path: Path) -> None:
    path = publish_days(server, 1)[0]
    server.faults[path] = [Reply(zipped(kline_csv(START, 3)))]
    assert run_pull(klines(server, 1), tmp_path).tables["bars"].new == 24
    assert server.count(path) == 2


def test_a_file_that_never_has_its_checksum_is_refused_and_nothing_is_written(server: Server, tmp_path: Path) -> None:
    path = publish_days(server, 1)[0]
    server.routes[f"{path}.CHECKSUM"] = f"{'0' * 64}  {path.rpartition('/')[2]}\n".encode()
    outcome = run_pull(klines(server, 1), tmp_path)
    with pytest.raises(DataError, match=r"a file with SHA-256 [0-9a-f]{12}… instead of 000000000000…"):
        outcome.require_success("pull")
    assert list(tmp_path.rglob("*.parquet")) == []


@pytest.mark.parametrize("text", [b"", b"not a checksum", f"{'0' * 64}  other.zip".encode()])
def test_a_checksum_that_is_not_one_of_this_file_is_refused(server: Server, tmp_path: Path, text: bytes) -> None:
    path = publish_days(server, 1)[0]
    server.routes[f"{path}.CHECKSUM"] = text
    (failure,) = run_pull(klines(server, 1), tmp_path).failures
    assert "expected the SHA-256 of ETHUSDT-1h-2024-01-01.zip" in str(failure)


def test_a_file_without_a_checksum_is_refused(server: Server, tmp_path: Path) -> None:
    path = publish_days(server, 1)[0]
    del server.routes[f"{path}.CHECKSUM"]
    (failure,) = run_pull(klines(server, 1), tmp_path).failures
    assert "expected a published checksum; found none" in str(failure)


def test_a_truncated_download_is_fetched_again(server: Server, tmp_path: Path) -> None:
    path = publish_days(server, 1)[0]
    body = server.routes[path]
    assert isinstance(body, bytes)
    server.faults[path] = [Reply(body[:100], announced=len(body))]
    assert run_pull(klines(server, 1), tmp_path).tables["bars"].new == 24


def corrupt(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes(256 - byte if byte else 1 for byte in body[middle : middle + 20]) + body[middle + 20 :]


@pytest.mark.parametrize(
    "damage",
    [lambda body: body[:-40], corrupt, lambda body: body[:1], lambda body: body[:0]],
    ids=["cut", "flipped", "one byte", "empty"],
)
def test_an_archive_that_was_published_damaged_is_one_error_and_other_days_are_kept(
    server: Server, tmp_path: Path, damage: object
) -> None:
    paths = publish_days(server, 3)
    body = server.routes[paths[1]]
    assert callable(damage)
    server.publish(paths[1], damage(body))
    outcome = run_pull(klines(server, 3), tmp_path)
    (failure,) = outcome.failures
    assert "expected a whole zip archive of one file" in str(failure)
    assert paths[1] in str(failure)
    assert table(tmp_path, "bars")["ts"].dt.day().unique().sort().to_list() == [1, 3]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (kline_csv(START, 2).replace("open_time", "opened"), "the columns open_time"),
        (kline_csv(START, 2, header=False).replace(",0\n", "\n"), "the columns open_time"),
        (kline_csv(START, 2).replace("2000.5", "two thousand"), "the type Float64 in the column open"),
        (kline_csv(START, 2).replace("1704067200000", "2024-01-01"), "the type Int64 in the column open_time"),
    ],
    ids=["renamed", "fewer", "text", "dates"],
)
def test_a_changed_format_is_an_error_that_names_the_column(
    server: Server, tmp_path: Path, text: str, expected: str
) -> None:
    publish(server, "/data/futures/um/daily/klines/ETHUSDT/1h/ETHUSDT-1h-2024-01-01.zip", text)
    (failure,) = run_pull(klines(server, 1), tmp_path).failures
    assert expected in str(failure)
    assert "shaper data import" in str(failure)


def test_columns_that_were_added_or_moved_do_no_harm(server: Server, tmp_path: Path) -> None:
    rows = [line.split(",") for line in kline_csv(START, 2).splitlines()]
    moved = "".join(",".join(["new" if n == 0 else "7", *reversed(row)]) + "\n" for n, row in enumerate(rows))
    publish(server, "/data/futures/um/daily/klines/ETHUSDT/1h/ETHUSDT-1h-2024-01-01.zip", moved)
    run_pull(klines(server, 1), tmp_path)
    assert table(tmp_path, "bars")["open"].to_list() == [2000.5, 2001.5]


def test_a_file_with_a_header_and_no_rows_is_a_day_without_rows(server: Server, tmp_path: Path) -> None:
    publish(server, "/data/futures/um/daily/klines/ETHUSDT/1h/ETHUSDT-1h-2024-01-01.zip", HEADER)
    outcome = run_pull(klines(server, 1), tmp_path)
    assert (outcome.failures, outcome.tables["bars"].new) == ([], 0)


def test_impossible_rows_are_set_aside_and_counted(server: Server, tmp_path: Path) -> None:
    text = kline_csv(START, 3).replace("2001.5,2003", "-1,2003")
    publish(server, "/data/futures/um/daily/klines/ETHUSDT/1h/ETHUSDT-1h-2024-01-01.zip", text)
    counts = run_pull(klines(server, 1), tmp_path).tables["bars"]
    assert (counts.new, counts.broken) == (2, 1)


def test_nothing_published_at_all_is_an_error(server: Server, tmp_path: Path) -> None:
    outcome = run_pull(klines(server), tmp_path)
    with pytest.raises(DataError, match="found none of 2 parts"):
        outcome.require_success("pull")


def test_trades_become_counts_of_every_second_of_the_day(server: Server, tmp_path: Path) -> None:
    at = int(START.timestamp()) * 1000
    rows = "".join(f"{n},2000.1,0.5,{n},{n},{at + ms},true\n" for n, ms in enumerate([0, 999, 1000, 86_399_999]))
    publish(server, "/data/futures/um/daily/aggTrades/ETHUSDT/ETHUSDT-aggTrades-2024-01-01.zip", rows)
    run_pull(other(server, "aggTrades"), tmp_path)
    counts = table(tmp_path, "request_counts")
    assert counts.height == 86_400
    assert counts["count"].sum() == 4
    assert counts.filter(pl.col("count") > 0)["count"].to_list() == [2, 1, 1]
    assert counts["tier"].unique().to_list() == ["taker:ETH-PERP"]


def test_funding_rates_keep_their_milliseconds(server: Server, tmp_path: Path) -> None:
    text = "calc_time,funding_interval_hours,last_funding_rate\n1704067200007,8,0.00008191\n"
    publish(server, "/data/futures/um/monthly/fundingRate/ETHUSDT/ETHUSDT-fundingRate-2024-01.zip", text)
    run_pull(other(server, "fundingRate"), tmp_path)
    assert table(tmp_path, "funding").rows() == [
        ("ETH-PERP", datetime(2024, 1, 1, 0, 0, 0, 7000, tzinfo=UTC), 0.00008191)
    ]


def test_metrics_become_open_interest(server: Server, tmp_path: Path) -> None:
    text = (
        "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,"
        "sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio\n"
        "2024-01-01 00:05:00,ETHUSDT,1893129.089,4706583953.32646,1.9,3.2,1.4,\n"
    )
    publish(server, "/data/futures/um/daily/metrics/ETHUSDT/ETHUSDT-metrics-2024-01-01.zip", text)
    run_pull(other(server, "metrics"), tmp_path)
    assert table(tmp_path, "open_interest").rows() == [
        ("ETH-PERP", datetime(2024, 1, 1, 0, 5, tzinfo=UTC), 1893129.089, 4706583953.32646)
    ]


def test_liquidations_that_the_archive_lists_twice_count_once(server: Server, tmp_path: Path) -> None:
    head = (
        "time,side,order_type,time_in_force,original_quantity,price,average_price,order_status,last_fill_quantity,"
        "accumulated_fill_quantity\n"
    )
    one = "1704067200123,BUY,LIMIT,IOC,7,30741.3,30631.6,FILLED,6,7\n"
    two = "1704067200123,SELL,LIMIT,IOC,3,30741.3,30631.6,FILLED,3,3\n"
    path = "/data/futures/cm/daily/liquidationSnapshot/BTCUSD_PERP/BTCUSD_PERP-liquidationSnapshot-2024-01-01.zip"
    publish(server, path, head + one + one + two + two)
    run_pull(other(server, "liquidationSnapshot", "cm", "BTCUSD_PERP"), tmp_path)
    found = table(tmp_path, "liquidations")
    assert found["notional_usd"].to_list() == [700.0, 300.0]
    assert found["symbol"][0] == "BTC-COIN-PERP"


def test_a_symbol_can_be_given_another_name() -> None:
    assert listing("ethusdt=ETH-X", "um").name == "ETH-X"
    assert listing("ETHUSDC", "um").name == "ETHUSDC-PERP"
    assert listing("DOGEUSD_PERP", "cm").contract_usd == 10.0


@pytest.mark.parametrize(("text", "market"), [("", "um"), ("ETH/USDT", "um"), ("ETHUSDT", "xx")])
def test_a_symbol_or_market_that_cannot_be_is_a_usage_error(text: str, market: str) -> None:
    with pytest.raises(UsageError):
        listing(text, market)


def test_a_kind_that_a_market_does_not_have_is_a_usage_error(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected --market um or cm; found spot"):
        run_pull(other(server, "metrics", "spot"), tmp_path)
