"""Speed of the simulated world, on one core."""

import json
import os
import subprocess
import sys

import pytest

SINGLE = """
import json, time
from data.world.constants import Tickets
from data.world.flow import single
from data.world.generate import generate
from data.world.noise import Chance
began = time.perf_counter()
tables = generate(1.0, 1)
counted = time.perf_counter()
orders = single(Tickets(), tables["request_counts"], Chance(1).stream("orders"))
done = time.perf_counter()
print(json.dumps({"orders": orders.height, "counting_s": counted - began, "describing_s": done - counted}))
"""


@pytest.mark.benchmark
def test_a_million_orders_are_generated_in_a_second_of_one_core(capsys: pytest.CaptureFixture[str]) -> None:
    one_core = {**os.environ, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    told = subprocess.run([sys.executable, "-c", SINGLE], check=True, capture_output=True, text=True, env=one_core)
    found = json.loads(told.stdout)
    whole_s = found["counting_s"] + found["describing_s"]
    with capsys.disabled():
        print(f"\n{found['orders']:,} orders: counted with prices, blocks and nodes in {found['counting_s']:.2f} s")
        print(
            f"described one by one in {found['describing_s']:.2f} s: {found['orders'] / whole_s:,.0f} orders/s in all"
        )
    assert found["orders"] > 3_000_000
    assert found["orders"] / whole_s > 1_000_000
