import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.leases.share import Share

TTL_S = 10.0


def begun() -> Share:
    return Share.begun(4, TTL_S, 0.0)


def test_a_sidecar_that_starts_begins_with_nothing_and_is_safe_after_two_leases() -> None:
    share = begun()
    assert [share.now(at_s) for at_s in (0.0, 21.9, 22.0)] == [0.0, 0.0, 0.25]


def test_a_lease_above_the_safe_share_ends_to_it_before_the_store_forgets_it() -> None:
    share = begun().granted(0.7, 100.0, 100.5)
    assert [share.now(at_s) for at_s in (100.5, 108.9, 109.0, 200.0)] == [0.7, 0.7, 0.25, 0.25]


def test_a_share_that_was_lent_is_taken_back_only_when_nobody_can_hold_it_any_more() -> None:
    share = begun().granted(0.1, 100.0, 100.5)
    assert [share.now(at_s) for at_s in (109.0, 122.4, 122.6)] == [0.1, 0.1, 0.25]


def test_a_request_without_an_answer_may_have_lent_the_share_again() -> None:
    share = begun().granted(0.1, 100.0, 100.5).asked(110.0, 2.0)
    assert [share.now(at_s) for at_s in (122.6, 133.9, 134.1)] == [0.1, 0.1, 0.25]


def test_a_request_of_one_that_lent_nothing_keeps_it_from_nothing() -> None:
    share = begun().granted(0.7, 100.0, 100.5)
    assert share.asked(105.0, 2.0) == share


def test_one_sidecar_too_many_has_nothing() -> None:
    assert begun().granted(0.7, 100.0, 100.5).refused(105.0).now(126.9) == 0.0


@given(st.floats(0, 1), st.lists(st.floats(0, 100), min_size=1, max_size=6))
def test_without_a_lease_nothing_above_the_safe_share_is_used(grant: float, later: list[float]) -> None:
    share = begun().granted(grant, 0.0, 0.5)
    for at_s in later:
        used = share.now(at_s)
        assert used == pytest.approx(grant) if at_s < 9.0 else used <= 0.25
