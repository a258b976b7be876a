import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import DataError, UsageError
from data.history import write_table
from data.live import LivePanel
from serving.feeds import HistoryFeed, RowsFeed, Step, WallFeed, ceil, floor
from serving.recording import Recording
from tests.serving.made import START, contract, counts, write_history

REVIEW = timedelta(seconds=15)


async def first(steps: AsyncIterator[Step], number: int) -> list[Step]:
    found: list[Step] = []
    async for step in steps:
        found.append(step)
        if len(found) == number:
            break
    return found


def recording(folder: Path, start: datetime | None = None, until: datetime | None = None) -> Recording:
    return Recording.open(folder, LivePanel(contract()), start, until)


def test_a_recording_brings_each_row_once_and_never_before_it_was_known(tmp_path: Path) -> None:
    start = START + timedelta(hours=1)
    played = HistoryFeed(recording(write_history(tmp_path), start, start + timedelta(minutes=5)), 15.0, 1e9)
    steps = asyncio.run(first(played.steps(), 1000))
    assert [step.at for step in steps] == [start + i * REVIEW for i in range(21)]
    rows = [(row[0], step.at) for step in steps for row in step.frames["request_counts"].rows()]
    assert all(ts + timedelta(seconds=1) <= at for ts, at in rows)
    assert [ts for ts, _ in rows] == counts(START, 3900)["ts"].to_list()


def test_time_is_played_at_the_speed_asked_for(tmp_path: Path) -> None:
    async def timed() -> float:
        played = HistoryFeed(recording(write_history(tmp_path)), 15.0, 150.0)
        clock = asyncio.get_running_loop().time
        begun = clock()
        await first(played.steps(), 4)
        return clock() - begun

    assert 0.28 < asyncio.run(timed()) < 30.0


def test_the_clock_of_a_recording_stops_at_the_next_step(tmp_path: Path) -> None:
    played = HistoryFeed(recording(write_history(tmp_path)), 15.0, 1e9)
    assert played.now() == played.recording.start
    (step,) = asyncio.run(first(played.steps(), 1))
    assert step.at <= played.now() <= step.at + REVIEW


def test_playing_starts_after_the_look_back_or_in_the_middle_of_a_short_history(tmp_path: Path) -> None:
    assert recording(write_history(tmp_path, 3.0)).start == START + timedelta(hours=1.5)
    panel = LivePanel(contract())
    lookback = panel.margin + timedelta(seconds=15 * panel.contract.lookback)
    assert recording(write_history(tmp_path, 24.0)).start == START + lookback


def test_a_history_without_the_table_that_the_model_reads_is_refused(tmp_path: Path) -> None:
    import polars as pl

    funding = pl.DataFrame(
        {"symbol": ["ETH-PERP"], "ts": [START], "rate": [0.0001]}, schema_overrides={"ts": pl.Datetime("ms", "UTC")}
    )
    write_table(tmp_path, "funding", funding)
    with pytest.raises(DataError, match="found no request_counts or arrivals"):
        recording(tmp_path)


@pytest.mark.parametrize("start", [START + timedelta(days=2), START - timedelta(days=2)])
def test_a_start_outside_the_history_is_refused(tmp_path: Path, start: datetime) -> None:
    with pytest.raises(UsageError, match="a start within what is recorded"):
        recording(write_history(tmp_path), start)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of them"):
        recording(tmp_path)


def test_the_wall_clock_steps_on_multiples_of_the_period_after_rows_had_time_to_arrive() -> None:
    feed = WallFeed(0.1, 0.05)

    async def lateness() -> list[tuple[float, float]]:
        found = []
        async for step in feed.steps():
            found.append((step.at.timestamp() % 0.1, (feed.now() - step.at).total_seconds()))
            if len(found) == 4:
                break
        return found

    for remainder, late in asyncio.run(lateness()):
        assert min(remainder, 0.1 - remainder) < 1e-4
        assert late >= 0.05


def test_the_wall_clock_leaves_out_what_passed_during_a_slow_step() -> None:
    async def steps() -> list[datetime]:
        found = []
        async for step in WallFeed(0.05, 0.0).steps():
            found.append(step.at)
            await asyncio.sleep(0.2)
            if len(found) == 3:
                break
        return found

    times = asyncio.run(steps())
    assert all((later - at).total_seconds() >= 0.14 for at, later in pairwise(times))


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0])
def test_a_clock_that_is_set_is_followed_at_once(jump_s: float) -> None:
    set_by = [0.0]
    feed = WallFeed(0.05, 0.0, lambda: datetime.now(UTC) + timedelta(seconds=set_by[0]))

    async def steps() -> list[tuple[float, float]]:
        found = []
        async for step in feed.steps():
            found.append((step.jump_s, (feed.now() - step.at).total_seconds()))
            if len(found) == 2:
                set_by[0] = jump_s
            if len(found) == 5:
                break
        return found

    found = asyncio.run(asyncio.wait_for(steps(), 20))
    assert [round(jump) for jump, _ in found] == [0, 0, jump_s, 0, 0]
    assert all(0 <= late < 30 for _, late in found)


def test_rows_carry_the_time_with_them() -> None:
    async def steps() -> list[Step]:
        feed = RowsFeed(15.0)
        feed.heard(START + timedelta(seconds=31))
        feed.heard(START + timedelta(seconds=4))
        found = await first(feed.steps(), 1)
        assert feed.now() == START + timedelta(seconds=31)
        return found

    (step,) = asyncio.run(steps())
    assert step.at == START + timedelta(seconds=30)


def test_a_step_comes_only_when_rows_end_a_period() -> None:
    async def steps() -> list[datetime]:
        feed = RowsFeed(15.0)
        task = asyncio.create_task(first(feed.steps(), 3))
        for seconds in (31, 44, 33, 45, 2):
            feed.heard(START + timedelta(seconds=seconds))
            await asyncio.sleep(0.01)
        assert not task.done()
        feed.heard(START + timedelta(seconds=61))
        return [step.at for step in await task]

    assert asyncio.run(steps()) == [START + timedelta(seconds=seconds) for seconds in (30, 45, 60)]


@settings(deadline=None)
@given(st.floats(0, 2e9), st.sampled_from([0.5, 5.0, 15.0, 300.0]))
def test_a_time_lies_between_its_multiples(seconds: float, period_s: float) -> None:
    at = datetime.fromtimestamp(seconds, UTC)
    below, above = floor(at, period_s), ceil(at, period_s)
    assert below <= at <= above
    assert (above - below).total_seconds() in (0.0, period_s)
