"""A scenario file of `shaper replay`: which stretch of history is played, what orders are worth, what capacity costs.

Decided here: the keys of the TOML file and their defaults.
"""

from dataclasses import dataclass
from pathlib import Path

from data import strict
from data.errors import UsageError
from shaper.replay.scenario import POLICIES
from shaper.venue import Venue


@dataclass(frozen=True, slots=True)
class Stretch:
    """The stretch that is played: the last `days` before `until` (ISO 8601; absent: the end of the history).

    Policies are tuned on the `tuning_days` before it. Orders are counted in slots of `slot_s`. `scale` multiplies the
    recorded orders, for a venue of another size.
    """

    days: float = 1.0
    tuning_days: float = 1.0
    until: str | None = None
    slot_s: float = 5.0
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Conditions:
    """What every policy has to live with.

    Demand is measured over `observe_s` and known `lag_s` later, as forecasts are. `noise` stretches actuation delays
    (exponential, as a share of the delay) from `seed`.
    """

    observe_s: float = 15.0
    lag_s: float = 5.0
    noise: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class ScenarioFile:
    """The whole file. `delays_s`: the replay is repeated with each of these delays in place of the pool's own."""

    name: str
    venue: Venue
    trace: Stretch = Stretch()
    conditions: Conditions = Conditions()
    policies: tuple[str, ...] = POLICIES
    delays_s: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse lengths that cannot be played, and policies that do not exist."""
        lengths = (self.trace.days, self.trace.tuning_days, self.trace.slot_s, self.trace.scale)
        if not all(length > 0 for length in lengths):
            raise ValueError(f"expected days, tuning_days, slot_s and scale above 0, found {lengths}")
        unknown = sorted(set(self.policies) - set(POLICIES))
        if unknown or not self.policies:
            raise ValueError(f"expected policies among {', '.join(POLICIES)}, found {', '.join(unknown) or 'none'}")
        if not all(delay >= 0 for delay in self.delays_s):
            raise ValueError(f"expected delays_s of 0 or more, found {self.delays_s}")

    @property
    def all_delays_s(self) -> tuple[float, ...]:
        """The pool's own delay and those to compare with, ascending."""
        return tuple(sorted({self.venue.pool.actuation_delay_s, *self.delays_s}))


def read_scenario(path: Path) -> ScenarioFile:
    """Read and check a scenario file. Raises UsageError that names the key."""
    section = strict.read_toml(path)
    try:
        return strict.convert(ScenarioFile, section, str(path))
    except TypeError as error:
        raise UsageError(
            str(path), expected="a scenario", found=str(error), remedy="see training/configs/replay.toml"
        ) from error
