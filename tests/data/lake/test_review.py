from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from data.check import TableReport, inspect
from data.check_page import check_page
from data.history import write_table
from data.lake.append import append
from data.lake.coverage import Lane
from data.lake.feerule import expected_wei, fee_rule
from data.lake.oddities import oddities
from data.lake.staleness import overdue, stopped
from tests.data.lake.frames import START, bars, blocks


def only(folder: Path, **clock: object) -> TableReport:
    (table,) = inspect(folder, **clock).tables  # type: ignore[arg-type]
    return table


def chain(count: int, elasticity: int, denominator: int) -> pl.DataFrame:
    """Blocks whose fees follow EIP-1559 with some parameters, in plain integers."""
    target, fee, fees = 30_000_000 // elasticity, 10**10, []
    used = [target // 2 + (7_919_777 * step) % target for step in range(count)]
    for gas in used:
        fees.append(fee)
        move = fee * abs(gas - target) // target // denominator
        fee += max(move, 1) if gas > target else -move
    return blocks(count).with_columns(gas_used=pl.Series(used), base_fee_wei=pl.Series(fees))


@pytest.mark.parametrize("own", [(2, 8), (6, 50), (6, 250), (2, 64)])
def test_the_parameters_of_a_chain_are_inferred_from_its_blocks(own: tuple[int, int]) -> None:
    rule = fee_rule(chain(400, *own))
    assert (rule.elasticity, rule.denominator, rule.holds, rule.is_fault) == (*own, True, False)
    assert (rule.sentence() is None) == (own == (2, 8))


def test_the_expected_fee_is_exact_beyond_64_bits() -> None:
    rows = blocks(1).with_columns(base_fee_wei=pl.lit(9 * 10**17), gas_used=pl.lit(29_999_999))
    fee = 9 * 10**17
    assert rows.select(expected_wei(2, 8)).item() == fee + fee * 14_999_999 // 15_000_000 // 8


def test_wrong_gas_limits_are_noticed() -> None:
    rule = fee_rule(chain(400, 2, 8).with_columns(gas_limit=pl.lit(36_000_001)))
    assert not rule.holds
    assert "wrong gas limits" in str(rule.sentence())


def test_a_chain_that_breaks_its_rule_often_is_a_fault_and_one_break_is_not(tmp_path: Path) -> None:
    frame = chain(400, 2, 8)
    for name, broken in (("one", [200]), ("many", list(range(100, 300, 20)))):
        odd = frame.with_columns(base_fee_wei=pl.col("base_fee_wei") + pl.int_range(400).is_in(broken).cast(pl.Int64))
        write_table(tmp_path / name, "blocks", odd)
    assert only(tmp_path / "one").faults == ()
    assert only(tmp_path / "many").faults == (
        "ethereum: 20 of 399 base fees break EIP-1559 (elasticity 2, denominator 8), the first in block 1100",
    )


def test_a_clock_that_jumps_is_noticed() -> None:
    late = pl.when(pl.col("number") == 1050).then(pl.col("ts") + timedelta(seconds=5)).otherwise("ts").alias("ts")
    (note,) = oddities("blocks", blocks(100).with_columns(late))
    assert note == "ethereum: the clock jumped: 1 rows off the beat of 12 s, the first at 2024-01-31 23:10:05"
    assert oddities("blocks", blocks(100)) == []


def test_a_move_far_beyond_the_usual_is_an_outlier() -> None:
    wave = 100 + (pl.int_range(200) * pl.int_range(200) * 7919 % 101) * 0.005
    calm = bars(200).with_columns(close=wave)
    crash = calm.with_columns(close=pl.when(pl.int_range(200) == 150).then(50.0).otherwise("close"))
    assert oddities("bars", calm) == []
    (note,) = oddities("bars", crash)
    assert "ETH-PERP: outliers: the move of the close is over 50 times the usual in 2 rows" in note


def test_a_gas_limit_that_no_block_may_set_is_noticed() -> None:
    allowed = blocks(3).with_columns(gas_limit=pl.Series([30_000_000, 30_029_295, 30_029_295]))
    jumped = blocks(3).with_columns(gas_limit=pl.Series([30_000_000, 30_029_296, 30_029_296]))
    assert oddities("blocks", allowed) == []
    assert oddities("blocks", jumped) == ["ethereum: outliers: the gas limit jumped in 1 blocks, the first 1001"]


def lane(table: str, last: datetime) -> Lane:
    return Lane(table, "X", 2, START, last, 300.0)


def test_a_feed_that_stopped_before_the_others_is_a_note() -> None:
    end = START + timedelta(days=30)
    assert stopped((lane("bars", end), lane("blocks", end - timedelta(hours=3)))) == {}
    assert stopped((lane("bars", end), lane("blocks", end - timedelta(days=3)))) == {
        "blocks": ["X: stale: ends 3d before the newest row of its period"]
    }


def test_against_a_clock_old_and_future_rows_are_faults() -> None:
    now = datetime(2024, 3, 1, tzinfo=UTC)
    assert overdue((lane("bars", now - timedelta(minutes=9)),), now, timedelta(minutes=10)) == {}
    assert overdue((lane("bars", now - timedelta(minutes=11)),), now, timedelta(minutes=10)) == {
        "bars": ["X: stale: the newest row is 11m old"]
    }
    assert overdue((lane("bars", now + timedelta(hours=2)),), now, timedelta(minutes=10)) == {
        "bars": ["X: the newest row is 2h in the future"]
    }


def test_an_old_feed_fails_the_check_only_when_an_age_is_given(tmp_path: Path) -> None:
    write_table(tmp_path, "bars", bars(10))
    now = START + timedelta(days=2)
    assert only(tmp_path).faults == ()
    assert only(tmp_path, now=now, max_age=timedelta(days=1)).faults == (
        "ETH-PERP: stale: the newest row is 1d 15h old",
    )


def test_rows_set_aside_are_a_note_with_their_reasons(tmp_path: Path) -> None:
    append(tmp_path, "bars", bars(5), "a")
    append(tmp_path, "bars", bars(5).with_columns(volume=pl.lit(9.5)), "b")
    append(tmp_path, "bars", bars(1).with_columns(high=pl.lit(1.0)), "c")
    report = inspect(tmp_path)
    assert report.ok
    assert report.ignored == ()
    assert report.tables[0].notes[-1] == (
        "6 rows set aside in _quarantine/bars: 5 volume contradicts, 1 breaks prices_within_low_and_high"
    )


def test_the_page_says_what_the_report_says(tmp_path: Path) -> None:
    write_table(tmp_path, "blocks", blocks(10))
    bars(3).with_columns(high=pl.lit(1.0)).write_parquet(tmp_path / "bars.parquet")
    report = inspect(tmp_path)
    shown = check_page(report)
    assert "1 faults" in shown
    assert "open and close between low and high" in shown
    assert "no hole in the numbers" in shown


def test_the_page_of_an_unreadable_table_still_comes(tmp_path: Path) -> None:
    (tmp_path / "bars.parquet").write_bytes(b"no parquet")
    assert "1 fault" in check_page(inspect(tmp_path))
