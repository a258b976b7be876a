"""What a policy of the event replay is shown at a review, and what it may set."""

from dataclasses import dataclass

from shaper.observed import Observed
from shaper.replay.trace import Floats


@dataclass(frozen=True, slots=True)
class Seen:
    """What a policy knows at a review: the measurement, which nodes were up (nodes,), and how quick service was of late.

    `begun` orders began in the last second and had waited `wait_s` on average; classes are tiers by priority.
    """

    observed: Observed
    up: Floats
    begun: Floats
    wait_s: Floats


@dataclass(frozen=True, slots=True)
class Settings:
    """What a policy sets: units wanted, weights of nodes, most orders waiting by class, admission by class and in all.

    None leaves a lever as it is.
    """

    units: int
    weights: Floats | None = None
    room: Floats | None = None
    quota_per_s: Floats | None = None
    limit: float | None = None
