"""Episodes laid out on the clock: when each happens, how large it is, and what it adds to the causes of the world."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from data.world.constants import HOUR_S
from data.world.episodes import Episode
from data.world.noise import Chance, Clock, Series


@dataclass(frozen=True)
class Occasion:
    """One time that an episode happens: seconds from the start of the world, and the factor on its sizes."""

    episode: Episode
    start_s: float
    size: float

    @property
    def silence_s(self) -> tuple[float, float]:
        """From and until when its feeds are silent, seconds from the start of the world."""
        first = self.start_s + self.episode.silent_after_s
        return first, first + self.episode.silent_s


@dataclass(frozen=True)
class Script:
    """What all episodes add, by step: to ln volatility, the log return of ETH, ln fee, ln order rate and forced orders."""

    occasions: tuple[Occasion, ...]
    volatility: Series
    move: Series
    fee: Series
    demand: Series
    cascade: Series


def write(episodes: tuple[Episode, ...], clock: Clock, chance: Chance) -> Script:
    """The script of some episodes on a clock."""
    occasions = tuple(
        one for place, episode in enumerate(episodes) for one in _occasions(place, episode, clock, chance)
    )
    sums = {name: np.zeros(clock.count) for name in ("volatility", "move", "fee", "demand", "cascade")}
    for one in occasions:
        height = one.size * shape(one, clock)
        for name in ("volatility", "fee", "demand", "cascade"):
            sums[name] += getattr(one.episode, name) * height
        sums["move"] += _moves(one, clock)
    return Script(occasions, **sums)


def shape(one: Occasion, clock: Clock) -> Series:
    """Share of its height that an episode has at the end of each step: 0 to 1."""
    episode, gone_s = one.episode, _gone_s(one, clock)
    left_s = episode.rise_s + episode.hold_s + episode.fade_s - gone_s
    height: Series = np.clip(np.minimum(gone_s / episode.rise_s, left_s / episode.fade_s), 0.0, 1.0)
    return height


def _gone_s(one: Occasion, clock: Clock) -> Series:
    """Seconds from the beginning of an episode to the end of each step."""
    return clock.times_s + (clock.step_s - clock.start_s - one.start_s)


def _moves(one: Occasion, clock: Clock) -> Series:
    """Log return by step: the move is made during the rise, the rebound during the fade."""
    episode, gone_s = one.episode, _gone_s(one, clock)
    made = np.clip(gone_s / episode.rise_s, 0.0, 1.0)
    back = np.clip((gone_s - episode.rise_s - episode.hold_s) / episode.fade_s, 0.0, 1.0)
    level = one.size * episode.move * (made - episode.rebound * back)
    steps: Series = np.diff(level, prepend=0.0)
    return steps


def _occasions(place: int, episode: Episode, clock: Clock, chance: Chance) -> Iterator[Occasion]:
    """When an episode happens, until the clock ends; drawn one after the other, so that more days only add some."""
    draws = chance.stream(f"episode {place}")
    length_s = clock.count * clock.step_s
    start_s = episode.first_h * HOUR_S
    while start_s < length_s:
        late_s = draws.random() * episode.jitter_h * HOUR_S
        size = float(np.exp(episode.spread * np.clip(draws.standard_normal(), -2.0, 2.0)))
        yield Occasion(episode, start_s + late_s, size)
        if not episode.every_h:
            return
        start_s += episode.every_h * HOUR_S
