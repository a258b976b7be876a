import errno
import json
import random
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from data.errors import DataError
from serving.audit import command, trail
from serving.audit.chain import Link, fault_of, line_of
from serving.audit.files import Files, Limits, first_of, paths
from serving.audit.reading import Summary as Found
from serving.audit.reading import TamperedError, records, replay, verify
from serving.audit.trail import Trail
from serving.feeds import Step
from serving.loop import Sidecar
from serving.pipeline import Pipeline
from shaper.decision import Override
from tests.serving.made import START, counts, venue
from tests.serving.test_pipeline import AT, TICK

SMALL = Limits(file_bytes=2000, files=3)


def written(folder: Path, count: int, limits: Limits | None = None) -> Files:
    files = Files.open(folder, limits)
    for number in range(count):
        files.append(float(number), "note", b'{"text":"%d and more words"}' % number)
    files.close()
    return files


def kinds(folder: Path) -> list[str]:
    return [record.kind for _, record in records(folder, Found())]


def test_each_line_is_json_and_holds_the_hash_of_the_one_before(tmp_path: Path) -> None:
    written(tmp_path, 3)
    lines = [json.loads(line) for line in paths(tmp_path)[0].read_text().splitlines()]
    assert [line["n"] for line in lines] == [0, 1, 2]
    assert [line["prev"] for line in lines] == ["0" * 64, lines[0]["hash"], lines[1]["hash"]]
    assert verify(tmp_path).link.hash == lines[2]["hash"]


def test_any_changed_byte_is_found_and_located_to_the_byte(tmp_path: Path) -> None:
    written(tmp_path, 12)
    path = paths(tmp_path)[0]
    sound = path.read_bytes()
    random.seed(7)
    for _ in range(400):
        place = random.randrange(len(sound))  # noqa: S311
        value = random.choice([n for n in range(256) if n != sound[place]])  # noqa: S311
        path.write_bytes(sound[:place] + bytes([value]) + sound[place + 1 :])
        with pytest.raises(TamperedError) as caught:
            verify(tmp_path)
        line = sound[:place].count(b"\n") + 1
        said = str(caught.value)
        assert f"{path}, line {line}, byte" in said, (place, value, said)
        if value != 10 and sound[place] != 10:
            assert f"byte {place}:" in said, (place, value, said)
            assert f"{value:#04x} stands where {sound[place]:#04x} belongs" in said


def test_a_record_written_anew_with_a_hash_of_its_own_does_not_fit_the_next(tmp_path: Path) -> None:
    written(tmp_path, 3)
    path = paths(tmp_path)[0]
    first, second, third = path.read_bytes().splitlines(keepends=True)
    forged, _ = line_of(Link(0, json.loads(first)["hash"]), 1.0, "note", b'{"text":"forged"}')
    path.write_bytes(first + forged + third)
    with pytest.raises(TamperedError, match=r"line 3, .*does not follow record 1"):
        verify(tmp_path)
    path.write_bytes(first + third)
    with pytest.raises(TamperedError, match=r"line 2, .*record 2 does not follow record 0"):
        verify(tmp_path)
    assert fault_of(second[:-1], Link(0, json.loads(first)["hash"])) is None


def test_records_cut_off_the_end_are_missed_by_whoever_noted_the_head(tmp_path: Path) -> None:
    head = written(tmp_path, 5).link.hash
    verify(tmp_path, head)
    path = paths(tmp_path)[0]
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    verify(tmp_path)
    with pytest.raises(TamperedError, match="were cut off"):
        verify(tmp_path, head)


def test_files_turn_over_without_a_gap_and_the_oldest_go_with_their_end_kept(tmp_path: Path) -> None:
    files = written(tmp_path, 60, SMALL)
    assert len(paths(tmp_path)) == 3
    assert first_of(paths(tmp_path)[0]) > 0
    found = verify(tmp_path)
    assert found.link == files.link == Link(59, found.link.hash)
    assert found.kinds.total() == 60 - first_of(paths(tmp_path)[0])
    paths(tmp_path)[1].unlink()
    with pytest.raises(TamperedError, match="restore the files between"):
        verify(tmp_path)


def test_a_trail_goes_on_where_it_ended(tmp_path: Path) -> None:
    written(tmp_path, 30, SMALL)
    written(tmp_path, 30, SMALL)
    assert verify(tmp_path).link.n == 59


def test_every_cut_of_the_last_line_is_mended_and_the_chain_goes_on(tmp_path: Path) -> None:
    written(tmp_path, 3)
    path = paths(tmp_path)[0]
    sound = path.read_bytes()
    last = sound[:-1].rfind(b"\n") + 1
    for end in (last + 1, last + 50, len(sound) - 1):
        path.write_bytes(sound[:end])
        files = Files.open(tmp_path)
        assert (files.cut_bytes, files.link.n) == (end - last, 1)
        files.append(9.0, "note", b"{}")
        files.close()
        assert verify(tmp_path).link.n == 2


def test_a_drop_that_a_crash_interrupted_is_finished(tmp_path: Path) -> None:
    written(tmp_path, 60, SMALL)
    oldest = paths(tmp_path)[0]
    kept = oldest.read_bytes()
    written(tmp_path, 30, SMALL)
    assert not oldest.exists()
    oldest.write_bytes(kept)
    assert verify(tmp_path).link.n == 89
    Files.open(tmp_path, SMALL).close()
    assert not oldest.exists()


def test_a_trail_belongs_to_one_process(tmp_path: Path) -> None:
    files = Files.open(tmp_path)
    with pytest.raises(DataError, match=r"another process uses.*audit\.folder"):
        Files.open(tmp_path)
    files.close()
    Files.open(tmp_path).close()


