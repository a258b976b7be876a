import json
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from data.errors import UsageError
from serving.dataplanes import main, planes_of
from serving.envoy.bootstrap import render
from serving.envoy.commands import checked
from serving.envoy.settings import Endpoint, Envoy
from serving.settings import check, read_settings
from shaper.venue import Tier
from tests.serving.made import venue

SHIPPED = Path(__file__).parents[3] / "serving" / "deploy" / "envoy.toml"
OWN = Envoy((Endpoint("fra-1", "127.0.0.1:9101"), Endpoint("nrt-1", "127.0.0.1:9102")))


def test_envoy_takes_the_bootstrap_of_the_shipped_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "var" / "envoy.json"
    assert main(["envoy", "render", "--config", str(SHIPPED), "--id", "edge-7", "--out", str(out)]) == 0
    assert json.loads(out.read_text())["node"] == {"id": "edge-7", "cluster": "shaper"}
    assert [path.name for path in out.parent.iterdir()] == ["envoy.json"]
    assert main(["envoy", "check", "--config", str(SHIPPED)]) == 0
    assert "the bootstrap is valid" in capsys.readouterr().out


def test_a_venue_of_one_tier_has_a_bootstrap_too() -> None:
    one = venue(tiers=(Tier("all", 0, 0.05, 0.4, 30.0, 0.2, 1.0),))
    assert checked(render(OWN, one, "one")) == "the bootstrap is valid"


def test_orders_are_never_sent_twice() -> None:
    assert "retry_on" not in render(OWN, venue(), "one")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"endpoints": OWN.endpoints[:1]}, "one for each node of the venue"),
        ({"control": "10.0.0.1:18000"}, "loopback"),
        ({"bind": "node:80"}, "bind as IP:port"),
        ({"refused": ("nobody",)}, "refused: tiers of the venue"),
        ({"hold_s": 1.0}, "hold_s from 10"),
        ({"max_waiting": 0}, "max_waiting of at least 1"),
    ],
)
def test_settings_that_contradict_the_venue_are_named(change: dict[str, object], named: str) -> None:
    settings = read_settings(SHIPPED)
    own = replace(OWN, **change)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=named):
        check(replace(settings, venue=venue(), dataplane=replace(settings.dataplane, envoy=own)), "x.toml")


def test_a_file_without_the_section_says_so() -> None:
    with pytest.raises(UsageError, match=r"section \[dataplane\.envoy\]"):
        main(["envoy", "render", "--config", str(SHIPPED.with_name("shaper.toml"))])


def test_the_settings_name_the_planes_and_their_metrics() -> None:
    registry = CollectorRegistry()
    assert planes_of(read_settings(SHIPPED.with_name("shaper.toml")), registry, lambda: 0.0) == ()
    assert [plane.name for plane in planes_of(read_settings(SHIPPED), registry, lambda: 0.0)] == ["envoy"]
    assert {metric.name for metric in registry.collect()} >= {"shaper_envoy_refusals", "shaper_envoy_connected"}
