"""Bitcoin's mempool from mempool.space or a self-hosted instance: recorded statistics, and the projected blocks of now.

Decided here: `weight_above_N` sums the fee bands from N sat per virtual byte on; where only bands are known, the fee for
the next block (and for an hour) is the lower edge of the band that a transaction has to be in to be among the first one
(six) million virtual bytes. https://mempool.space/docs/api/rest.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from data.errors import DataError
from data.sources.asking import add_base_url
from data.sources.engine import Fetched, Part, Rows
from data.sources.fields import REMEDY, array, mapping, number, whole
from data.sources.web import Web

BASE_URL = "https://mempool.space"
PER_SECOND = 2.0
PERIODS = ("2h", "24h", "3d", "1w", "1m", "3m", "6m", "1y", "2y", "3y", "4y", "all")
BANDS = (
    *(0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 40, 50, 60, 70, 80, 90, 100, 125, 150, 175, 200, 250, 300, 350, 400),
    *(500, 600, 700, 800, 900, 1000, 1200, 1400, 1600, 1800, 2000),
)
LEVELS = (5, 10, 20, 50, 100)
BLOCK_VSIZE, HOUR_VSIZE = 1e6, 6e6


@dataclass(frozen=True)
class Mempool:
    """What is asked of an instance: a period of statistics, and a sample of now."""

    period: str | None
    now: datetime | None
    chain: str = "bitcoin"
    base_url: str = BASE_URL

    async def parts(self, web: Web) -> Sequence[Part]:  # noqa: ARG002 - nothing has to be asked
        """One part each."""
        root = self.base_url.rstrip("/")
        found: list[Part] = []
        if self.period:
            found.append(Statistics(root, self.chain, self.period))
        if self.now:
            found.append(Sample(root, self.chain, self.now))
        return found


@dataclass(frozen=True)
class Statistics:
    """Recorded statistics of a period that ends now."""

    root: str
    chain: str
    period: str

    @property
    def key(self) -> str:
        """Name of the part; it is never finished, as its period moves."""
        return f"mempool-space/{self.chain}/statistics/{self.period}"

    async def fetch(self, web: Web) -> Fetched:
        """A row for each record."""
        url = f"{self.root}/api/v1/statistics/{self.period}"
        rows = [self.row(record, url) for record in array(await web.json(url), url)]
        return Fetched((Rows("mempool", frame(rows), url),), complete=False)

    def row(self, record: object, url: str) -> dict[str, object]:
        """The canonical row of a record."""
        one = mapping(record, url)
        sizes = [number(size, url, "vsizes") for size in array(one.get("vsizes"), url)]
        # Older instances have no band below 1 sat.
        bands = BANDS[len(BANDS) - len(sizes) :]
        if len(sizes) not in (len(BANDS), len(BANDS) - 1):
            raise DataError(url, expected=f"{len(BANDS)} fee bands", found=f"{len(sizes)}", remedy=REMEDY)
        return {
            "chain": self.chain,
            "ts": datetime.fromtimestamp(whole(one.get("added"), url, "added"), UTC),
            "pending_count": whole(one.get("count"), url, "count"),
            "pending_weight": sum(sizes),
            "pending_fee": number(one.get("total_fee"), url, "total_fee"),
            "fee_fast": fee_at_depth(bands, sizes, BLOCK_VSIZE),
            "fee_slow": fee_at_depth(bands, sizes, HOUR_VSIZE),
            "fee_min": None if one.get("min_fee") is None else number(one.get("min_fee"), url, "min_fee"),
            **{f"weight_above_{level}": above(bands, sizes, level) for level in LEVELS},
        }


def fee_at_depth(bands: Sequence[int], sizes: Sequence[float], depth: float) -> float:
    """Lower edge of the band in which the dearest `depth` virtual bytes end; the lowest edge when there are fewer."""
    total = 0.0
    for band, size in zip(reversed(bands), reversed(sizes), strict=True):
        total += size
        if total >= depth:
            return float(band)
    return float(bands[0])


def above(bands: Sequence[int], sizes: Sequence[float], level: int) -> float:
    """Virtual bytes in the bands from a fee level on."""
    return float(sum(size for band, size in zip(bands, sizes, strict=True) if band >= level))


@dataclass(frozen=True)
class Sample:
    """The mempool of now: totals, histogram, recommended fees and the projected next block."""

    root: str
    chain: str
    now: datetime

    @property
    def key(self) -> str:
        """Name of the part."""
        return f"mempool-space/{self.chain}/now/{self.now:%Y%m%dT%H%M%S}"

    async def fetch(self, web: Web) -> Fetched:
        """One row."""
        url = f"{self.root}/api/mempool"
        pool = mapping(await web.json(url), url)
        fees_url = f"{self.root}/api/v1/fees/recommended"
        fees = mapping(await web.json(fees_url), fees_url)
        blocks_url = f"{self.root}/api/v1/fees/mempool-blocks"
        blocks = [mapping(block, blocks_url) for block in array(await web.json(blocks_url), blocks_url)]
        bands = [array(band, url) for band in array(pool.get("fee_histogram"), url)]
        levels = [(number(fee, url, "fee"), number(size, url, "vsize")) for fee, size in bands]
        row: dict[str, object] = {
            "chain": self.chain,
            "ts": self.now,
            "pending_count": whole(pool.get("count"), url, "count"),
            "pending_weight": number(pool.get("vsize"), url, "vsize"),
            "pending_fee": number(pool.get("total_fee"), url, "total_fee"),
            "fee_fast": number(fees.get("fastestFee"), fees_url, "fastestFee"),
            "fee_slow": number(fees.get("hourFee"), fees_url, "hourFee"),
            "fee_min": number(fees.get("minimumFee"), fees_url, "minimumFee"),
            "next_block_median_fee": number(blocks[0].get("medianFee"), blocks_url, "medianFee") if blocks else None,
            **{f"weight_above_{level}": sum(size for fee, size in levels if fee >= level) for level in LEVELS},
        }
        return Fetched((Rows("mempool", frame([row]), blocks_url),), complete=False)


def frame(rows: Sequence[dict[str, object]]) -> pl.DataFrame:
    """Canonical rows."""
    real = ("pending_weight", "pending_fee", "fee_fast", "fee_slow", "fee_min", "next_block_median_fee")
    levels = [f"weight_above_{level}" for level in LEVELS]
    types = {"chain": pl.String(), "ts": pl.Datetime("ms", "UTC"), "pending_count": pl.Int64()}
    return pl.DataFrame(rows, schema=types | dict.fromkeys((*real, *levels), pl.Float64()))


def add_options(parser: ArgumentParser) -> None:
    """Options of `shaper data pull mempool-space`."""
    parser.add_argument(
        "--period", choices=PERIODS, default="24h", help="of recorded statistics (default: %(default)s)"
    )
    parser.add_argument("--only-now", action="store_true", help="no statistics, only a sample of now")
    parser.add_argument("--chain", default="bitcoin", metavar="NAME", help="name in the lake (default: %(default)s)")
    add_base_url(parser, BASE_URL)


def from_options(options: Namespace) -> Mempool:
    """The source that the options ask for."""
    now = datetime.now(UTC).replace(microsecond=0)
    return Mempool(None if options.only_now else options.period, now, options.chain, options.base_url)
