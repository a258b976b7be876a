import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.sharing import fair_shares

WANTS = st.lists(st.floats(0, 1e6), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("total", "wants", "shares"),
    [(10.0, [2.0, 8.0, 8.0], [2.0, 4.0, 4.0]), (12.0, [1.0, 2.0], [5.5, 6.5]), (0.0, [1.0], [0.0]), (5.0, [], [])],
)
def test_shares_by_hand(total: float, wants: list[float], shares: list[float]) -> None:
    assert fair_shares(total, wants) == shares


@given(st.floats(0, 1e6), WANTS)
def test_shares_sum_to_the_whole_and_no_want_goes_unmet_while_another_gets_more(
    total: float, wants: list[float]
) -> None:
    shares = fair_shares(total, wants)
    assert sum(shares) == pytest.approx(total, abs=1e-6)
    for want, share in zip(wants, shares, strict=True):
        if share < want - 1e-6:
            assert share >= max(shares) - 1e-6
