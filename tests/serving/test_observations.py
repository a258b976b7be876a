from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from serving.errors import RefusedError
from serving.observations import newest_known, read_observations

NOW = datetime(2024, 1, 1, 1, tzinfo=UTC)
BAR: dict[str, Any] = {
    "symbol": "ETH-PERP", "ts": "2024-01-01T00:00:00Z", "interval_s": 300, "open": 10, "high": 12.5, "low": 9, "close": 11,
    "volume": 3,
}  # fmt: skip
SECOND = {"ts": "2024-01-01T00:00:00Z", "count": 7, "tier": "maker"}


def read(body: object) -> dict[str, Any]:
    return dict(read_observations(msgspec.json.encode(body), NOW))


def refusal(body: object) -> str:
    with pytest.raises(RefusedError) as caught:
        read(body)
    assert "none was taken" in str(caught.value)
    assert caught.value.status == 422
    return str(caught.value)


def test_rows_become_canonical_frames_in_order() -> None:
    later = {**BAR, "ts": "2024-01-01T01:05:00+01:00", "trades": 4}
    frame = read({"bars": [later, BAR]})["bars"]
    assert frame["ts"].to_list() == [datetime(2024, 1, 1, 0, minute, tzinfo=UTC) for minute in (0, 5)]
    assert frame["open"].to_list() == [10.0, 10.0]
    assert frame["trades"].to_list() == [None, 4]


def test_a_row_sent_twice_counts_once() -> None:
    assert read({"bars": [BAR, BAR]})["bars"].height == 1


def test_arrivals_at_the_same_time_are_several_orders() -> None:
    arrival = {"ts": "2024-01-01T00:00:00.000001Z", "work": 1.0}
    assert read({"arrivals": [arrival, arrival]})["arrivals"].height == 2


def test_two_rows_that_disagree_are_refused() -> None:
    assert "one row for each key" in refusal({"bars": [BAR, {**BAR, "close": 12}]})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"ts": "2024-01-01T00:00:00"}, "timezone component - at `$.bars[0].ts`"),
        ({"ts": 1704067200}, "Expected `datetime`, got `int` - at `$.bars[0].ts`"),
        ({"ts": "0001-01-01T00:00:00+10:00"}, "times of our era"),
        ({"ts": "2024-01-01T02:00:00Z"}, "known by now"),
        ({"ts": "2024-01-01T00:58:00Z"}, "known by now"),
        ({"close": None}, "got `null` - at `$.bars[0].close`"),
        ({"close": "11"}, "got `str` - at `$.bars[0].close`"),
        ({"close": 99}, "open and close between low and high"),
        ({"low": -1}, "a positive value in low"),
        ({"interval_s": 1.5}, "`$.bars[0].interval_s`"),
        ({"interval_s": 2**64}, "`$.bars[0].interval_s`"),
        ({"colour": "red"}, "unknown field `colour`"),
    ],
)
def test_a_wrong_row_is_named(change: dict[str, Any], named: str) -> None:
    assert named in refusal({"bars": [{**BAR, **change}]})


def test_a_missing_column_is_named() -> None:
    assert "missing required field `count`" in refusal({"request_counts": [{"ts": SECOND["ts"]}]})


def test_an_unknown_table_is_named() -> None:
    assert "unknown field `bras`" in refusal({"bras": [BAR]})


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"bars": {}}', b"\xff\xfe\x00", b'{"bars": [NaN]}', b'{"bars": [[]]}', b"{" * 5000]
)
def test_garbage_is_refused_with_one_message(body: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        read_observations(body, NOW)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("body", [{}, {"bars": []}])
def test_no_rows_are_refused(body: object) -> None:
    with pytest.raises(RefusedError, match="at least one row"):
        read(body)


def test_one_wrong_table_refuses_the_others_with_it() -> None:
    refusal({"request_counts": [SECOND], "bars": [{**BAR, "close": 99}]})


def test_the_newest_row_is_the_one_known_last() -> None:
    frames = read({"request_counts": [SECOND], "bars": [BAR]})
    assert newest_known(frames) == datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=300)
