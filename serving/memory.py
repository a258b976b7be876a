"""What an online-calibrated model remembers between ticks: its state, as a plain array, and the tick that it belongs to.

Decided here: a state goes on over missing ticks one by one, each with what is known of it now, as long as a forecast issued
before them may still come true; after that, and after an answer that is not finite, it begins anew, which is logged with its
reason. A model without a memory has none here either.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from data.contract import Contract
from data.online import Layout

LOG = logging.getLogger(__name__)
GAP, ANSWER, CLOCK = "gap", "answer", "clock"  # reasons to begin anew


@dataclass
class Memory:
    """The state (1, size) after `tick`; `began_anew` is told each reason to forget."""

    contract: Contract
    began_anew: Callable[[str], None]
    state: NDArray[np.float32] | None = None
    tick: datetime | None = None

    def __post_init__(self) -> None:
        """Begin with a state that remembers nothing, where the model has one."""
        if self.contract.online is not None and self.state is None:
            self.state = Layout.of(self.contract).blank()

    def missed(self, tick: datetime) -> list[datetime]:
        """The ticks to go through before this one; forgets everything when there are more than forecasts reach."""
        if self.state is None or self.tick is None:
            return []
        width = timedelta(seconds=self.contract.panel.tick_s)
        count = round((tick - self.tick) / width) - 1
        if count > self.reach:
            self.forget(
                GAP, f"{count} ticks after {self.tick.isoformat()} are missing, and forecasts reach {self.reach}"
            )
            return []
        return [self.tick + width * step for step in range(1, count + 1)]

    @property
    def reach(self) -> int:
        """Ticks that the longest forecast reaches."""
        return self.contract.horizons[-1]

    def keep(self, state: NDArray[np.float32] | None, tick: datetime) -> None:
        """Remember what the graph answered at a tick."""
        if state is not None and not np.isfinite(state).all():
            self.forget(ANSWER, f"the model's answer at {tick.isoformat()} is not finite")
            return
        self.state, self.tick = state, tick

    def forget(self, reason: str, told: str) -> None:
        """Begin anew."""
        LOG.warning("online calibration begins anew: %s", told)
        self.began_anew(reason)
        self.state, self.tick = Layout.of(self.contract).blank(), None

    def coverage(self) -> dict[str, float]:
        """Rolling coverage of the outermost band by target; empty before anything has come true."""
        if self.state is None:
            return {}
        shares = Layout.of(self.contract).coverage(self.state)[0]
        return {t.name: float(s) for t, s in zip(self.contract.targets, shares, strict=True) if np.isfinite(s)}
