"""From the end of a tick to its plan: rows, features, ONNX, trust and plan on one core, for a venue of 5 tiers and 16 nodes."""

import json
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from data.contract import Contract, Target
from data.features.registry import describe
from serving.demand import RecentOrders
from serving.inference import BUNDLED, Forecaster
from serving.metrics import Metrics
from serving.pipeline import Pipeline
from serving.settings import Model, read_settings
from shaper.routing import fill, groups, pieces, programmed
from shaper.venue import Node, Venue
from tests.serving.made import HORIZONS, LEVELS, PANEL, START, TICK_S, contract, counts, write_artefact, write_history
from tests.serving.process import running

pytestmark = pytest.mark.benchmark
DEPLOYED = Path(__file__).parents[2] / "serving" / "deploy" / "shaper.toml"
TICKS = 300


def venue() -> Venue:
    """The deployed example's five tiers, on sixteen nodes of four operators."""
    nodes = tuple(
        Node(f"n{i}", f"op{i % 4}", f"region{i % 4}", "ethereum", 40.0 + 5 * i, 0.02 + 0.005 * i, 0.0005 + 0.0001 * i)
        for i in range(16)
    )
    return replace(read_settings(DEPLOYED).venue, nodes=nodes)


def three_targets() -> Contract:
    """All features of orders, three targets of them, a window of 64 ticks."""
    features = tuple(describe(["demand"], PANEL))
    targets = tuple(
        Target(name, "ln(1/s)", "log_demand", "log_demand", "demand_threshold", "demand_calm")
        for name in ("demand", "second", "third")
    )
    return msgspec.structs.replace(contract("three"), features=features, targets=targets, context=64)


def three(folder: Path) -> Forecaster:
    described = three_targets()
    offsets = np.tile(np.linspace(-0.4, 0.4, len(LEVELS), dtype=np.float32), (len(HORIZONS), 3, 1))
    return Forecaster.open(write_artefact(folder, described, offsets))


@pytest.mark.parametrize("model", ["bundled TCN, 1 target", "small graph, 3 targets"])
def test_a_tick_becomes_a_plan_long_before_the_next(model: str, tmp_path: Path) -> None:
    forecaster = Forecaster.open(BUNDLED / "demand") if model.startswith("bundled") else three(tmp_path / "three")
    pipeline = Pipeline(venue(), forecaster, Metrics.create(), RecentOrders(15.0), Model())
    lookback_s = (forecaster.contract.lookback + 16) * TICK_S
    pipeline.take({"request_counts": counts(START, lookback_s)})
    began = START + timedelta(seconds=lookback_s)
    whole_s, planned_s = [], []
    for tick in range(TICKS + 20):
        at = began + timedelta(seconds=TICK_S * (tick + 1))
        rows = {"request_counts": counts(at - timedelta(seconds=TICK_S), TICK_S, 40 + tick % 30)}
        begun = time.process_time()
        update = pipeline.step(at, rows)
        whole_s.append(time.process_time() - begun)
        pipeline.again(at)
        planned_s.append(time.process_time() - begun - whole_s[-1])
        assert update.plan is not None
        assert update.forecast_note is None
    print()
    for name, times in (("rows, features, ONNX and plan", whole_s), ("trust and plan alone", planned_s)):
        took = sorted(times[20:])
        p50, p99 = statistics.median(took), took[int(0.99 * (len(took) - 1))]
        print(f"{model:24} {name:30} processor p50 {1e3 * p50:5.2f} ms p99 {1e3 * p99:5.2f} ms")
    assert statistics.median(planned_s) < statistics.median(whole_s) / 2


def played(folder: Path) -> Path:
    """The deployed settings with sixteen nodes, on a free port."""
    text = DEPLOYED.read_text("utf-8").replace("port = 8080", "port = 0").replace('kind = "none"', 'kind = "history"')
    head, _, _ = text.partition("[[venue.nodes]]")
    nodes = [
        "\n".join(["[[venue.nodes]]", *(f"{key} = {json.dumps(value)}" for key, value in asdict(node).items())])
        for node in venue().nodes
    ]
    path = folder / "settings" / "deploy" / "shaper.toml"
    path.parent.mkdir(parents=True)
    path.write_text(head + "\n".join(nodes), "utf-8")
    return path


def test_a_tick_becomes_a_plan_while_the_api_is_asked(tmp_path: Path) -> None:
    of, out = Forecaster.open(BUNDLED / "demand").contract, tmp_path / "took.json"
    history = write_history(tmp_path / "history", (of.lookback + 2000) * TICK_S / 3600)
    start = (START + timedelta(seconds=of.lookback * TICK_S)).isoformat()
    config = played(tmp_path)
    config.write_text(config.read_text("utf-8").replace("[audit]", f"start = {start}\n[audit]"), "utf-8")
    module = [sys.executable, "-m", "tests.benchmarks.ticking"]
    command = [*module, "serve", str(out)]
    with running(config, "--history", str(history), "--speed", str(10 * TICK_S), command=command) as sidecar:
        sidecar.wait_for("/readyz")
        asked = [*module, "ask", str(sidecar.port), of.name, str(of.context), str(len(of.features)), "10"]
        answers = json.loads(subprocess.check_output(asked, text=True))
        assert sidecar.stop() == 0
    took = json.loads(out.read_text())[5:]
    print(f"\n{answers[0]} plans and {answers[1]} inferences answered in 10 s, {len(took)} ticks")
    for name, times in zip(
        ("rows to the plan on the board", "the pipeline alone"), zip(*took, strict=True), strict=True
    ):
        ordered = sorted(times)
        p50, p99 = statistics.median(ordered), ordered[int(0.99 * (len(ordered) - 1))]
        print(f"{name:30} wall p50 {1e3 * p50:5.2f} ms p99 {1e3 * p99:5.2f} ms")
    assert len(took) > 30
    assert statistics.median(whole for whole, _ in took) < TICK_S / 100


def test_filling_pieces_against_the_linear_programme() -> None:
    of = venue()
    up, caps = list(of.nodes), groups(list(of.nodes), of)
    priced = [pieces(node, 0.5) for node in up]
    cost, room = [list(slopes) for slopes, _ in priced], [[width / 300.0 for width in widths] for _, widths in priced]
    took = {}
    for name, solve in (("filled", fill), ("linear programme (HiGHS)", programmed)):
        begun = time.process_time()
        for _ in range(50):
            assert solve(cost, room, caps) is not None
        took[name] = (time.process_time() - begun) / 50
        print(f"\n{name:24} {1e6 * took[name]:7.0f} us", end="")
    assert took["linear programme (HiGHS)"] > 5 * took["filled"]
