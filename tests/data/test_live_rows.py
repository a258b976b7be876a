from data.live_rows import MOST_CHUNKS, compact
from tests.data.made import blocks


def test_a_buffer_that_grows_row_by_row_stays_in_few_pieces_and_its_long_one_is_not_copied() -> None:
    frame = blocks(9000)
    held = frame.head(8000)
    for place in range(8000, 9000):
        held = compact(held.vstack(frame.slice(place, 1)))
        lengths = held["ts"].chunk_lengths()
        assert len(lengths) <= MOST_CHUNKS
        assert lengths[0] == 8000
    assert held.equals(frame)


def test_a_long_piece_is_copied_once_as_much_has_come_after_it() -> None:
    frame = blocks(2000)
    held = frame.head(100)
    for place in range(100, 2000, 10):
        held = compact(held.vstack(frame.slice(place, 10)))
    assert held["ts"].chunk_lengths()[0] > 500
    assert held.equals(frame)
