import io
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.sources.dumpster import CSV, Dumpster, arranged, minutes
from tests.data.sources.pulling import run_pull, table
from tests.data.sources.server import Reply, Server, zipped

START = datetime(2024, 1, 2, tzinfo=UTC)
START_MS = 1_704_153_600_000
MINUTE = 60_000
Seen = tuple[int, int | None, int, int]  # seen (ms after the start), included (same), gas, gwei


def csv(transactions: list[Seen]) -> str:
    lines = [",".join(CSV)]
    for n, (seen, included, gas, gwei) in enumerate(transactions):
        values = dict.fromkeys(CSV, "") | {
            "timestamp_ms": f"{START_MS + seen}",
            "hash": f"0x{n}",
            "gas": f"{gas}",
            "gas_price": f"{gwei * 10**9}",
            "gas_tip_cap": "1",
            "gas_fee_cap": f"{gwei * 10**9}" if n % 2 else "",
            "sources": "a b",
        }
        if included is not None:
            values |= {"included_block_timestamp_ms": f"{START_MS + included}", "inclusion_delay_ms": "1"}
        lines.append(",".join(values[name] for name in CSV))
    return "\n".join(lines) + "\n"


def publish(server: Server, day: str, transactions: list[Seen]) -> None:
    server.routes[f"/{day[:7]}/{day}.csv.zip"] = zipped(csv(transactions), f"{day}.csv")


def asked(server: Server, form: str = "csv") -> Dumpster:
    return Dumpster(date(2024, 1, 2), date(2024, 1, 3), form, base_url=server.url)


TODAY: list[Seen] = [
    (30_000, 90_000, 21_000, 10),
    (60_000, None, 100_000, 30),
    (61_000, 121_000, 50_000, 20),
]


def test_a_day_becomes_a_row_a_minute(server: Server, tmp_path: Path) -> None:
    publish(server, "2024-01-01", [])
    publish(server, "2024-01-02", TODAY)
    run_pull(asked(server), tmp_path)
    rows = table(tmp_path, "mempool")
    assert rows.height == 1440
    assert rows["pending_count"][:5].to_list() == [0, 1, 2, 1, 1]
    two = rows.row(2, named=True)
    assert (two["chain"], two["ts"]) == ("ethereum", START + timedelta(minutes=2))
    assert (two["pending_weight"], two["fee_min"]) == (150_000.0, pytest.approx(20.0))
    assert two["pending_fee"] == pytest.approx(100_000 * 30 + 50_000 * 20)
    assert two["arrivals_per_s"] == pytest.approx(2 / 60)
    assert (two["inclusion_p50_s"], rows["inclusion_p50_s"][3], rows["inclusion_p50_s"][4]) == (60.0, 60.0, None)


def test_a_transaction_that_is_never_included_leaves_after_three_hours(server: Server, tmp_path: Path) -> None:
    publish(server, "2024-01-01", [])
    publish(server, "2024-01-02", TODAY)
    run_pull(asked(server), tmp_path)
    pending = table(tmp_path, "mempool")["pending_count"]
    assert pending[3:182].unique().to_list() == [1]  # seen at 00:01, so it waits up to 03:01
    assert pending[182:].sum() == 0


def test_the_day_before_fills_the_first_three_hours(server: Server, tmp_path: Path) -> None:
    publish(server, "2024-01-01", [(-2 * 3_600_000, 3_600_000, 1, 5), (-4 * 3_600_000, None, 1, 5)])
    publish(server, "2024-01-02", [])
    run_pull(asked(server), tmp_path)
    assert table(tmp_path, "mempool")["pending_count"].sum() == 61


def test_without_the_day_before_the_first_three_hours_are_unknown(server: Server, tmp_path: Path) -> None:
    publish(server, "2024-01-02", TODAY)
    run_pull(asked(server), tmp_path)
    assert table(tmp_path, "mempool")["ts"].min() == START + timedelta(hours=3)


def test_parquet_gives_the_same_rows(server: Server, tmp_path: Path) -> None:
    publish(server, "2024-01-02", TODAY)
    run_pull(asked(server), tmp_path / "csv")
    frame = pl.DataFrame(
        {
            "timestamp": [START + timedelta(milliseconds=seen) for seen, *_ in TODAY],
            "gas": [f"{gas}" for _, _, gas, _ in TODAY],
            "gasPrice": [f"{gwei * 10**9}" for *_, gwei in TODAY],
            "gasFeeCap": [f"{gwei * 10**9}" for *_, gwei in TODAY],
            "includedBlockTimestamp": [
                None if included is None else START + timedelta(milliseconds=included) for _, included, *_ in TODAY
            ],
            "rawTx": ["0x"] * 3,
        },
        schema_overrides={"timestamp": pl.Datetime("ms"), "includedBlockTimestamp": pl.Datetime("ms")},
    )
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    server.routes["/2024-01/2024-01-02.parquet"] = buffer.getvalue()
    run_pull(asked(server, "parquet"), tmp_path / "parquet")
    assert table(tmp_path / "parquet", "mempool").equals(table(tmp_path / "csv", "mempool"))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"PK", "expected a whole zip archive"),
        (zipped(csv(TODAY).replace("included_block_timestamp_ms", "included")), "expected the columns timestamp_ms"),
        (zipped(csv(TODAY).replace("21000", "many")), "the type Float64 in the column gas"),
    ],
    ids=["corrupt", "renamed", "text"],
)
def test_a_file_of_another_form_is_one_message(server: Server, tmp_path: Path, body: bytes, expected: str) -> None:
    server.routes["/2024-01/2024-01-02.csv.zip"] = body
    (failure,) = run_pull(asked(server), tmp_path).failures
    assert expected in str(failure)


def test_a_truncated_download_is_fetched_again(server: Server, tmp_path: Path) -> None:
    publish(server, "2024-01-02", TODAY)
    path = "/2024-01/2024-01-02.csv.zip"
    body = server.routes[path]
    assert isinstance(body, bytes)
    server.faults[path] = [Reply(body[:50], announced=len(body))]
    assert run_pull(asked(server), tmp_path).tables["mempool"].new == 1260


def test_no_minute_depends_on_what_was_seen_or_included_later() -> None:
    rng = np.random.default_rng(1)
    seen = np.sort(rng.integers(0, 20 * MINUTE, 300))
    rows = pl.DataFrame(
        {
            "timestamp_ms": seen,
            "gas": rng.uniform(21_000, 1e6, 300),
            "gas_price": rng.uniform(1e9, 1e11, 300),
            "gas_fee_cap": [None] * 300,
            "included_block_timestamp_ms": seen + rng.integers(0, 10 * MINUTE, 300),
        },
        schema_overrides={"gas_fee_cap": pl.Float64()},
    )
    cut = 10 * MINUTE
    included = pl.col("included_block_timestamp_ms")
    past = rows.filter(pl.col("timestamp_ms") < cut).with_columns(
        pl.when(included < cut).then(included).alias("included_block_timestamp_ms")
    )
    assert minutes(arranged(past), 0, cut + 1, "x").equals(minutes(arranged(rows), 0, cut + 1, "x"))
