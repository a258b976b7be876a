import asyncio
import errno
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from serving.demand import RecentOrders
from serving.feeds import RowsFeed, Step
from serving.inference import Forecaster
from serving.keeping import keeper as keeping
from serving.keeping.keeper import Keeper
from serving.keeping.kept import captured, restore
from serving.keeping.store import SNAPSHOT, Store
from serving.loop import Sidecar
from serving.metrics import Metrics
from serving.ownership import LOCK
from serving.pipeline import Pipeline
from serving.state import Board
from shaper.decision import Override
from shaper.plan import Plan
from shaper.venue import Venue
from tests.serving import test_memory
from tests.serving.made import PROVEN, START, counts, posted, venue
from tests.serving.test_pipeline import AT, TICK

folder = test_memory.folder  # an artefact that calibrates itself


@pytest.fixture
def online(folder: Path) -> Forecaster:
    return Forecaster.open(folder)


def piped(forecaster: Forecaster, of: Venue | None = None) -> Pipeline:
    return Pipeline(of or venue(), forecaster, Metrics.create(), RecentOrders(15.0), trust=PROVEN)


def stepped(pipeline: Pipeline, first: int, last: int) -> list[Plan]:
    plans = []
    for tick in range(first, last):
        at = START + timedelta(minutes=10) + tick * TICK
        update = pipeline.step(at, {"request_counts": counts(at - TICK, 15, per_s=40 + 3 * (tick % 7))})
        assert update.plan is not None
        plans.append(update.plan)
    return plans


def opened(folder: Path, every_s: float = 60.0, now_s: Callable[[], float] = lambda: 0.0) -> Keeper:
    return Keeper(Store.open(folder), every_s, 2**20, now_s)


def test_a_pipeline_that_was_put_back_plans_as_if_it_had_never_ended(online: Forecaster) -> None:
    whole, first, second = piped(online), piped(online), piped(online)
    for pipeline in (whole, first):
        pipeline.take({"request_counts": counts(START, 600)})
        pipeline.overrides = (Override("weight", "fra-1", 4e9, "slow", 0.2),)
        stepped(pipeline, 0, 30)
    at = START + timedelta(minutes=10) + 29 * TICK
    content = captured(first, at.timestamp(), 1, None).bytes()
    restore(second, msgspec.msgpack.decode(content, type=keeping.Kept), at)
    assert second.memory.tick == whole.memory.tick is not None
    np.testing.assert_array_equal(second.memory.state, whole.memory.state)  # type: ignore[arg-type]
    assert stepped(second, 30, 40) == stepped(whole, 30, 40)


def test_rows_after_the_snapshot_come_from_the_journal(online: Forecaster, tmp_path: Path) -> None:
    first, second = piped(online), piped(online)
    kept = opened(tmp_path)
    first.take({"request_counts": counts(START, 600)})
    kept.save(kept.capture(first, 0.0, b"{}"))
    for minute in range(3):
        frames = {"request_counts": counts(START + timedelta(minutes=10 + minute), 60)}
        first.take(frames)
        kept.rows(frames)
    kept.close()
    again = opened(tmp_path)
    state, said = again.restore(second, START + timedelta(minutes=13))
    again.close()
    assert state is not None
    assert "360 rows from the journal" in said
    assert second.panel.newest == first.panel.newest
    assert second.orders.counts == first.orders.counts


def test_a_torn_journal_is_read_as_far_as_it_is_whole(online: Forecaster, tmp_path: Path) -> None:
    kept = opened(tmp_path)
    for minute in range(2):
        kept.rows({"request_counts": counts(START + timedelta(minutes=minute), 60)})
    kept.close()
    (journal,) = kept.store.journals()
    journal.write_bytes(journal.read_bytes()[:-5])
    again = opened(tmp_path)
    assert again.restore(piped(online), START)[1] == "no snapshot (none was made), 120 rows from the journal"
    again.close()


def test_a_damaged_snapshot_is_not_believed(online: Forecaster, tmp_path: Path) -> None:
    kept = opened(tmp_path)
    kept.save(kept.capture(piped(online), 0.0, None))
    kept.close()
    content = bytearray((tmp_path / SNAPSHOT).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / SNAPSHOT).write_bytes(content)
    assert opened(tmp_path).store.load() == (None, "its checksum does not fit")


