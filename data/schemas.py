"""The canonical tables: their columns, what makes a row impossible, and when a live system could have had it.

Decided here: names, units and types of every column, the order of rows, and `known_at`. Times are event times in UTC;
null is "unknown" and is never read as 0. Rules hold row by row; they are the faults that `shaper data check` reports.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import dataframely as dy
import polars as pl

if TYPE_CHECKING:
    from dataframely._rule import RuleFactory


def time(unit: str = "ms") -> dy.Datetime:
    """A required event time in UTC."""
    return dy.Datetime(nullable=False, time_unit="us" if unit == "us" else "ms", time_zone="UTC")


def amount(*, above: float | None = None, least: float | None = None) -> dy.Float64:
    """A required finite number."""
    return dy.Float64(nullable=False, min_exclusive=above, min=least)


def count(least: int = 0) -> dy.Int64:
    """A required whole number."""
    return dy.Int64(nullable=False, min=least)


def step(column: str, group: str | None = None) -> pl.Expr:
    """Difference from the row before (of the same group); null in the first."""
    change = pl.col(column).cast(pl.Int64).diff()
    return change.over(group) if group else change


def ascending(column: str, group: str | None = None) -> "RuleFactory":
    """The rule that rows ascend by a column, within each group."""
    return dy.rule()(lambda _: step(column, group).fill_null(0) >= 0)


def distinct(column: str, group: str | None = None) -> "RuleFactory":
    """The rule that there is one row a value of a column that ascends, within each group."""
    return dy.rule()(lambda _: step(column, group).fill_null(1) != 0)


class Blocks(dy.Schema):
    """Blocks of a chain: `base_fee_wei` wei per gas; `gas_used` and `gas_limit` gas. Known at `ts`.

    `tip_pN_gwei`: priority fee per gas at the Nth percentile of the block's gas (the reward of `eth_feeHistory`).
    """

    chain = dy.String(nullable=False)
    number = count()
    ts = time()
    base_fee_wei = count(least=1)
    gas_used = count()
    gas_limit = count(least=1)
    tx_count = dy.Int64(nullable=True, min=0)
    builder_bid_gwei = dy.Float64(nullable=True)
    tip_p10_gwei = dy.Float64(nullable=True, min=0.0)
    tip_p50_gwei = dy.Float64(nullable=True, min=0.0)
    tip_p90_gwei = dy.Float64(nullable=True, min=0.0)

    rows_in_order = ascending("number", "chain")
    no_duplicates = distinct("number", "chain")
    time_goes_forward = ascending("ts", "chain")

    @dy.rule()
    def gas_fits_the_block(cls) -> pl.Expr:  # noqa: N805 - dataframely hands over the class
        """Gas used is at most twice the limit (recorded blocks exceed it by a hair where the limit changed)."""
        return pl.col("gas_used") <= 2 * pl.col("gas_limit")


class Bars(dy.Schema):
    """Candles: `ts` is the OPEN time, prices in the quote currency, `volume` in units of the base. Known at the close."""

    symbol = dy.String(nullable=False)
    ts = time()
    interval_s = count(least=1)
    open = amount(above=0.0)
    high = amount(above=0.0)
    low = amount(above=0.0)
    close = amount(above=0.0)
    volume = dy.Float64(nullable=False, min=0.0, max=1e12)
    trades = dy.Int64(nullable=True, min=0)

    rows_in_order = ascending("ts", "symbol")
    no_duplicates = distinct("ts", "symbol")

    @dy.rule()
    def prices_within_low_and_high(cls) -> pl.Expr:  # noqa: N805
        """Open and close lie between low and high."""
        ends = ("open", "close")
        return (pl.col("low") <= pl.min_horizontal(ends)) & (pl.col("high") >= pl.max_horizontal(ends))

    @dy.rule()
    def opens_on_its_interval(cls) -> pl.Expr:  # noqa: N805
        """The open time is a multiple of the interval, so that no bar straddles the end of a tick."""
        return pl.col("ts").cast(pl.Int64) % (pl.col("interval_s") * 1000) == 0


class Funding(dy.Schema):
    """Funding payments: `rate` is the share of the notional that longs pay to shorts. Known at `ts`."""

    symbol = dy.String(nullable=False)
    ts = time()
    rate = dy.Float64(nullable=False, min=-1.0, max=1.0)

    rows_in_order = ascending("ts", "symbol")
    no_duplicates = distinct("ts", "symbol")


class Mempool(dy.Schema):
    """Pending transactions. Known at `ts`; a source that tells only some of it leaves the rest null.

    Bitcoin: weight in virtual bytes, fees in sat per virtual byte, `pending_fee` in sat. EVM chains: weight in gas, fees in
    gwei per gas (the most a sender would pay), `pending_fee` in gwei. `arrivals_per_s` and the inclusion delays (median
    and 90th percentile, seconds) are of the interval that ends at `ts`.
    """

    chain = dy.String(nullable=False)
    ts = time()
    pending_count = count()
    pending_weight = dy.Float64(nullable=True, min=0.0)
    pending_fee = dy.Float64(nullable=True, min=0.0)
    fee_fast = dy.Float64(nullable=True, min=0.0)
    fee_slow = dy.Float64(nullable=True, min=0.0)
    fee_min = dy.Float64(nullable=True, min=0.0)
    next_block_median_fee = dy.Float64(nullable=True)
    weight_above_5 = dy.Float64(nullable=True)
    weight_above_10 = dy.Float64(nullable=True)
    weight_above_20 = dy.Float64(nullable=True)
    weight_above_50 = dy.Float64(nullable=True)
    weight_above_100 = dy.Float64(nullable=True)
    price_usd = dy.Float64(nullable=True)
    arrivals_per_s = dy.Float64(nullable=True, min=0.0)
    inclusion_p50_s = dy.Float64(nullable=True, min=0.0)
    inclusion_p90_s = dy.Float64(nullable=True, min=0.0)

    rows_in_order = ascending("ts", "chain")
    no_duplicates = distinct("ts", "chain")


class Arrivals(dy.Schema):
    """Single requests: `work` is the relative service demand. Several may share a time. Known at `ts`."""

    ts = time("us")
    tier = dy.String(nullable=True)
    work = amount(least=0.0)

    rows_in_order = ascending("ts")


class RequestCounts(dy.Schema):
    """Requests in the second that starts at `ts`. Known when the second is over."""

    ts = time()
    count = dy.Int64(nullable=False, min=0)
    tier = dy.String(nullable=True)

    rows_in_order = ascending("ts", "tier")
    no_duplicates = distinct("ts", "tier")

    @dy.rule()
    def whole_seconds(cls) -> pl.Expr:  # noqa: N805
        """Seconds start on the second."""
        return pl.col("ts").cast(pl.Int64) % 1000 == 0


class Liquidations(dy.Schema):
    """Forced closings: `notional_usd` of one position. Known at `ts`."""

    ts = time()
    symbol = dy.String(nullable=False)
    notional_usd = amount(least=0.0)

    rows_in_order = ascending("ts", "symbol")


class OpenInterest(dy.Schema):
    """Open positions of a market: `contracts` in units of the base (as the venue counts), `notional_usd`. Known at `ts`."""

    symbol = dy.String(nullable=False)
    ts = time()
    contracts = amount(least=0.0)
    notional_usd = dy.Float64(nullable=True, min=0.0)

    rows_in_order = ascending("ts", "symbol")
    no_duplicates = distinct("ts", "symbol")


class Instruments(dy.Schema):
    """Listed contracts: `ts` is when one was listed; `expiry`, `strike` and `is_call` are null where it has none."""

    symbol = dy.String(nullable=False)
    ts = time()
    kind = dy.String(nullable=False)
    expiry = dy.Datetime(nullable=True, time_unit="ms", time_zone="UTC")
    strike = dy.Float64(nullable=True, min=0.0)
    is_call = dy.Int64(nullable=True, min=0, max=1)
    contract_size = amount(above=0.0)

    rows_in_order = ascending("ts", "symbol")
    no_duplicates = distinct("ts", "symbol")


class Chains(dy.Schema):
    """Parameters of a chain as measured up to the block at `ts`: block time, EIP-1559 elasticity and denominator.

    `agreement`: share of the base-fee changes that the recurrence with these two reproduces to the wei.
    """

    chain = dy.String(nullable=False)
    ts = time()
    chain_id = count()
    block_time_s = amount(above=0.0)
    elasticity = dy.Int64(nullable=True, min=1)
    denominator = dy.Int64(nullable=True, min=1)
    agreement = dy.Float64(nullable=True, min=0.0, max=1.0)

    rows_in_order = ascending("ts", "chain")
    no_duplicates = distinct("ts", "chain")


class Positions(dy.Schema):
    """Open leveraged positions when the book was written down: `size` in units of the base, prices in the quote currency.

    `side` is "long" or "short"; the venue closes the position when the price reaches `liquidation_price`. Known at `ts`.
    """

    symbol = dy.String(nullable=False)
    ts = time()
    account = dy.String(nullable=False)
    side = dy.String(nullable=False)
    size = amount(above=0.0)
    entry_price = amount(above=0.0)
    liquidation_price = amount(above=0.0)

    rows_in_order = ascending("ts", "symbol")

    @dy.rule()
    def no_duplicates(cls) -> pl.Expr:  # noqa: N805
        """One row a symbol, time and account."""
        return pl.struct("symbol", "ts", "account").is_first_distinct()

    @dy.rule()
    def long_or_short(cls) -> pl.Expr:  # noqa: N805
        """There are two sides."""
        return pl.col("side").is_in(["long", "short"])


class Nodes(dy.Schema):
    """Settlement nodes as last seen: orders per second they take, seconds to answer, USD an order. Known at `ts`.

    `up` is 1 or 0; a node that is down takes nothing.
    """

    ts = time()
    node = dy.String(nullable=False)
    chain = dy.String(nullable=False)
    operator = dy.String(nullable=False)
    region = dy.String(nullable=False)
    capacity_per_s = amount(least=0.0)
    latency_s = amount(least=0.0)
    fee_usd = amount(least=0.0)
    up = dy.Int64(nullable=False, min=0, max=1)

    rows_in_order = ascending("ts", "node")
    no_duplicates = distinct("ts", "node")


class Orders(dy.Schema):
    """Single orders: `work` is the relative service demand, `value_usd` what execution within `deadline_s` is worth.

    `delta_usd`: change of the sender's wealth for 1 % of the price, signed; `gamma_usd`: change of that for 1 %. Known at `ts`.
    """

    ts = time("us")
    tier = dy.String(nullable=False)
    symbol = dy.String(nullable=False)
    work = amount(least=0.0)
    value_usd = amount(least=0.0)
    deadline_s = amount(above=0.0)
    delta_usd = dy.Float64(nullable=True)
    gamma_usd = dy.Float64(nullable=True)

    rows_in_order = ascending("ts")


@dataclass(frozen=True)
class Table:
    """A canonical table: its schema, the order of its rows, the columns a file may lack, and when a row is knowable."""

    name: str
    schema: type[dy.Schema]
    order: tuple[str, ...]
    lag_s: int | str = 0
    optional: frozenset[str] = frozenset()

    @property
    def known_at(self) -> pl.Expr:
        """When a row is knowable: so many seconds after `ts`, or as many as a column of the table says."""
        lag_s = pl.col(self.lag_s) if isinstance(self.lag_s, str) else self.lag_s
        return pl.col("ts") + pl.duration(seconds=lag_s, time_unit="ms") if self.lag_s else pl.col("ts")

    @property
    def key(self) -> tuple[str, ...]:
        """Columns that tell two rows apart; empty where equal rows may both be true."""
        return self.order if "no_duplicates" in self.schema.__dict__ else ()

    @property
    def group(self) -> str | None:
        """The column within whose values rows are in the order of time; None where all rows are."""
        return next((name for name in ("chain", "symbol", "node", "tier") if name in self.order), None)

    @property
    def dtypes(self) -> dict[str, pl.DataType]:
        """Type by column, in canonical order."""
        return {name: column.dtype for name, column in self.schema.columns().items()}


BLOCK_EXTRAS = frozenset(["tx_count", "builder_bid_gwei", "tip_p10_gwei", "tip_p50_gwei", "tip_p90_gwei"])
MEMPOOL_EXTRAS = frozenset(
    [
        "next_block_median_fee",
        "price_usd",
        *(f"weight_above_{fee}" for fee in (5, 10, 20, 50, 100)),
        *("arrivals_per_s", "inclusion_p50_s", "inclusion_p90_s"),
    ]
)

TABLES: Mapping[str, Table] = MappingProxyType(
    {
        table.name: table
        for table in (
            Table("blocks", Blocks, ("chain", "number"), 0, BLOCK_EXTRAS),
            Table("bars", Bars, ("symbol", "ts"), "interval_s", frozenset({"trades"})),
            Table("funding", Funding, ("symbol", "ts")),
            Table("mempool", Mempool, ("chain", "ts"), 0, MEMPOOL_EXTRAS),
            Table("arrivals", Arrivals, ("ts",), 0, frozenset({"tier"})),
            Table("request_counts", RequestCounts, ("ts", "tier"), 1, frozenset({"tier"})),
            Table("liquidations", Liquidations, ("ts", "symbol")),
            Table("open_interest", OpenInterest, ("symbol", "ts"), 0, frozenset({"notional_usd"})),
            Table("instruments", Instruments, ("symbol", "ts"), 0, frozenset({"expiry", "strike", "is_call"})),
            Table("chains", Chains, ("chain", "ts"), 0, frozenset({"elasticity", "denominator", "agreement"})),
            Table("positions", Positions, ("symbol", "ts", "account")),
            Table("nodes", Nodes, ("node", "ts")),
            Table("orders", Orders, ("ts",), 0, frozenset({"delta_usd", "gamma_usd"})),
        )
    }
)
