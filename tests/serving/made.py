"""Small real parts for the tests of the sidecar: an ONNX artefact that repeats the last demand, a history, a venue."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import onnx
import polars as pl
from onnx import TensorProto, helper, numpy_helper

from data.contract import (
    DIGEST_KEY,
    MODEL_FILE,
    Calibration,
    Contract,
    Feature,
    Panel,
    Target,
    Window,
    write_contract,
)
from data.features.registry import describe
from data.history import write_table
from shaper.trust import TrustRules
from shaper.venue import Node, Pool, Tier, Venue

START = datetime(2024, 1, 1, tzinfo=UTC)
TICK_S = 15
HORIZONS = tuple(range(1, 21))
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
PROVEN = TrustRules(proven=True)  # so that the first forecast may lead
SPREAD = np.array([-0.4, -0.15, 0.0, 0.15, 0.4], np.float32)  # of ln demand, by level
PANEL = Panel(TICK_S, "ethereum", {"eth": ("ETH-PERP",)})
KEPT = ("log_demand", "demand_threshold", "demand_calm")


def features() -> tuple[Feature, ...]:
    described = {feature.name: feature for feature in describe(["demand"], PANEL)}
    return tuple(described[name] for name in KEPT)


def contract(name: str = "echo") -> Contract:
    return Contract(
        name=name,
        task="demand",
        architecture="echo",
        panel=PANEL,
        context=4,
        features=features(),
        targets=(Target("demand", "ln(1/s)", "log_demand", "log_demand", "demand_threshold", "demand_calm"),),
        horizons=HORIZONS,
        levels=LEVELS,
        training=Window("2023-01-01T00:00:00+00:00", "2024-01-01T00:00:00+00:00"),
        calibration=Calibration("none"),
        data_digest="0" * 64,
        code_version="0.1.0",
        seed=0,
    )


def graph(context: int, width: int, offsets: np.ndarray, spike: np.ndarray) -> onnx.ModelProto:
    """quantiles = largest known demand of the window + offsets (H, 1, L); spike is constant."""
    constants = {
        "first": np.array([0, 0], np.int64),
        "after": np.array([context, 1], np.int64),
        "axes": np.array([1, 2], np.int64),
        "shape": np.array([-1, 1, 1, 1], np.int64),
        "flat": np.array([-1, 1, 1], np.int64),
        "zero": np.array(0, np.float32),
        "least": np.array(-99, np.float32),
        "time": np.array([1], np.int64),
        "offsets": offsets[np.newaxis].astype(np.float32),
        "chances": spike[np.newaxis].astype(np.float32),
    }
    nodes = [
        helper.make_node("Slice", ["window", "first", "after", "axes"], ["raw"]),
        helper.make_node("IsNaN", ["raw"], ["unknown"]),
        helper.make_node("Where", ["unknown", "least", "raw"], ["filled"]),
        helper.make_node("ReduceMax", ["filled", "time"], ["known"], keepdims=1),
        helper.make_node("Reshape", ["known", "shape"], ["value"]),
        helper.make_node("Add", ["value", "offsets"], ["quantiles"]),
        helper.make_node("Reshape", ["known", "flat"], ["low"]),
        helper.make_node("Mul", ["low", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "chances"], ["spike"]),
    ]
    horizons, targets, levels = offsets.shape
    made = helper.make_graph(
        nodes,
        "echo",
        [helper.make_tensor_value_info("window", TensorProto.FLOAT, ["batch", context, width])],
        [
            helper.make_tensor_value_info("quantiles", TensorProto.FLOAT, ["batch", horizons, targets, levels]),
            helper.make_tensor_value_info("spike", TensorProto.FLOAT, ["batch", horizons, targets]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def write_artefact(
    folder: Path, described: Contract | None = None, offsets: np.ndarray | None = None, digest: str | None = None
) -> Path:
    described = described or contract()
    offsets = np.tile(SPREAD, (len(HORIZONS), 1, 1)) if offsets is None else offsets
    model = graph(described.context, len(described.features), offsets, np.full(offsets.shape[:2], 0.125))
    helper.set_model_props(model, {DIGEST_KEY: digest or described.digest})
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / MODEL_FILE)
    write_contract(described, folder)
    return folder


def counts(start: datetime, seconds: int, per_s: int = 48) -> pl.DataFrame:
    """The same number of orders every second, in two tiers."""
    times = [start + timedelta(seconds=second) for second in range(seconds)]
    parts = [("maker", per_s - per_s // 4), ("taker", per_s // 4)]
    return pl.concat(
        pl.DataFrame(
            {"ts": times, "count": [count] * seconds, "tier": [tier] * seconds},
            schema_overrides={"ts": pl.Datetime("ms", "UTC")},
        )
        for tier, count in parts
    ).sort("ts", "tier")


def posted(frame: pl.DataFrame) -> list[dict[str, object]]:
    """Rows as JSON has them."""
    return [{**row, "ts": row["ts"].isoformat()} for row in frame.iter_rows(named=True)]


def write_history(folder: Path, hours: float = 3.0) -> Path:
    write_table(folder, "request_counts", counts(START, int(hours * 3600)))
    return folder


def venue(**changes: object) -> Venue:
    made = Venue(
        tiers=(
            Tier("maker", 0, 0.05, 0.4, 30.0, 0.2, 0.75),
            Tier("taker", 1, 0.03, 0.3, 60.0, 0.1, 0.25),
        ),
        pool=Pool("matching", 12.0, 2, 60, 60.0, 0.0004),
        nodes=(
            Node("fra-1", "north", "eu", "ethereum", 150.0, 0.02, 0.001),
            Node("nrt-1", "south", "asia", "ethereum", 100.0, 0.08, 0.0005),
        ),
        max_operator_share=0.7,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


CONFIG = """
[server]
port = 0
[model]
artefact = "artefact"
[feed]
{feed}
[trust]
proven = true
[venue]
review_s = 15
max_operator_share = 0.7
[venue.pool]
name = "matching"
unit_rate_per_s = 12
min_units = 2
max_units = 60
actuation_delay_s = 60
cost_usd_per_unit_s = 0.0004
[[venue.tiers]]
name = "maker"
priority = 0
delay_cost_usd_per_s = 0.05
reject_cost_usd = 0.4
deadline_s = 30
floor_share = 0.2
demand_share = 0.75
[[venue.tiers]]
name = "taker"
priority = 1
delay_cost_usd_per_s = 0.03
reject_cost_usd = 0.3
deadline_s = 60
floor_share = 0.1
demand_share = 0.25
"""


def write_config(folder: Path, feed: str = 'kind = "none"', change: tuple[str, str] | None = None) -> Path:
    text = CONFIG.format(feed=feed)
    if change is not None:
        assert change[0] in text
        text = text.replace(*change)
    path = folder / "shaper.toml"
    path.write_text(text, "utf-8")
    return path
