"""The recursions that give the world memory, against their closed forms."""

import math

import numpy as np
import pytest

from data.world.constants import Echo, Swing
from data.world.noise import (
    Chance,
    Clock,
    delayed,
    fading,
    humped,
    periodic,
    smoothed,
    swelling,
)

CLOCK = Clock(0, 5, 200_000)
IMPULSE = np.array([2.0, *np.zeros(999)])


def test_a_swing_has_its_deviation_and_its_memory() -> None:
    path = Chance(1).swing("any", Swing(0.3, 60.0), CLOCK)
    assert path.std() == pytest.approx(0.3, rel=0.03)
    assert np.corrcoef(path[:-12], path[12:])[0, 1] == pytest.approx(math.exp(-1), abs=0.03)


def test_streams_differ_by_name_and_by_seed() -> None:
    draws = [Chance(seed).stream(name).random() for seed in (1, 2) for name in ("a", "b")]
    assert len(set(draws)) == 4
    assert Chance(1).stream("a").random() == draws[0]


def test_self_excitation_multiplies_events_by_its_closed_form() -> None:
    counts = Chance(1).cluster("any", np.full(200_000, 0.05), Echo(0.5, 60.0), 5)
    assert counts.mean() == pytest.approx(0.05 / (1 - 0.5), rel=0.04)


def test_events_without_children_are_the_first_generation() -> None:
    per_step = np.full(1000, 0.1)
    counts = Chance(3).cluster("any", per_step, Echo(0.0, 60.0), 5)
    assert np.array_equal(counts, Chance(3).events("any 0", per_step))


def test_impulses_lie_where_the_events_are_and_have_their_mean() -> None:
    counts = np.tile([0, 1, 2], 30_000)
    sizes = Chance(1).impulses("any", counts, 1.5, 2.0)
    assert not sizes[::3].any()
    assert sizes.sum() / counts.sum() == pytest.approx(1.5, rel=0.02)


def test_dealing_loses_no_impulse() -> None:
    impulses = np.arange(9000.0)
    parts = Chance(1).dealt("any", impulses, (0.2, 0.5, 0.3))
    assert np.array_equal(sum(parts), impulses)
    assert [np.count_nonzero(part) / 9000 for part in parts] == pytest.approx([0.2, 0.5, 0.3], abs=0.02)


def test_a_fading_response_starts_whole_and_falls_to_one_part_in_e() -> None:
    path = fading(IMPULSE, 60.0, 5)
    assert path[0] == 2.0
    assert path[12] == pytest.approx(2 / math.e)


@pytest.mark.parametrize(("peak_s", "memory_s"), [(30.0, 100.0), (150.0, 360.0), (150.0, 6000.0)])
def test_a_swelling_response_peaks_at_its_size_at_its_time(peak_s: float, memory_s: float) -> None:
    path = swelling(IMPULSE, peak_s, memory_s, 1)
    assert path[0] == 0.0
    assert path.max() == pytest.approx(2.0, rel=1e-3)
    assert abs(int(path.argmax()) - peak_s) <= 1


def test_a_swelling_response_cannot_peak_after_its_memory() -> None:
    with pytest.raises(ValueError, match=r"expected a time to the peak below the memory of 50\.0 s, found 100\.0 s"):
        swelling(IMPULSE, 100.0, 50.0, 1)


def test_a_humped_response_peaks_at_its_size_at_its_time_and_starts_slowly() -> None:
    path = humped(IMPULSE, 100.0, 5)
    assert int(path.argmax()) == 20
    assert path[20] == pytest.approx(2.0)
    assert path[5] == pytest.approx(2 * 0.25**2 * math.exp(2 - 0.5))


def test_a_smoothed_constant_is_that_constant_from_the_first_step() -> None:
    assert smoothed(np.full(50, 3.0), 60.0, 5) == pytest.approx(np.full(50, 3.0))


def test_delaying_keeps_the_length_even_beyond_it() -> None:
    assert delayed(np.array([1.0, 2.0, 3.0]), 1).tolist() == [0.0, 1.0, 2.0]
    assert delayed(np.array([1.0, 2.0]), 5).tolist() == [0.0, 0.0]


def test_a_periodic_table_is_met_at_the_middle_of_its_parts_and_joins_its_ends() -> None:
    table = (0.0, 2.0, 4.0, 2.0)
    times = np.array([0.5, 1.5, 2.5, 3.5, 4.5, 0.0, 1.0])
    assert periodic(times, table, 4.0).tolist() == [0.0, 2.0, 4.0, 2.0, 0.0, 1.0, 1.0]