def test_a_snapshot_makes_older_journals_superfluous(online: Forecaster, tmp_path: Path) -> None:
    kept = opened(tmp_path)
    for minute in range(5):
        kept.rows({"request_counts": counts(START + timedelta(minutes=minute), 60)})
        kept.save(kept.capture(piped(online), 0.0, None))
    kept.close()
    assert kept.store.journals() == []
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != LOCK) == [SNAPSHOT]


def test_another_venue_or_model_keeps_the_rows_and_forgets_what_no_longer_holds(
    online: Forecaster, forecaster: Forecaster
) -> None:
    first = piped(online)
    first.take({"request_counts": counts(START, 600)})
    first.overrides = (Override("weight", "fra-1", 4e9, "slow", 0.2),)
    stepped(first, 0, 5)
    content = captured(first, 0.0, 1, None).bytes()
    other = piped(forecaster, venue(nodes=venue().nodes[1:], max_operator_share=1.0))
    restore(other, msgspec.msgpack.decode(content, type=keeping.Kept), AT)
    assert (other.steering, other.overrides, other.ladder.good) == (None, (), None)
    assert other.panel.newest == first.panel.newest
    assert other.gateway.lever.ordered == first.gateway.lever.ordered


def test_a_snapshot_of_a_future_that_has_not_come_is_turned_back(online: Forecaster) -> None:
    first, second = piped(online), piped(online)
    first.take({"request_counts": counts(START, 7200)})
    first.step(AT, {})
    content = captured(first, AT.timestamp(), 1, None).bytes()
    back = START + timedelta(hours=1)
    restore(second, msgspec.msgpack.decode(content, type=keeping.Kept), back)
    assert second.panel.newest == back
    assert second.step(back, {}).plan is not None


def test_snapshots_are_due_after_a_while_or_a_long_journal_or_when_asked(online: Forecaster, tmp_path: Path) -> None:
    clock = [0.0]
    kept = opened(tmp_path, 60.0, lambda: clock[0])
    assert kept.due()
    kept.save(kept.capture(piped(online), 0.0, None))
    assert kept.under_way is not None
    kept.under_way.result()
    assert not kept.due()
    kept.asked = True
    assert kept.due()
    kept.asked, kept.store.size = False, 2**20
    assert kept.due()
    kept.store.size, clock[0] = 0, 60.0
    assert kept.due()
    kept.close()


class Full(Store):
    """A store on a disk that has no room."""

    def append(self, *_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def save(self, *_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_said_and_the_sidecar_goes_on(sidecar: Sidecar, tmp_path: Path) -> None:
    sidecar.pipeline.take({"request_counts": counts(START, 7200)})
    sidecar.keeper = Keeper(Full(tmp_path), 0.0, 2**20, lambda: 0.0)

    async def job() -> None:
        async with sidecar.running():
            assert sidecar.keeper is not None
            for tick in range(3):
                await sidecar.advance(Step(AT + tick * TICK, {}))
                sidecar.keeper.thread.submit(int).result()

    asyncio.run(job())
    assert sidecar.board.plan is not None
    assert sidecar.board.notes["state"] == "a snapshot cannot be written: [Errno 28] No space left on device"


def test_a_sidecar_that_comes_back_has_its_plan_at_once_and_the_next_from_old_rows(
    forecaster: Forecaster, tmp_path: Path
) -> None:
    def made() -> Sidecar:
        feed = RowsFeed(15.0)
        board = Board(lambda: feed.now().timestamp())
        return Sidecar(feed, piped(forecaster), board, keeper=opened(tmp_path))

    async def live(sidecar: Sidecar, rows: bool) -> bytes | None:
        async with sidecar.running():
            before = sidecar.board.plan
            if rows:
                body = msgspec.json.encode({"request_counts": posted(counts(START, 7200))})
                await sidecar.observe(body)
            while sidecar.board.plan is None or (not rows and sidecar.board.plan is before):
                await asyncio.sleep(0.01)
            return before

    first = made()
    assert asyncio.run(live(first, True)) is None
    second = made()
    assert asyncio.run(live(second, False)) == first.board.plan
    assert second.board.readiness().ready
    assert any("back from a snapshot" in event.text for event in second.board.events.events)
