import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from serving.dataplane import DataPlaneError, RecordedPlane
from serving.gateway import Report
from serving.leases.plane import LeasedPlane, scaled
from serving.leases.settings import Leases, rules
from serving.leases.share import Share
from serving.leases.store import Store, taken
from shaper.plan import Plan, Settings, TierSetting
from tests.integration.parts import free_port


def plan(rate_per_s: float) -> Plan:
    tier = TierSetting("all", 0, rate_per_s, 1.0, "")
    return Plan(0.0, 30.0, "reactive", "", (), (tier,), (), None, Settings((), (), ()))


def test_without_a_store_a_sidecar_goes_from_nothing_to_its_safe_share() -> None:
    inner = RecordedPlane(told=Report(demand_per_s=50.0, queued={"all": 3.0}))

    async def whole() -> Report | None:
        plane = LeasedPlane(inner, Leases(f"redis://127.0.0.1:{free_port()}", 4, ttl_s=0.3))
        await plane.open()
        await plane.apply(plan(100.0))
        while inner.plans[-1].quotas[0].rate_per_s == 0.0:
            await asyncio.sleep(0.01)
        await plane.apply(plan(80.0))
        report = await plane.report()
        await plane.close()
        return report

    assert asyncio.run(asyncio.wait_for(whole(), 20)) == Report(queued={"all": 3.0})
    assert [made.quotas[0].rate_per_s for made in inner.plans] == [0.0, 25.0, 20.0]


def test_a_share_of_the_quotas_comes_with_the_same_share_of_the_lines() -> None:
    whole = plan(100.0)
    lined = replace(whole, quotas=(replace(whole.quotas[0], most_waiting=30),))
    assert scaled(lined, 0.25).quotas == (replace(lined.quotas[0], rate_per_s=25.0, most_waiting=7),)
    assert scaled(lined, 0.01).quotas[0].most_waiting == 1
    assert scaled(whole, 0.25).quotas[0].most_waiting is None


def test_a_plane_that_refuses_is_said_and_asked_again() -> None:
    inner = RecordedPlane(refusal="no")

    async def whole() -> None:
        plane = LeasedPlane(inner, Leases(f"redis://127.0.0.1:{free_port()}", 1, ttl_s=0.3), CollectorRegistry())
        await plane.open()
        with pytest.raises(DataPlaneError, match="no"):
            await plane.apply(plan(100.0))
        inner.refusal = None
        while not inner.plans or inner.plans[-1].quotas[0].rate_per_s < 100.0:
            await asyncio.sleep(0.01)
        await plane.close()

    asyncio.run(asyncio.wait_for(whole(), 20))


def test_answers_of_the_store_that_grant_nothing_say_why() -> None:
    share = Share.begun(2, 3.0, 0.0)
    assert taken(share, ["late"], 10.0, 10.1) == (share, None, "the request came too late")
    full, demand, fault = taken(share, ["full"], 10.0, 10.1)
    assert (full.now(16.0), demand) == (0.0, None)
    assert fault is not None
    assert "more sidecars" in fault


def test_a_password_file_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataPlaneError, match="password_file"):
        Store(Leases("redis://127.0.0.1", 2, password_file=str(tmp_path / "none")), "one", lambda: 0.0)


@pytest.mark.parametrize("own", [Leases("http://a", 2), Leases("redis://a", 0), Leases("redis://a", 2, ttl_s=0.1)])
def test_settings_that_cannot_be_break_a_rule(own: Leases) -> None:
    assert not all(holds for holds, *_ in rules(own))