def test_a_trail_whose_end_is_unsound_is_not_continued(tmp_path: Path) -> None:
    written(tmp_path, 3)
    path = paths(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:-20] + b"0" * 19 + b"\n")
    with pytest.raises(DataError, match="move the folder away"):
        Files.open(tmp_path)


def opened(pipeline: Pipeline, folder: Path) -> Trail:
    made = Trail(Files.open(folder, Limits(60_000, 64)))
    made.start(AT.timestamp(), pipeline.venue, {"version": "test"})
    return made


def follow(pipeline: Pipeline, kept: Trail, ticks: int) -> None:
    for tick in range(ticks):
        if tick == ticks // 2:
            pins = [Override("weight", "fra-1", 4e9, "it is slow", 0.1), Override("stage", "static", 4e9, "calm")]
            pipeline.overrides = tuple(pins[: 1 + tick % 2])
        at = AT + tick * TICK
        update = pipeline.step(at, {"request_counts": counts(at - TICK, 15, per_s=40 + 7 * (tick % 5))})
        assert update.inputs is not None
        assert update.plan is not None
        kept.plan(update.inputs, update.plan)


def test_every_plan_is_recomputed_bit_for_bit_from_its_record(fed: Pipeline, tmp_path: Path) -> None:
    kept = opened(fed, tmp_path)
    follow(fed, kept, 24)
    kept.close()
    found = replay(tmp_path)
    assert (found.recomputed, found.kinds["plan"]) == (24, 24)
    assert found.files > 1
    assert found.kinds["venue"] >= found.files
    assert verify(tmp_path).link == found.link


def test_a_plan_that_does_not_follow_from_its_inputs_is_named(fed: Pipeline, tmp_path: Path) -> None:
    kept = opened(fed, tmp_path)
    update = fed.step(AT, {})
    assert update.inputs is not None
    assert update.plan is not None
    kept.plan(update.inputs, replace(update.plan, reason="because"))
    kept.close()
    verify(tmp_path)
    with pytest.raises(DataError, match="line 3: expected the recorded plan; found another"):
        replay(tmp_path)


@pytest.mark.parametrize("verb", ["verify", "replay"])
def test_the_command_says_what_it_found(
    fed: Pipeline, tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = opened(fed, tmp_path)
    follow(fed, kept, 2)
    kept.close()
    assert command.main([verb, str(tmp_path)]) == 0
    assert "4 records in 1 files are whole (2 plan, 1 start, 1 venue)" in capsys.readouterr().out
    with pytest.raises(DataError, match="found none"):
        command.main([verb, str(tmp_path / "elsewhere")])


class Full(Files):
    """A trail on a disk that is full after some records, until there is room again."""

    room = 3

    def write(self, at_s: float, kind: str, body: bytes) -> None:
        if self.room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= 1
        super().write(at_s, kind, body)


def test_on_a_full_disk_records_wait_and_those_beyond_the_bound_are_counted_in_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trail, "MOST_WAITING", 4)
    files = Full(tmp_path)
    kept = Trail(files)
    for number in range(10):
        kept.record(float(number), "note", {"n": number})
        kept.thread.submit(int).result()
    assert "No space left" in str(kept.fault)
    assert "4 records wait, 3 are lost" in str(kept.fault)
    files.room = 100
    kept.drain()
    kept.record(10.0, "note", {"n": 10})
    kept.close()
    assert kept.fault is None
    bodies = [msgspec.json.decode(record.body) for _, record in records(tmp_path, Found())]
    assert bodies == [*({"n": n} for n in range(7)), {"lost": 3}, {"n": 10}]


def test_a_partial_write_leaves_nothing_behind(tmp_path: Path) -> None:
    files = Files.open(tmp_path)
    files.append(0.0, "note", b"{}")
    stream = files.stream

    class Short:
        def write(self, line: bytes) -> int:
            assert stream is not None
            return stream.write(line[:10])

        def __getattr__(self, name: str) -> object:
            return getattr(stream, name)

    files.stream = Short()  # type: ignore[assignment]
    with pytest.raises(OSError, match="wrote 10 of"):
        files.append(1.0, "note", b"{}")
    files.stream = stream
    files.append(1.0, "note", b"{}")
    files.close()
    assert verify(tmp_path).kinds["note"] == 2


def test_the_sidecar_records_its_plans_and_counts_what_it_refused(sidecar: Sidecar, tmp_path: Path) -> None:
    import asyncio

    sidecar.pipeline.take({"request_counts": counts(START, 7200)})
    sidecar.trail = Trail(Files.open(tmp_path))

    async def job() -> None:
        async with sidecar.running():
            for _ in range(3):
                with pytest.raises(DataError):
                    await sidecar.observe(b"[]")
            await sidecar.advance(Step(AT, {}))

    asyncio.run(job())
    assert kinds(tmp_path) == ["start", "venue", "refusal", "plan"]
    refusal = next(record for _, record in records(tmp_path, Found()) if record.kind == "refusal")
    assert msgspec.json.decode(refusal.body)["count"] == 3
    assert replay(tmp_path).recomputed == 1


def test_a_fault_of_the_trail_is_said_and_plans_go_on(sidecar: Sidecar, tmp_path: Path) -> None:
    import asyncio

    sidecar.pipeline.take({"request_counts": counts(START, 7200)})
    files = Full(tmp_path)
    files.room = 0
    sidecar.trail = Trail(files)

    async def job() -> None:
        async with sidecar.running():
            for tick in range(2):
                await sidecar.advance(Step(AT + tick * TICK, {}))
                sidecar.trail.thread.submit(int).result()  # type: ignore[union-attr]

    asyncio.run(job())
    assert sidecar.board.plan is not None
    assert "No space left" in sidecar.board.notes["audit"]
    assert venue() == sidecar.pipeline.venue
