"""Which forecast a plan may stand on: the champion's, its last good one, the baseline's, or none.

Decided here: the order, how long a forecast of before a fault still serves, and how a model that was at fault comes back.
A model that was late or failed said nothing wrong before, so its last forecast serves while it is valid. One that answered
nonsense deserves no belief for what it said a moment ago either. After both it leads again only after several good answers in
a row. Missing rows are no fault of the model's.
"""

from dataclasses import dataclass
from typing import Literal

from shaper.forecast import Forecast

Outcome = Literal["issued", "blind", "late", "failed", "discarded"]
Rung = Literal["champion", "last-good", "baseline", "none"]
RUNGS: tuple[Rung, ...] = ("champion", "last-good", "baseline", "none")
GOOD_IN_A_ROW = 3


@dataclass(frozen=True)
class Ladder:
    """The champion's last forecast that may be believed, and how many good answers it owes after a fault."""

    good: Forecast | None = None
    owed: int = 0

    def after(self, outcome: Outcome, forecast: Forecast | None) -> "Ladder":
        """The ladder after one tick."""
        if outcome == "issued":
            owed = max(self.owed - 1, 0)
            return Ladder(self.good if owed else forecast, owed)
        if outcome == "blind":
            return self
        return Ladder(None if outcome == "discarded" else self.good, GOOD_IN_A_ROW)

    def choose(
        self, at_s: float, tick_s: float, lead_s: float, baseline: Forecast | None
    ) -> tuple[Forecast | None, Rung]:
        """The forecast for a plan at a time that looks `lead_s` ahead, and its rung; `tick_s` is when the newest tick ended."""
        if self.good is not None and reaches(self.good, at_s, lead_s):
            return self.good, "champion" if self.good.issued_at_s >= tick_s else "last-good"
        if baseline is not None and reaches(baseline, at_s, lead_s):
            return baseline, "baseline"
        return None, "none"


def reaches(forecast: Forecast, at_s: float, lead_s: float) -> bool:
    """Whether a forecast still holds at a time and tells what comes `lead_s` later."""
    age_s = at_s - forecast.issued_at_s
    return at_s <= forecast.valid_until_s and 0 <= age_s <= forecast.reach_s - lead_s
