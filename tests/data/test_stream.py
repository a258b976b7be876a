import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from data.features.compiler import compiled
from data.features.program import Program
from data.features.registry import FAMILIES, arrays, describe, programmed, specs
from data.features.spec import rolling_max, rolling_mean, z_score
from data.features.stream import SPARE, Plan, Stream
from data.history import History
from data.ticks import tick_table
from tests.data.made import PANEL, START, at
from tests.data.made_tables import full_history

X, Y = pl.col("x"), pl.col("y")
WINDOWS = {
    "mean": rolling_mean(X, 7) + rolling_mean(X, 3) * rolling_mean(Y, 7),
    "most": rolling_max(X - Y, 5),
    "median": (X * Y).rolling_median(6, min_samples=2),
    "quantile": X.rolling_quantile(0.9, "linear", 9, min_samples=3),
    "score": z_score(X.shift(2), 5),
    "whole": X.round().cast(pl.Int64).rolling_sum(4, min_samples=1).cast(pl.Float64),
    "least": pl.min_horizontal(X.shift(1), Y, X.shift(11)) / pl.mean_horizontal(X, Y),
    "kept": pl.when(X > Y).then(X.clip(0.5).log()),
}
VALUE = st.none() | st.floats(-1000, 1000)
ROWS = st.lists(st.tuples(VALUE, VALUE), min_size=1, max_size=40)


def row(table: dict[str, np.ndarray], program: Program, place: int) -> list[float]:
    return [table[name][place] for name in program.columns]


def started(program: Program, table: dict[str, np.ndarray], ticks: int) -> Stream:
    stream = Plan(program).start({name: values[:ticks] for name, values in table.items()}, ticks)
    assert stream is not None
    return stream


def test_every_feature_of_a_tick_has_the_bits_of_the_whole() -> None:
    ticks = tick_table(History.of(full_history(5, 30)), PANEL, START, at(30 * 3600))
    every = specs([f.name for f in describe(list(FAMILIES), PANEL)], PANEL)
    program = programmed([spec for spec in every if spec.lookback <= 300])
    table = arrays(ticks, program.columns)
    stream = started(program, table, 305)
    found = [stream.advance(row(table, program, place)) for place in range(305, ticks.height)]
    np.testing.assert_array_equal(np.transpose(found), program.whole(table, ticks.height)[:, 305:])


@settings(deadline=None)
@given(first=ROWS, pieces=st.lists(st.tuples(st.integers(0, SPARE), ROWS), max_size=6))
def test_ticks_may_be_taken_back_and_told_anew(
    first: list[tuple[float | None, ...]], pieces: list[tuple[int, list[tuple[float | None, ...]]]]
) -> None:
    program = compiled(WINDOWS)
    told = np.array([(0.0, 1.0)] * program.lookback + first, np.float64)
    stream = started(program, {"x": told[:, 0], "y": told[:, 1]}, len(told))
    for taken, rows in pieces:
        back = min(taken, stream.spare)
        assert stream.back(back)
        told = np.concatenate([told[: len(told) - back], np.array(rows, np.float64)])
        table = {"x": told[:, 0], "y": told[:, 1]}
        found = [stream.advance(row(table, program, place)) for place in range(len(told) - len(rows), len(told))]
        np.testing.assert_array_equal(np.transpose(found), program.newest(table, len(rows)))


def test_no_more_ticks_are_taken_back_than_are_kept() -> None:
    program = compiled(WINDOWS)
    table = {"x": np.arange(20.0), "y": np.ones(20)}
    stream = started(program, table, program.lookback + 2)
    assert not stream.back(3)
    assert stream.back(2)
    assert not stream.back(1)


def test_a_copy_goes_on_by_itself() -> None:
    program = compiled(WINDOWS)
    table = {"x": np.sin(np.arange(60.0)), "y": np.cos(np.arange(60.0))}
    stream = started(program, table, 20)
    copy = stream.copy()
    found = [copy.advance(row(table, program, place)) for place in range(20, 60)]
    np.testing.assert_array_equal(np.transpose(found), program.newest(table, 40))


def test_a_stream_starts_where_the_table_is_as_long_as_the_look_back() -> None:
    program, ones = compiled({"mean": rolling_mean(X, 5)}), {"x": np.ones(5)}
    assert Plan(program).start({"x": np.ones(4)}, 4) is None
    assert Plan(program).start(ones, 5) is not None
    assert Plan(compiled({"rank": X.rank()})).start({"x": np.ones(9)}, 9) is None
