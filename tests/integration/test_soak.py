"""A sidecar with its gateway that takes rows and orders for long: its memory does not grow."""

from datetime import timedelta
from pathlib import Path
from statistics import linear_regression

import psutil
import pytest

from tests.serving.embedded.load import closed, send_transaction
from tests.serving.embedded.processes import chain, write_gateway
from tests.serving.made import START, counts, posted
from tests.serving.process import running

KEPT = '[audit]\nfolder = "audit"\nfiles = 2\nfile_mb = 1\n[state]\nfolder = "state"\nevery_s = 5\n[feed]\nclock = "rows"\n'
SPAN_S, ROWS_A_SECOND = 42, 2
WARM_SHARE = 0.3  # of the rounds, in which buffers, memories of orders and the allocator's arenas fill
GROWS_MIB = 8.0  # that a straight line through the rest may rise, from the first of it to the last
MOST_MIB = 250.0


@pytest.mark.parametrize(
    ("rounds", "posts", "orders"),
    [
        pytest.param(10, 2, 400, marks=pytest.mark.integration),
        pytest.param(120, 100, 8400, marks=pytest.mark.long),  # 1 million of either
    ],
)
@pytest.mark.timeout(3600)
def test_a_sidecar_that_takes_rows_and_orders_for_long_does_not_grow(
    tmp_path: Path, rounds: int, posts: int, orders: int
) -> None:
    with chain(None) as nodes:
        config = write_gateway(tmp_path, nodes, max_in_flight=256, timeout_s=5.0, gateway="max_remembered = 2000")
        config.write_text(config.read_text("utf-8") + KEPT, "utf-8")
        with running(config) as sidecar:
            process, resident_mib, accepted = psutil.Process(sidecar.process.pid), [], 0
            for number in range(rounds):
                for post in range(posts):
                    begin = START + timedelta(seconds=SPAN_S * (number * posts + post))
                    rows = posted(counts(begin, SPAN_S))
                    assert sidecar.ask("POST", "/v1/observations", {"request_counts": rows})[0] == 202
                found = closed(sidecar.orders_port, 16, orders, send_transaction("crowd", number))
                accepted += found.statuses.count(200)
                resident_mib.append(process.memory_info().rss / 2**20)
                if number % max(rounds // 12, 1) == 0:
                    print(f"after {accepted} orders {resident_mib[-1]:.0f} MiB", flush=True)
            sidecar.wait_for("/v1/plan")
            assert sidecar.stop() == 0
    rest = resident_mib[int(WARM_SHARE * rounds) :]
    risen_mib = linear_regression(range(len(rest)), rest).slope * (len(rest) - 1)
    rows_taken = rounds * posts * SPAN_S * ROWS_A_SECOND
    print(f"\n{rows_taken} rows and {accepted} orders: {rest[0]:.0f} to {rest[-1]:.0f} MiB, risen by {risen_mib:.1f}")
    assert accepted == rounds * orders
    assert risen_mib < GROWS_MIB
    assert max(resident_mib) < MOST_MIB
