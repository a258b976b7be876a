"""Speed of the event replay, on one core, with the decisions in it."""

import json
import os
import subprocess
import sys

import pytest

RUN = """
import json, time
from dataclasses import replace
from pathlib import Path
from shaper.replay.contest import LEARNED, TO_BEAT, contender, forecasts_of, stage_of
from shaper.replay.events import play
from shaper.replay.surges import draw
from training.contests import read_contest
setting = read_contest(Path("training/configs/replay-systemic.toml")).setting(15.0)
scale = 15
pool = replace(setting.venue.pool, unit_rate_per_s=setting.venue.pool.unit_rate_per_s * scale)
nodes = tuple(replace(node, capacity_per_s=node.capacity_per_s * scale) for node in setting.venue.nodes)
surges = tuple(replace(surge, length_s=400.0) for surge in setting.market.surges)
market = replace(setting.market, length_s=900.0, calm_per_s=setting.market.calm_per_s * scale, surges=surges)
setting = replace(setting, venue=replace(setting.venue, pool=pool, nodes=nodes), market=market)
flow = draw(setting.venue, setting.market, setting.clients, 1)
found = {"orders": len(flow.orders)}
for name in (TO_BEAT, LEARNED):
    forecasts = forecasts_of(setting, flow, name, 1)
    times = []
    for _ in range(2):
        began = time.process_time()
        play(stage_of(setting, flow, 1), contender(setting, name, setting.manner, forecasts))
        times.append(time.process_time() - began)
    found[name] = min(times)
print(json.dumps(found))
"""


@pytest.mark.benchmark
def test_a_million_orders_are_played_in_a_second_of_one_core_with_their_decisions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    one_core = {**os.environ, "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    told = subprocess.run([sys.executable, "-c", RUN], check=True, capture_output=True, text=True, env=one_core)
    found = json.loads(told.stdout)
    orders = found.pop("orders")
    with capsys.disabled():
        for name, seconds in found.items():
            print(f"\n{name}: {orders:,} orders in {seconds:.2f} s of processor time, {orders / seconds:,.0f} orders/s")
    assert all(
        orders / seconds > 600_000 for seconds in found.values()
    )  # neighbours slow the same core's clock and caches
