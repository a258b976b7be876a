import math
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.features.compiler import ALL, compiled
from data.features.program import BLOCK
from data.features.registry import FAMILIES, arrays, describe, programmed, specs
from data.features.spec import enough, rolling_max, rolling_mean, z_score
from data.fixedpoint import GRAINS, grained
from data.history import History
from data.ticks import tick_table
from tests.data.made import PANEL, START, at
from tests.data.made_tables import full_history

X, Y = pl.col("x"), pl.col("y")
COLUMN = st.lists(st.none() | st.floats(-1000, 1000), min_size=1, max_size=60)


def computed(expr: pl.Expr, frame: pl.DataFrame, rows: int | None = None) -> list[float]:
    made = compiled({"it": expr})
    table = {name: frame[name].fill_null(np.nan).to_numpy() for name in made.columns}
    found = made.whole(table, frame.height)[0] if rows is None else made.newest(table, rows)[0]
    return [None if math.isnan(value) else value for value in found.tolist()]


def every_feature() -> dict[str, pl.Expr]:
    return {s.name: s.expr for s in specs([f.name for f in describe(list(FAMILIES), PANEL)], PANEL)}


def test_every_feature_is_what_polars_makes_of_its_expression() -> None:
    ticks = tick_table(History.of(full_history(3, 30)), PANEL, START, at(30 * 3600))
    exprs = every_feature()
    made = compiled(exprs)
    found = made.whole(arrays(ticks, made.columns), ticks.height)
    for values, (name, expr) in zip(found, exprs.items(), strict=True):
        wanted = ticks.select(expr.cast(pl.Float64).fill_null(np.nan)).to_series().to_numpy()
        np.testing.assert_allclose(values, wanted, rtol=1e-12, atol=1e-12, err_msg=name)


def test_no_part_of_a_feature_is_left_to_polars() -> None:
    assert max(step.reach for step in compiled(every_feature()).steps) < ALL


def test_a_program_looks_no_further_back_than_its_features_declare() -> None:
    for spec in specs(list(every_feature()), PANEL):
        assert programmed([spec]).lookback <= spec.lookback, spec.name


@pytest.mark.parametrize("rows", [1, 3, BLOCK // 100])
def test_the_newest_rows_have_the_bits_of_the_whole(rows: int) -> None:
    ticks = tick_table(History.of(full_history(5, 30)), PANEL, START, at(30 * 3600))
    made = compiled(every_feature())
    whole = made.whole(arrays(ticks, made.columns), ticks.height)
    for end in (rows, 100, ticks.height - 7, ticks.height):
        found = made.newest(arrays(ticks.head(end), made.columns), rows)
        np.testing.assert_array_equal(found, whole[:, end - rows : end])


def test_blocks_of_rows_meet_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = tick_table(History.of(full_history(7, 30)), PANEL, START, at(30 * 3600))
    made = programmed([spec for spec in specs(list(every_feature()), PANEL) if spec.lookback <= 35])
    table = arrays(ticks, made.columns)
    whole = made.whole(table, ticks.height)
    monkeypatch.setattr("data.features.program.BLOCK", 70)
    np.testing.assert_array_equal(made.whole(table, ticks.height), whole)


def test_what_two_features_need_is_computed_once() -> None:
    made = compiled({"a": X.log() + Y, "b": X.log() - Y, "c": (X.log() - Y).sqrt(), "d": Y.exp()})
    assert len(made.steps) == 5


@pytest.mark.parametrize("expr", [X.rank(), (X.log(2) + Y).rolling_min(3), X.shift(-1) * 2.0, X.cos().over(Y)])
def test_what_no_kernel_is_known_for_is_left_to_polars(expr: pl.Expr) -> None:
    frame = pl.DataFrame({"x": [1.0, 4.0, None, 9.0, 16.0], "y": [2.0, 3.0, 5.0, 7.0, 7.0]})
    assert computed(expr, frame) == frame.select(expr.cast(pl.Float64)).to_series().to_list()


@given(values=COLUMN, window=st.integers(1, 12))
def test_a_rolling_mean_is_the_exact_mean_of_the_grained_values(values: list[float | None], window: int) -> None:
    frame = pl.DataFrame({"x": values}, schema={"x": pl.Float64})
    for place, mean in enumerate(computed(rolling_mean(X, window), frame)):
        known = [value for value in values[max(0, place + 1 - window) : place + 1] if value is not None]
        if len(known) < enough(window):
            assert mean is None
        else:
            total = sum(Fraction(round(value * GRAINS)) for value in known)
            assert mean == float(total / Fraction(GRAINS)) / len(known)


@settings(deadline=None)
@given(values=COLUMN, window=st.integers(1, 40), rows=st.integers(1, 60), share=st.sampled_from([0.5, 0.9, 0.995]))
def test_windows_are_those_of_polars_to_the_bit(
    values: list[float | None], window: int, rows: int, share: float
) -> None:
    frame, rows = pl.DataFrame({"x": values}, schema={"x": pl.Float64}), min(rows, len(values))
    whole = pl.col("x").round().cast(pl.Int64).rolling_sum(window, min_samples=enough(window)).cast(pl.Float64)
    for expr in (
        X.rolling_quantile(share, "linear", window, min_samples=enough(window)),
        X.rolling_median(window, min_samples=1),
        rolling_max(X, window),
        rolling_mean(X, window),
        whole,
        X.shift(window),
        pl.mean_horizontal(X.shift(1), X),
        pl.when(X > 0).then(X.clip(3.0).sqrt() // 2),
    ):
        wanted = frame.select(expr).to_series().to_list()
        assert computed(expr, frame) == wanted
        assert computed(expr, frame, rows) == wanted[-rows:]


def test_a_mean_of_values_that_are_not_grained_is_left_to_polars() -> None:
    assert compiled({"it": X.rolling_mean(3)}).lookback > ALL
    assert compiled({"it": grained(X).rolling_mean(3), "z": z_score(X, 5)}).lookback == 5
