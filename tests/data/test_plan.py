from fractions import Fraction

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from data.features.plan import PART, plan
from data.features.registry import FAMILIES, describe, specs
from data.features.spec import enough, rolling_mean, z_score
from data.fixedpoint import GRAINS
from data.history import History
from data.ticks import tick_table
from tests.data.made import PANEL, START, at
from tests.data.made_tables import full_history

X, Y = pl.col("x"), pl.col("y")
FRAME = pl.DataFrame({"x": [1.0, 4.0, None, 9.0, 16.0], "y": [2.0, 3.0, 5.0, 7.0, None]})


def test_every_feature_has_the_same_bits_with_and_without_a_plan() -> None:
    ticks = tick_table(History.of(full_history(3, 30)), PANEL, START, at(30 * 3600))
    exprs = {spec.name: spec.expr for spec in specs([f.name for f in describe(list(FAMILIES), PANEL)], PANEL)}
    assert plan(exprs).evaluate(ticks).equals(ticks.select(**exprs))


def test_what_two_features_need_is_a_column_made_once() -> None:
    made = plan({"a": X.log() + 1.0, "b": X.log() - Y, "c": (X.log() - Y).sqrt(), "d": Y.exp()})
    assert [[part.meta.output_name()[: len(PART)] for part in stage] for stage in made.stages] == [[PART], [PART]]
    assert [str(expr).count("log") for expr in made.columns] == [0, 0, 0, 0]
    assert made.evaluate(FRAME).equals(FRAME.select(a=X.log() + 1.0, b=X.log() - Y, c=(X.log() - Y).sqrt(), d=Y.exp()))


def test_a_feature_that_is_a_part_of_another_keeps_its_name() -> None:
    made = plan({"z": z_score(X, 3), "twice": z_score(X, 3) * 2.0, "plain": X})
    assert made.evaluate(FRAME).columns == ["z", "twice", "plain"]


def test_expressions_of_a_kind_that_is_not_shared_are_evaluated_as_they_are() -> None:
    exprs = {"a": X.sum().over("y") + X.sqrt(), "b": X.sum().over("y") - X.sqrt()}
    assert plan(exprs).evaluate(FRAME).equals(FRAME.select(**exprs))


def test_nothing_shared_needs_no_stage() -> None:
    assert plan({"a": X + 1.0, "b": X + 2.0}).stages == ()


@given(
    values=st.lists(st.none() | st.floats(-1000, 1000), min_size=1, max_size=40),
    window=st.integers(1, 12),
)
def test_a_rolling_mean_is_the_exact_mean_of_the_grained_values(values: list[float | None], window: int) -> None:
    found = pl.DataFrame({"x": values}, schema={"x": pl.Float64}).select(rolling_mean(X, window)).to_series()
    for place, mean in enumerate(found):
        known = [value for value in values[max(0, place + 1 - window) : place + 1] if value is not None]
        if len(known) < enough(window):
            assert mean is None
        else:
            total = sum(Fraction(round(value * GRAINS)) for value in known)
            assert mean == float(total / Fraction(GRAINS)) / len(known)
