"""Stylised facts that the simulated world shares with recorded history: one test for both, where both have the table."""

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from data.environment import history_folder
from data.history import History
from data.world.generate import generate

Values = NDArray[np.float64]
DAY_TICKS = 288


@pytest.fixture(scope="module")
def world() -> dict[str, pl.DataFrame]:
    return generate(21.0, seed=11)


@pytest.fixture(scope="module", params=["simulated", pytest.param("recorded", marks=pytest.mark.history)])
def tables(request: pytest.FixtureRequest, world: dict[str, pl.DataFrame]) -> Iterator[dict[str, pl.DataFrame]]:
    if request.param == "simulated":
        yield world
        return
    folder = history_folder()
    if folder is None:
        pytest.skip("SHAPER_HISTORY names no folder of recorded history")
    history = History.open(folder)
    yield {name: history.scan(name).collect() for name in ("bars", "blocks", "request_counts")}


def eth(tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
    return tables["bars"].filter(pl.col("symbol") == "ETH-PERP")


def returns(bars: pl.DataFrame) -> Values:
    return np.diff(np.log(bars["close"].to_numpy()))


def log_volatility(bars: pl.DataFrame) -> Values:
    parkinson = np.log((bars["high"] / bars["low"]).to_numpy()) / np.sqrt(4 * np.log(2))
    return np.log(np.maximum(parkinson, 1e-5))


def kurtosis(values: Values) -> float:
    centred = values - values.mean()
    return float((centred**4).mean() / (centred**2).mean() ** 2)


def autocorrelation(values: Values, lag: int) -> float:
    return float(np.corrcoef(values[:-lag], values[lag:])[0, 1])


def congestion(tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Mean ln base fee in gwei by 5-minute tick (`ts` = start), and ln of its 6-hour median."""
    fees = tables["blocks"].group_by(pl.col("ts").dt.truncate("5m")).agg((pl.col("base_fee_wei") / 1e9).log().mean())
    ticks = fees.rename({"base_fee_wei": "value"}).sort("ts").upsample("ts", every="5m")
    usual = pl.col("value").exp().rolling_median(72, min_samples=36).log()
    return ticks.with_columns(usual.alias("usual"))


@pytest.fixture(scope="module")
def counts(tables: dict[str, pl.DataFrame]) -> Values:
    """Requests by second, without the seconds that have none (a recorder that was down)."""
    sums = tables["request_counts"].group_by("ts").agg(pl.col("count").sum()).sort("ts")["count"].to_numpy()
    return sums[sums > 0].astype(np.float64)


def dispersion(counts: Values, window: int) -> float:
    sums = counts[: len(counts) // window * window].reshape(-1, window).sum(1)
    return float(sums.var() / sums.mean())


def test_returns_have_heavy_tails(tables: dict[str, pl.DataFrame]) -> None:
    assert kurtosis(returns(eth(tables))) > 15


def test_a_volatile_hour_and_a_volatile_day_are_followed_by_another(tables: dict[str, pl.DataFrame]) -> None:
    size = np.abs(returns(eth(tables)))
    assert autocorrelation(size, 12) > 0.08
    assert autocorrelation(size, DAY_TICKS) > 0.02


def test_log_volatility_forgets_on_several_time_scales(tables: dict[str, pl.DataFrame]) -> None:
    values = log_volatility(eth(tables))
    assert -8.0 < values.mean() < -6.2
    assert 0.6 < values.std() < 1.0
    assert 0.6 < autocorrelation(values, 1) < 0.8
    assert 0.4 < autocorrelation(values, 12) < 0.65
    assert 0.15 < autocorrelation(values, DAY_TICKS) < 0.5


def test_btc_and_eth_move_together(tables: dict[str, pl.DataFrame]) -> None:
    btc = tables["bars"].filter(pl.col("symbol") == "BTC-PERP")
    assert 0.75 < np.corrcoef(returns(btc), returns(eth(tables)))[0, 1] < 0.95


def test_blocks_are_half_full_and_few_are_full(tables: dict[str, pl.DataFrame]) -> None:
    share = (tables["blocks"]["gas_used"] / tables["blocks"]["gas_limit"]).to_numpy()
    assert 0.49 < share.mean() < 0.52
    assert 0.01 < (share > 0.99).mean() < 0.05
    assert -0.25 < autocorrelation(share, 1) < -0.05


def test_the_base_fee_surges_once_to_four_times_a_day(tables: dict[str, pl.DataFrame]) -> None:
    ticks = congestion(tables)
    surging = np.flatnonzero((ticks["value"] > ticks["usual"] + np.log(2)).fill_null(value=False).to_numpy())
    episodes = 1 + np.count_nonzero(np.diff(surging) > 12)  # less than an hour apart is one
    assert 1.0 < episodes / (ticks.height / DAY_TICKS) < 4.0
    assert 8 < np.exp(ticks["value"].median()) < 60


def test_violent_bars_are_followed_by_a_base_fee_surge_more_often_yet_mostly_not(
    tables: dict[str, pl.DataFrame],
) -> None:
    level = pl.col("usual") + np.log(1.5)
    later = pl.max_horizontal(*(pl.col("value").shift(-k) for k in (1, 2, 3))) > level
    ticks = congestion(tables).with_columns((pl.col("value") > level).alias("begun"), later.alias("surge"))
    bars = eth(tables).select("ts", pl.Series("size", log_volatility(eth(tables))))
    calm = bars.join(ticks, on="ts").drop_nulls().filter(~pl.col("begun"))
    violent = pl.col("size") >= bars["size"].quantile(0.99, "linear")
    followed, otherwise = (calm.filter(chosen)["surge"].mean() for chosen in (violent, ~violent))
    assert isinstance(followed, float)
    assert isinstance(otherwise, float)
    assert 0.12 < followed < 0.5
    assert followed > 2 * otherwise


def test_requests_are_over_dispersed_and_more_so_over_longer_windows(counts: Values) -> None:
    by_window = [dispersion(counts, window) for window in (1, 15, 60)]
    assert 40 < counts.mean() < 70
    assert by_window[0] > 5
    assert by_window == sorted(by_window)
    assert by_window[2] > 20 * by_window[0]


def onsets(counts: Values) -> tuple[Values, NDArray[np.bool_]]:
    """At calm 15 s ticks: ln rise over the last minute, and whether twice the hour's median is passed in the next 5 min."""
    rate = counts[: len(counts) // 15 * 15].reshape(-1, 15).mean(1)
    usual = pl.Series(rate).rolling_median(240, min_samples=240).to_numpy()
    highest = np.lib.stride_tricks.sliding_window_view(rate, 20)[1:].max(1)
    at = np.arange(240, len(highest))
    at = at[rate[at] <= 1.5 * usual[at]]
    return np.log(rate[at] / rate[at - 4]), highest[at] > 2 * usual[at]


def test_surges_of_requests_announce_themselves_in_part(counts: Values) -> None:
    rise, surge = onsets(counts)
    rising = rise > np.quantile(rise, 0.95)
    assert 0.01 < surge.mean() < 0.1
    assert surge[rising].mean() > 1.5 * surge.mean()
    assert surge[rising].sum() < 0.6 * surge.sum()


def test_critical_orders_multiply_within_a_minute_of_a_violent_move(world: dict[str, pl.DataFrame]) -> None:
    critical = world["request_counts"].filter(pl.col("tier") == "critical")
    by_bar = critical.group_by(pl.col("ts").dt.truncate("5m")).agg(
        pl.col("count").sum(), pl.col("count").max().alias("top")
    )
    bars = eth(world).with_columns(pl.Series("size", log_volatility(eth(world)))).join(by_bar, on="ts")
    worst = bars.top_k(10, by="size")
    assert worst["count"].median() > 5 * bars["count"].median()
    assert critical["count"].max() > 10


def test_orders_follow_a_volatile_bar_and_bulk_orders_shun_high_fees(world: dict[str, pl.DataFrame]) -> None:
    by_tier = world["request_counts"].group_by(pl.col("ts").dt.truncate("5m"), "tier").agg(pl.col("count").sum())
    rates = by_tier.pivot(on="tier", index="ts", values="count").sort("ts").drop_nulls()
    total = pl.sum_horizontal(pl.exclude("ts", "size", "value", "usual"))
    sizes = eth(world).select(pl.col("ts") + pl.duration(minutes=5), pl.Series("size", log_volatility(eth(world))))
    joined = rates.join(sizes, on="ts").join(congestion(world), on="ts").drop_nulls()
    links = joined.select(
        volatility=pl.corr("size", total.log()), fees=pl.corr(pl.col("value") - pl.col("usual"), pl.col("bulk") / total)
    )
    assert links["volatility"].item() > 0.3
    assert links["fees"].item() < -0.3
