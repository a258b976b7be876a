import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import uvicorn

from data.errors import UsageError
from serving.audit.files import Files
from serving.audit.reading import Summary, records, replay
from serving.audit.trail import Trail
from serving.desk import Desk
from serving.feeds import Step
from serving.gateway_settings import GatewaySettings
from serving.loop import Sidecar
from serving.server import Server
from serving.settings import Model, Settings, check, read_settings
from shaper.decision import Override
from shaper.trust import TrustRules
from tests.serving.made import PROVEN, START, counts, venue, write_config
from tests.serving.test_pipeline import AT


def reloaded(sidecar: Sidecar, before: Settings, reread: Callable[[], Settings]) -> Desk:
    desk = Desk(sidecar, None, before, reread)
    sidecar.pipeline.take({"request_counts": counts(START, 7200)})
    sidecar.feed.newest = AT  # type: ignore[attr-defined]

    async def job() -> None:
        async with sidecar.running(), desk.open():
            await sidecar.advance(Step(AT, {}))
            await desk.reload()

    asyncio.run(job())
    return desk


def test_a_reload_changes_the_venue_at_once_and_keeps_the_units(sidecar: Sidecar, tmp_path: Path) -> None:
    sidecar.trail = Trail(Files.open(tmp_path))
    before = Settings(venue())
    pool = replace(venue().pool, max_units=90, min_units=20)
    after = replace(before, venue=venue(pool=pool, review_s=5.0), trust=TrustRules(allowance_usd=7.0))
    sidecar.pipeline.overrides = (Override("capacity", "matching", 4e9, "test", 10),)
    desk = reloaded(sidecar, before, lambda: after)
    assert desk.settings == after
    assert sidecar.feed.period_s == 5.0
    assert sidecar.board.newest is not None
    assert sidecar.board.newest.plan is not None
    assert sidecar.board.newest.plan.capacity[0].units >= 20
    assert sidecar.pipeline.overrides == ()  # 10 units are out of the new range
    assert any(event.text == "changed venue, trust" for event in sidecar.board.events.events)
    assert [record.kind for _, record in records(tmp_path, Summary())] == [
        "start", "venue", "plan", "venue", "settings", "plan",
    ]  # fmt: skip
    assert replay(tmp_path).recomputed == 2


def test_what_needs_a_restart_is_said(sidecar: Sidecar) -> None:
    before = Settings(venue(), PROVEN)
    after = replace(before, server=replace(before.server, port=1), model=Model(deadline_s=0.25))
    reloaded(sidecar, before, lambda: after)
    assert sidecar.pipeline.seer.deadline.limit_s == 0.25
    assert sidecar.board.events.events[-1].text == "changed model; a restart is needed for server"


def test_settings_that_are_wrong_change_nothing_and_are_said(sidecar: Sidecar) -> None:
    def wrong() -> Settings:
        raise UsageError("shaper.toml", expected="known keys only", found="unknown prot", remedy="correct it")

    desk = reloaded(sidecar, Settings(venue()), wrong)
    assert "unknown prot" in sidecar.board.notes["settings"]
    assert sidecar.board.readiness().ready
    assert desk.settings == Settings(venue())


def test_the_environment_tells_settings_by_their_key(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    told = {"server.port": "9000", "venue.pool.max_units": "80", "model.task": "panel", "audit.folder": "trail"}
    settings = read_settings(config, told)
    check(settings, "here")
    assert (settings.server.port, settings.venue.pool.max_units, settings.model.task) == (9000, 80, "panel")
    assert settings.audit.folder == str(tmp_path / "trail")


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("server.prot", "9", "unknown server.prot"),
        ("server.port", "many", "Expected `int`"),
        ("venue.tiers.name", "x", "tiers is none"),
    ],
)
def test_a_wrong_key_in_the_environment_is_named(tmp_path: Path, key: str, value: str, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        read_settings(write_config(tmp_path), {key: value})


def test_the_environment_is_read_by_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    from data.environment import settings_told

    monkeypatch.setenv("SHAPER__VENUE__REVIEW_S", "5")
    monkeypatch.setenv("SHAPER_HISTORY", "elsewhere")
    assert settings_told() == {"venue.review_s": "5"}


def test_a_venue_of_other_tiers_waits_for_a_restart_where_a_gateway_has_queues_for_the_old_ones(
    sidecar: Sidecar,
) -> None:
    before = Settings(venue(), gateway=GatewaySettings((), ()))
    tiers = tuple(replace(tier, name=f"new {tier.name}") for tier in venue().tiers)
    desk = reloaded(sidecar, before, lambda: replace(before, venue=venue(tiers=tiers), trust=PROVEN))
    assert sidecar.board.events.events[-1].text == (
        "changed trust; a restart is needed for venue (its tiers and nodes are those of [gateway])"
    )
    assert desk.settings == replace(before, trust=PROVEN)


def test_a_signal_during_a_reload_has_the_file_read_once_more(sidecar: Sidecar) -> None:
    class Slow(Desk):
        read = 0

        async def reload(self) -> None:
            self.read += 1
            await asyncio.sleep(0.01)
            if self.read == 2:
                raise RuntimeError("none of the foreseen")

    async def job() -> None:
        desk = Slow(sidecar)
        server = Server(uvicorn.Config("none:none"), desk)
        server.reload()
        await asyncio.sleep(0)
        for _ in range(5):
            server.reload()
        assert server.reloading is not None
        await server.reloading
        assert desk.read == 2  # the five are one
        assert "none of the foreseen" in sidecar.board.notes["settings"]

    asyncio.run(job())
