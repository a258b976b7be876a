"""What is watched names what is measured: the alert rules and the Grafana dashboard against the registry."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

import serving
from serving.embedded.metrics import GatewayMetrics
from serving.metrics import Metrics

DEPLOY = Path(serving.__file__).parent / "deploy"
NOT_OURS = {"up"}  # Prometheus makes it
WORDS = re.compile(r"\b(?:shaper|process)_\w+|\bup\b")


@pytest.fixture(scope="module")
def measured() -> set[str]:
    """The names of all samples; a histogram's and a labelled metric's too, before anything was counted."""
    found = set(NOT_OURS)
    registry = Metrics.create().registry
    GatewayMetrics.create(registry, ["maker"], ["fra-1"])
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
        found |= {family.name.removesuffix("_total") + end for end in ends}
    return found


def expressions() -> list[str]:
    panels = json.loads((DEPLOY / "grafana.json").read_text("utf-8"))["panels"]
    shown = [target["expr"] for panel in panels for target in panel["targets"]]
    return shown + re.findall(r"^ +expr: (.+)$", (DEPLOY / "alerts.yml").read_text("utf-8"), re.MULTILINE)


def test_every_expression_names_metrics_that_exist(measured: set[str]) -> None:
    named = [set(WORDS.findall(expression)) for expression in expressions()]
    assert len(named) > 30
    assert all(named)
    assert set.union(*named) <= measured


def test_each_panel_has_a_place_of_its_own() -> None:
    panels = json.loads((DEPLOY / "grafana.json").read_text("utf-8"))["panels"]
    cells = [
        (x, y)
        for at in (panel["gridPos"] for panel in panels)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_each_alert_says_what_to_do_and_is_tested() -> None:
    rules, tests = ((DEPLOY / name).read_text("utf-8") for name in ("alerts.yml", "alerts.test.yml"))
    names = re.findall(r"alert: (\w+)", rules)
    assert len(names) >= 10
    assert rules.count("remedy:") == rules.count("severity:") == len(names)
    fired = set(re.findall(r"alertname: (\w+)\n\s+exp_alerts:\n", tests))
    assert fired == set(names)
