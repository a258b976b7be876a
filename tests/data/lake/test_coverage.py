from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from data.errors import DataError
from data.history import write_table
from data.lake.append import append
from data.lake.coverage import Gap, Lane, coverage, periods
from data.lake.drawing import month_ticks, status_page, ticks
from data.lake.terminal import shares, short
from tests.data.lake.frames import START, arrivals, bars, blocks


def hour(number: int) -> datetime:
    return START + timedelta(hours=number)


def without(frame: pl.DataFrame, *rows: int) -> pl.DataFrame:
    return frame.filter(~pl.int_range(frame.height).is_in(list(rows)))


def only(folder: Path) -> Lane:
    (lane,) = coverage(folder)
    return lane


def test_a_missing_bar_is_a_gap_from_the_close_before_to_the_open_after(tmp_path: Path) -> None:
    write_table(tmp_path, "bars", without(bars(10), 3, 4))
    lane = only(tmp_path)
    assert (lane.table, lane.entity, lane.rows, lane.step_s) == ("bars", "ETH-PERP", 8, 3600.0)
    assert lane.gaps == (Gap(hour(3), hour(5), 2),)
    assert lane.missing_share == pytest.approx(2 / 9)


def test_a_lake_and_a_file_of_the_same_rows_have_the_same_lanes(tmp_path: Path) -> None:
    frames = {"bars": without(bars(60), 1, 30, 31), "blocks": without(blocks(900), 100, 300)}
    for name, frame in frames.items():  # the month ends within both
        write_table(tmp_path / "files", name, frame)
        append(tmp_path / "lake", name, frame, "here")
    assert coverage(tmp_path / "lake") == coverage(tmp_path / "files")


def test_a_gap_across_the_end_of_a_month_is_found_in_a_lake(tmp_path: Path) -> None:
    append(tmp_path, "bars", without(bars(5), 1), "here")  # the first row is at 23:00 of the last day of January
    assert only(tmp_path).gaps == (Gap(hour(1), hour(2), 1),)


def test_blocks_have_gaps_where_numbers_are_missing_and_none_where_the_chain_paused(tmp_path: Path) -> None:
    frame = without(blocks(10), 4)
    paused = frame.with_columns(
        pl.when(pl.col("number") >= 1007).then(pl.col("ts") + timedelta(hours=1)).otherwise("ts")
    )
    write_table(tmp_path, "blocks", paused)
    assert only(tmp_path).gaps == (Gap(START + timedelta(seconds=36), START + timedelta(seconds=60), 1),)


def test_a_minute_without_arrivals_is_a_gap_of_unknown_size(tmp_path: Path) -> None:
    write_table(tmp_path, "arrivals", arrivals([0, 30, 60, 200]))
    assert only(tmp_path).gaps == (Gap(START + timedelta(seconds=60), START + timedelta(seconds=200), None),)


def test_silent_seconds_of_a_busy_stream_are_not_covered(tmp_path: Path) -> None:
    ts = [START + timedelta(seconds=second) for second in range(900)]
    counts = pl.DataFrame({"ts": ts, "count": [0 if 600 <= second < 610 else 60 for second in range(900)]})
    write_table(tmp_path, "request_counts", counts.cast({"ts": pl.Datetime("ms", "UTC")}))
    gap = Gap(START + timedelta(seconds=599), START + timedelta(seconds=610), 10)
    assert only(tmp_path).gaps == (gap,)


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected at least one of"):
        coverage(tmp_path)


def test_lanes_of_distant_times_do_not_share_an_axis() -> None:
    def lane(table: str, first: int, last: int) -> Lane:
        return Lane(table, "", 2, hour(first), hour(last), 3600.0)

    early, late, within = lane("bars", 0, 100), lane("mempool", 5000, 5100), lane("blocks", 50, 60)
    assert [(a, b, own) for a, b, own in periods((late, early, within))] == [
        (hour(0), hour(100), [within, early]),
        (hour(5000), hour(5100), [late]),
    ]


def test_cells_show_the_covered_share_and_even_the_shortest_gap() -> None:
    lane = Lane("bars", "", 9, hour(0), hour(8), 3600.0, (Gap(hour(2), hour(4), 2), Gap(hour(7), hour(7), 0)))
    assert shares(lane, hour(0), hour(16), 8)[:5] == [(1.0, False), (0.0, True), (1.0, True), (1.0, True), (1.0, False)]
    assert shares(lane, hour(0), hour(16), 8)[5:] == [(None, False)] * 3


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.1184, "0.118s"), (12, "12s"), (300, "5m"), (4800, "1h 20m"), (86400 * 3 + 3700, "3d 1h")]
)
def test_lengths_are_told_in_two_units(seconds: float, text: str) -> None:
    assert short(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize("days", [0.001, 0.05, 1, 10, 45, 100, 420, 4000, 20_000])
def test_an_axis_of_any_length_has_some_round_times_within_it(days: float) -> None:
    last = START + timedelta(days=days)
    times = ticks(START, last)
    assert 1 <= len(times) <= 9
    assert all(START <= at <= last for at, _ in times)


def test_long_axes_are_marked_at_the_first_of_months() -> None:
    labels = [label for _, label in month_ticks(datetime(2023, 1, 5, tzinfo=UTC), datetime(2024, 2, 5, tzinfo=UTC), 8)]
    assert labels == ["2023-03", "2023-05", "2023-07", "2023-09", "2023-11", "2024-01"]


def test_the_page_needs_nothing_from_elsewhere_and_escapes_names(tmp_path: Path) -> None:
    write_table(tmp_path, "bars", without(bars(10, "<ETH>&"), 3))
    shown = status_page(coverage(tmp_path), "Coverage")
    assert "&lt;ETH&gt;&amp;" in shown
    assert "<ETH>" not in shown
    assert shown.count('class="gap"') == 1
    assert not any(word in shown for word in ("http://", "https://", "<script", "url("))
