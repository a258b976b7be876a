"""Memory and speed of the lake, each measured in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

WRITE = """
import sys
from datetime import UTC, datetime
import polars as pl
rows = int(sys.argv[2])
number = pl.int_range(rows, dtype=pl.Int64)
start = int(datetime(2023, 1, 1, tzinfo=UTC).timestamp())
pl.LazyFrame().select(
    number.alias("height"), (start + 2 * number).alias("time"),
    (10**10 + (number * 7919) % 10**9).alias("fee"), ((number * 104729) % 30_000_000).alias("used"),
).sink_parquet(sys.argv[1], row_group_size=100_000)
"""
IMPORT = """
import json, resource, sys, time
from pathlib import Path
from data.imports.chunk import Options
from data.imports.formats import bring_in
from data.imports.mapping import read
began = time.perf_counter()
done = bring_in(Path(sys.argv[3]), read(Path(sys.argv[1]), Options(mapping=Path(sys.argv[2]))))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"rows": done["blocks"].new, "peak_mb": peak, "seconds": time.perf_counter() - began}))
"""
CHECK = """
import json, resource, sys, time
from pathlib import Path
from data.check import inspect
began = time.perf_counter()
(table,) = inspect(Path(sys.argv[1])).tables
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"rows": table.rows, "faults": len(table.faults), "peak_mb": peak, "seconds": time.perf_counter() - began}))
"""
MAPPING = """
table = "blocks"
columns = {number = "height", ts = "time", base_fee_wei = "fee", gas_used = "used"}
constants = {chain = "two-second-chain", gas_limit = 30000000}
time = {unit = "s"}
"""


def brought_in(folder: Path, rows: int) -> dict[str, float]:
    source, lake = folder / f"{rows}.parquet", folder / f"lake-{rows}"
    (folder / "map.toml").write_text(MAPPING)
    subprocess.run([sys.executable, "-c", WRITE, str(source), str(rows)], check=True)
    return measured(IMPORT, str(source), str(folder / "map.toml"), str(lake))


def measured(program: str, *words: str) -> dict[str, float]:
    """What a program in a process of its own says about itself."""
    shown = subprocess.run([sys.executable, "-c", program, *words], check=True, capture_output=True, text=True)
    said: dict[str, float] = json.loads(shown.stdout)
    return said


@pytest.mark.benchmark
@pytest.mark.timeout(900)
def test_peak_memory_hardly_grows_while_rows_grow_tenfold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = (2_000_000, 20_000_000)
    grown = [brought_in(tmp_path, rows) for rows in sizes]
    checked = [measured(CHECK, str(tmp_path / f"lake-{rows}")) for rows in sizes]
    with capsys.disabled():
        for doing, pair in (("append", grown), ("check", checked)):
            for one in pair:
                rate = one["rows"] / one["seconds"]
                print(f"\n{doing:>7} {one['rows']:>12,.0f} rows: peak {one['peak_mb']:.0f} MB, {rate:,.0f} rows/s")
    for (few, many), most in ((grown, 1.4), (checked, 1.25)):
        assert (few["rows"], many["rows"]) == sizes
        assert many["peak_mb"] < most * few["peak_mb"]
