"""Blocks as cryo writes them: `NETWORK__blocks__FIRST_to_LAST.parquet`.

Decided here: cryo has no gas limit, so the caller says it (`gas_limit`) unless a column `gas_limit` was added. A wrong
one shows at once in `shaper data check`: the base fees then break the EIP-1559 recurrence.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from data.imports.chunk import Chunk, Options, pieces, require_columns, require_option, schema_of

COLUMNS = ("block_number", "timestamp", "base_fee_per_gas", "gas_used")


def read(path: Path, options: Options) -> Iterator[Chunk]:
    """Blocks of one file; the chain is `chain`, or the network in the file's name, or `chain_id`."""
    frame = pl.scan_parquet(path, glob=False)
    found = schema_of(frame, path)
    require_columns(found, COLUMNS, path, f"run `cryo blocks --include-columns {' '.join(COLUMNS[1:])}`")
    if "gas_limit" not in found:
        require_option(options.gas_limit, "--gas-limit", path)
    rows = frame.select(
        chain(path, options, found),
        pl.col("block_number").cast(pl.Int64).alias("number"),
        (pl.col("timestamp").cast(pl.Int64) * 1000).cast(pl.Datetime("ms", "UTC")).alias("ts"),
        pl.col("base_fee_per_gas").cast(pl.Int64).alias("base_fee_wei"),
        pl.col("gas_used").cast(pl.Int64),
        (pl.col("gas_limit") if "gas_limit" in found else pl.lit(options.gas_limit)).cast(pl.Int64).alias("gas_limit"),
    )
    for piece in pieces(rows, path):
        yield Chunk("blocks", piece, options.origin or f"cryo:{path.name}")


def chain(path: Path, options: Options, found: pl.Schema) -> pl.Expr:
    """Name of the chain."""
    network, _, rest = path.name.partition("__")
    name = options.chain or (network if rest else None)
    if name is None and "chain_id" in found:
        return pl.col("chain_id").cast(pl.String).alias("chain")
    require_option(name, "--chain", path)
    return pl.lit(name).alias("chain")
