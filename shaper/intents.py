"""What an order is meant to achieve, and so where it may go and what its routing minimises."""

from dataclasses import dataclass
from typing import Literal

Intent = Literal["hedge-gamma", "capture-basis", "close-at-any-price"]


@dataclass(frozen=True, slots=True)
class Objective:
    """Markets a node must offer (all of one of these sets; none: any node will do), and the weights of time and of fees."""

    markets: tuple[tuple[str, ...], ...]
    delay: float
    fee: float


# A hedge may be done in either market; a basis needs both legs in one place; who must close pays any fee.
OBJECTIVES: dict[str, Objective] = {
    "hedge-gamma": Objective((("perp",), ("spot",)), 1.0, 1.0),
    "capture-basis": Objective((("perp", "spot"),), 1.0, 1.0),
    "close-at-any-price": Objective((), 1.0, 0.0),
}
ANYWHERE = Objective((), 1.0, 1.0)


def objective(intent: Intent | None) -> Objective:
    """The objective of an intent; without one any node will do, time and fees at their prices."""
    return ANYWHERE if intent is None else OBJECTIVES[intent]


def eligible(intent: Intent | None, markets: tuple[str, ...]) -> bool:
    """Whether a node with these markets serves an intent; one that declares none is taken to serve any."""
    wanted = objective(intent).markets
    return not wanted or not markets or any(set(needed) <= set(markets) for needed in wanted)
