"""The division of time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import UsageError
from training.splits import Spans, split


@given(
    st.integers(1, 50),
    st.integers(1, 50),
    st.integers(1, 12),
    st.integers(0, 8),
    st.integers(0, 300),
    st.integers(0, 40),
)
def test_no_label_is_seen_from_two_parts(
    validation: int, calibration: int, horizon: int, extra: int, until: int, beyond: int
) -> None:
    spans = Spans(validation, calibration, horizon + extra, horizon)
    try:
        found = split(0, until, until + beyond, spans)
    except UsageError:
        assert until <= validation + calibration + 2 * spans.embargo + horizon
        return
    assert found.fit.stop - 1 + horizon < found.validation.start
    assert found.validation.stop - 1 + horizon < found.calibration.start
    assert found.calibration.stop - 1 + horizon == until
    assert found.test.start == until
    assert (len(found.validation), len(found.calibration)) == (validation, calibration)
    assert len(found.fit) > 0


def test_too_short_a_history_says_how_many_ticks_are_needed() -> None:
    with pytest.raises(UsageError, match="more than 28 ticks"):
        split(0, 20, 20, Spans(validation=10, calibration=10, embargo=2, horizon=3))
