import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from data.sources.mempool_space import BANDS, Mempool, above, fee_at_depth
from tests.data.sources.pulling import origins, run_pull, table
from tests.data.sources.server import Server

NOW = datetime(2025, 4, 1, 12, tzinfo=UTC)


def record(sizes: list[float], added: int = 1_743_508_800) -> dict[str, object]:
    return {
        "added": added,
        "count": 1234,
        "vbytes_per_second": 2000,
        "mempool_byte_weight": 9,
        "total_fee": 5_000_000,
        "min_fee": 1.2,
        "vsizes": sizes,
    }


def publish(server: Server, records: list[dict[str, object]]) -> Mempool:
    server.routes["/api/v1/statistics/24h"] = json.dumps(records).encode()
    return Mempool("24h", None, "bitcoin", server.url)


def sizes_at(fees: dict[int, float]) -> list[float]:
    return [fees.get(band, 0.0) for band in BANDS]


def test_recorded_statistics_become_rows(server: Server, tmp_path: Path) -> None:
    sizes = sizes_at({1: 5e6, 5: 4e6, 12: 600_000.0, 60: 500_000.0})
    run_pull(publish(server, [record(sizes)]), tmp_path)
    row = table(tmp_path, "mempool").row(0, named=True)
    assert (row["ts"], row["pending_count"], row["pending_weight"]) == (NOW, 1234, 10_100_000.0)
    assert (row["fee_fast"], row["fee_slow"], row["fee_min"]) == (12.0, 1.0, 1.2)
    levels = {level: row[f"weight_above_{level}"] for level in (5, 10, 20, 50, 100)}
    assert levels == {5: 5_100_000.0, 10: 1_100_000.0, 20: 500_000.0, 50: 500_000.0, 100: 0.0}


def test_an_instance_without_the_band_below_one_sat_means_the_same(server: Server, tmp_path: Path) -> None:
    run_pull(publish(server, [record(sizes_at({5: 4e6})[1:])]), tmp_path)
    assert table(tmp_path, "mempool")["weight_above_5"].to_list() == [4e6]


def test_other_bands_than_the_known_ones_are_refused(server: Server, tmp_path: Path) -> None:
    (failure,) = run_pull(publish(server, [record([1.0] * 12)]), tmp_path).failures
    assert "expected 39 fee bands; found 12" in str(failure)


def test_a_moving_period_is_pulled_each_time_and_adds_what_is_new(server: Server, tmp_path: Path) -> None:
    run_pull(publish(server, [record(sizes_at({1: 1.0}))]), tmp_path)
    records = [record(sizes_at({1: 2.0}), 1_743_508_860), record(sizes_at({1: 1.0}))]
    outcome = run_pull(publish(server, records), tmp_path)
    assert (outcome.tables["mempool"].new, outcome.tables["mempool"].known) == (1, 1)


def test_a_sample_of_now_has_the_projected_block(server: Server, tmp_path: Path) -> None:
    pool = {
        "count": 8134,
        "vsize": 3_444_604,
        "total_fee": 29_204_625,
        "fee_histogram": [[53.01, 102_131], [12.0, 110_990], [1.1, 775_272]],
    }
    fees = {"fastestFee": 9, "halfHourFee": 8, "hourFee": 7, "economyFee": 2, "minimumFee": 1}
    blocks = [
        {"blockSize": 1, "blockVSize": 997_903.25, "nTx": 2, "totalFees": 3, "medianFee": 6.5, "feeRange": [1, 2]}
    ]
    server.routes["/api/mempool"] = json.dumps(pool).encode()
    server.routes["/api/v1/fees/recommended"] = json.dumps(fees).encode()
    server.routes["/api/v1/fees/mempool-blocks"] = json.dumps(blocks).encode()
    run_pull(Mempool(None, NOW, "bitcoin", server.url), tmp_path)
    row = table(tmp_path, "mempool").row(0, named=True)
    assert (row["ts"], row["pending_count"], row["next_block_median_fee"]) == (NOW, 8134, 6.5)
    assert (row["fee_fast"], row["fee_slow"], row["fee_min"]) == (9.0, 7.0, 1.0)
    assert (row["weight_above_10"], row["weight_above_50"], row["weight_above_100"]) == (213_121.0, 102_131.0, 0.0)
    assert origins(tmp_path, "mempool") == {f"{server.url}/api/v1/fees/mempool-blocks"}


@pytest.mark.parametrize(("depth", "fee"), [(1.0, 20.0), (10.0, 20.0), (11.0, 5.0), (99.0, 0.0)])
def test_the_fee_at_a_depth_is_the_edge_of_its_band(depth: float, fee: float) -> None:
    assert fee_at_depth((0, 5, 20), (3.0, 7.0, 10.0), depth) == fee


def test_weight_from_a_level_on_includes_its_band() -> None:
    assert above((0, 5, 20), (3.0, 7.0, 10.0), 5) == 17.0
