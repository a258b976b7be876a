import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.live_check import ORDER_RULES, is_sound, last_known_at
from data.schemas import TABLES
from data.validation import canonical, faults
from tests.data.made_tables import full_history

FRAMES = {name: canonical(frame.lazy(), TABLES[name], "made").collect() for name, frame in full_history(1, 4).items()}
ODD = (None, float("nan"), float("inf"), -1.0, 0.0, 0.5, 1.0, 1e13)


@pytest.mark.parametrize("name", sorted(FRAMES))
def test_rows_without_a_fault_are_sound_and_their_last_time_is_that_of_the_table(name: str) -> None:
    assert is_sound(FRAMES[name], name)
    assert is_sound(FRAMES[name].clear(), name)
    assert last_known_at(FRAMES[name], TABLES[name]) == FRAMES[name].select(TABLES[name].known_at.max()).item()


@settings(deadline=None)
@given(
    name=st.sampled_from(sorted(FRAMES)), values=st.lists(st.sampled_from(ODD), min_size=1, max_size=3), data=st.data()
)
def test_no_row_with_a_fault_is_sound(name: str, values: list[float | None], data: st.DataObject) -> None:
    rows = FRAMES[name].head(8)
    column = data.draw(st.sampled_from(rows.columns))
    for place, value in enumerate(values):
        odd = pl.lit(value, pl.Float64).cast(rows.schema[column], strict=False)
        rows = rows.with_columns(pl.when(pl.int_range(pl.len()) == place).then(odd).otherwise(column).alias(column))
    faulty = any(fault.rule not in ORDER_RULES for fault in faults(rows, TABLES[name]))
    assert not (faulty and is_sound(rows, name))
