"""From the end of a tick to its plan: rows, features, ONNX, trust and plan on one core, for a venue of 5 tiers and 16 nodes."""

import statistics
import time
from dataclasses import replace
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
from shaper.venue import Node, Venue
from tests.serving.made import HORIZONS, LEVELS, PANEL, START, TICK_S, contract, counts, write_artefact

pytestmark = pytest.mark.benchmark
DEPLOYED = Path(__file__).parents[2] / "serving" / "deploy" / "shaper.toml"
TICKS = 300
P50_S, P99_S = (
    0.005,
    0.020,
)  # on a core that does a million additions of CPython in QUIET_S; in proportion on a busier one
QUIET_S = 0.040


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


def slowness() -> float:
    """How many times longer than on a quiet core of today a million additions take, at least 1."""
    took = []
    for _ in range(5):
        total, begun = 0, time.process_time()
        for number in range(1_000_000):
            total += number
        took.append(time.process_time() - begun)
    return max(statistics.median(took) / QUIET_S, 1.0)


@pytest.mark.parametrize("model", ["bundled TCN, 1 target", "small graph, 3 targets"])
def test_a_tick_becomes_a_plan_in_milliseconds(model: str, tmp_path: Path) -> None:
    forecaster = Forecaster.open(BUNDLED / "demand") if model.startswith("bundled") else three(tmp_path / "three")
    pipeline = Pipeline(venue(), forecaster, Metrics.create(), RecentOrders(15.0), Model())
    lookback_s = (forecaster.contract.lookback + 16) * TICK_S
    pipeline.take({"request_counts": counts(START, lookback_s)})
    began = START + timedelta(seconds=lookback_s)
    wall_s, cpu_s = [], []
    for tick in range(TICKS + 20):
        at = began + timedelta(seconds=TICK_S * (tick + 1))
        rows = {"request_counts": counts(at - timedelta(seconds=TICK_S), TICK_S, 40 + tick % 30)}
        wall, cpu = time.perf_counter(), time.process_time()
        update = pipeline.step(at, rows)
        wall_s.append(time.perf_counter() - wall)
        cpu_s.append(time.process_time() - cpu)
        assert update.plan is not None
        assert update.forecast_note is None
    walls, cpus, place, slow = sorted(wall_s[20:]), sorted(cpu_s[20:]), int(0.99 * (TICKS - 1)), slowness()
    print(
        f"\n{model:24} processor p50 {1e3 * statistics.median(cpus):5.2f} ms p99 {1e3 * cpus[place]:5.2f} ms; "
        f"clock p50 {1e3 * statistics.median(walls):5.2f} ms p99 {1e3 * walls[place]:5.2f} ms; {slow:.1f} times slower than quiet"
    )
    assert statistics.median(cpus) < P50_S * slow
    assert cpus[place] < P99_S * slow
