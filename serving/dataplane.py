"""The port to whatever enforces a plan: the embedded gateway, a proxy, a scaler.

Decided here: what a data plane has to do, and no more. It is given plans, it tells its load, and it goes on with the last plan it
took when nobody speaks to it; Python decides, the data plane enforces.
"""

from dataclasses import dataclass, field
from typing import Protocol

from serving.gateway import Report
from shaper.plan import Plan


class DataPlaneError(RuntimeError):
    """A data plane that could not be reached, or that refused a setting; the message says which and how to mend it."""


class DataPlane(Protocol):
    """Where plans go. Calls come one at a time from the event loop, each within a deadline of the caller's."""

    name: str

    async def open(self) -> None:
        """Connect or start; called once before anything else. Raises DataPlaneError when that will never work."""
        ...

    async def apply(self, plan: Plan) -> None:
        """Enforce a plan from now on, all of it or as much as this data plane can. Raises DataPlaneError."""
        ...

    async def report(self) -> Report | None:
        """The load and the capacity now, None when this data plane cannot tell. Raises DataPlaneError."""
        ...

    async def close(self) -> None:
        """Let go; what was last applied stays in force where the data plane outlives the sidecar."""
        ...


@dataclass
class RecordedPlane:
    """A data plane that only remembers: for tests, and for trying a configuration on a live venue without touching it."""

    name: str = "recorded"
    told: Report | None = None
    refusal: str | None = None
    plans: list[Plan] = field(default_factory=list)

    async def open(self) -> None:
        """Nothing to connect to."""

    async def apply(self, plan: Plan) -> None:
        """Keep the plan, or refuse it when told to."""
        if self.refusal is not None:
            raise DataPlaneError(self.refusal)
        self.plans.append(plan)

    async def report(self) -> Report | None:
        """What the test or the operator said."""
        return self.told

    async def close(self) -> None:
        """Nothing to let go of."""
