"""What a run is told: the panel to learn, the split of time, the batches, the optimiser, and where the run is kept.

Decided here: names and defaults of the keys in `training/configs/*.yaml`, and which values contradict each other. Every
class raises UsageError (exit status 2) for a contradiction.
"""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from data.contract import ascending
from data.errors import DataError, UsageError


def require(where: str, faults: list[tuple[bool, str, str]], remedy: str = "correct the configuration") -> None:
    """Raise UsageError for the first (holds, expected, found) that does not hold."""
    for holds, expected, found in faults:
        if not holds:
            raise UsageError(where, expected=expected, found=found, remedy=remedy)


@dataclass(frozen=True)
class PanelSettings:
    """What is forecast and from what.

    `targets` and `families` name what `data.targets` and `data.features` offer, `without` the features of these families that
    are left out, such as the day of the week where there are too few weeks to learn from; `roles` maps a role to the symbols
    that may play it, best first; a window holds `context` ticks of `tick_s` seconds; `horizons` are in ticks. `anchors` names
    features that targets are forecast as a distance to, instead of their usual ones.
    """

    task: str = "panel"
    targets: tuple[str, ...] = ("volatility", "congestion")
    families: tuple[str, ...] = ("volatility", "congestion", "calendar")
    without: tuple[str, ...] = ()
    tick_s: int = 300
    chain: str = "ethereum"
    roles: dict[str, list[str]] = field(
        default_factory=lambda: {"eth": ["ETH-PERP", "ETH-SPOT"], "btc": ["BTC-PERP", "BTC-SPOT"]}
    )
    anchors: dict[str, str] = field(default_factory=dict)
    context: int = 72
    horizons: tuple[int, ...] = tuple(range(1, 13))
    levels: tuple[float, ...] = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)

    def __post_init__(self) -> None:
        """Refuse contradictions."""
        first = self.horizons[0] if self.horizons else 0
        contiguous = self.horizons == tuple(range(first, first + len(self.horizons)))
        inside = ascending(self.levels) and self.levels[0] > 0 and self.levels[-1] < 1
        require(
            "data.panel",
            [
                (bool(self.targets), "at least one target", "none"),
                (bool(self.families), "at least one feature family", "none"),
                (self.anchors.keys() <= set(self.targets), "anchors of the targets", str(self.anchors)),
                (self.tick_s > 0 and 86_400 % self.tick_s == 0, "a tick_s that divides a day", str(self.tick_s)),
                (self.context > 0, "a positive context", str(self.context)),
                (first == 1 and contiguous, "horizons 1, 2, 3, ... without a gap", str(list(self.horizons))),
                (inside, "ascending levels within (0, 1)", str(list(self.levels))),
            ],
        )


@dataclass(frozen=True)
class PoolSettings:
    """A further panel to learn from: the same roles played by other symbols (absent: by the same), or another chain."""

    roles: dict[str, list[str]] | None = None
    chain: str | None = None


@dataclass(frozen=True)
class SplitSettings:
    """How time is divided: fit | embargo | validation | embargo | calibration, all known before `until`; then test.

    `since` and `until` are ISO 8601 (UTC unless they say otherwise; absent: the ends of the history). Validation stops the
    training early, calibration widens or narrows the quantiles. `embargo` is in ticks (absent: the longest horizon).
    `test_days` limits the test period, which begins at `until`; in it a forecast is issued every `test_stride` ticks.
    """

    since: str | None = None
    until: str | None = None
    validation_days: float = 7.0
    calibration_days: float = 28.0
    embargo: int | None = None
    test_days: float | None = None
    test_stride: int = 1

    def __post_init__(self) -> None:
        """Refuse contradictions."""
        since, until = self.since_time, self.until_time
        require(
            "data.split",
            [
                (since is None or until is None or since < until, "since before until", f"{since} and {until}"),
                (self.validation_days > 0, "positive validation_days", str(self.validation_days)),
                (self.calibration_days > 0, "positive calibration_days", str(self.calibration_days)),
                (self.embargo is None or self.embargo >= 0, "an embargo of 0 ticks or more", str(self.embargo)),
                (self.test_days is None or self.test_days > 0, "positive test_days", str(self.test_days)),
                (self.test_stride > 0, "a positive test_stride", str(self.test_stride)),
            ],
        )

    @property
    def since_time(self) -> dt.datetime | None:
        """First issue time, in UTC."""
        return None if self.since is None else instant(self.since)

    @property
    def until_time(self) -> dt.datetime | None:
        """End of what training may know, in UTC."""
        return None if self.until is None else instant(self.until)


@dataclass(frozen=True)
class BatchSettings:
    """Windows a step, and every how many ticks a training window is taken (validation uses every tick)."""

    size: int = 256
    stride: int = 1

    def __post_init__(self) -> None:
        """Refuse contradictions."""
        found = f"{self.size} and {self.stride}"
        require("data.batch", [(self.size > 0 and self.stride > 0, "a positive size and stride", found)])


@dataclass(frozen=True)
class LeverSettings:
    """A lever that reads one target at one horizon (ticks): what a unit costs that is missing, and one that is held."""

    target: str
    horizon: int
    underage: float
    overage: float

    def __post_init__(self) -> None:
        """Refuse contradictions."""
        costs = f"{self.underage} and {self.overage}"
        require(
            "model.optimiser.loss.levers",
            [
                (self.horizon > 0, "a horizon of 1 tick or more", str(self.horizon)),
                (0 < self.overage < self.underage, "0 < overage < underage", costs),
            ],
        )


@dataclass(frozen=True)
class LossSettings:
    """Which losses are minimised, see `models.losses`; the spikes' counts `spike_weight` of the optimiser's settings.

    `quantile` is pinball or crps. `spike`: cross-entropy; focal, with `focus`; or lead, where positives whose onset is less
    than `lead_ticks` away count `late` only. `qlike` adds that loss by target, `decision` the cost of `levers`.
    """

    quantile: Literal["pinball", "crps"] = "pinball"
    spike: Literal["cross-entropy", "focal", "lead"] = "cross-entropy"
    focus: float = 2.0
    lead_ticks: int = 1
    late: float = 0.0
    qlike: dict[str, float] = field(default_factory=dict)
    decision: float = 0.0
    levers: tuple[LeverSettings, ...] = ()

    def __post_init__(self) -> None:
        """Refuse contradictions."""
        priced = f"{self.decision} with {len(self.levers)} levers"
        require(
            "model.optimiser.loss",
            [
                (self.focus >= 0, "a focus of 0 or more", str(self.focus)),
                (self.lead_ticks >= 0, "lead_ticks of 0 or more", str(self.lead_ticks)),
                (0 <= self.late <= 1, "a late within [0, 1]", str(self.late)),
                (all(weight >= 0 for weight in self.qlike.values()), "qlike weights of 0 or more", str(self.qlike)),
                (self.decision >= 0, "a decision weight of 0 or more", str(self.decision)),
                ((self.decision > 0) == bool(self.levers), "levers where decision is above 0", priced),
            ],
        )


@dataclass(frozen=True)
class OptimiserSettings:
    """AdamW with one cosine descent to `final_share` of the rate; spikes count `spike_weight` beside the quantiles' loss."""

    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    final_share: float = 0.05
    spike_weight: float = 0.1
    loss: LossSettings = field(default_factory=LossSettings)

    def __post_init__(self) -> None:
        """Refuse contradictions."""
        require(
            "model.optimiser",
            [
                (self.learning_rate > 0, "a positive learning_rate", str(self.learning_rate)),
                (self.weight_decay >= 0, "a weight_decay of 0 or more", str(self.weight_decay)),
                (0 <= self.final_share <= 1, "a final_share within [0, 1]", str(self.final_share)),
                (self.spike_weight >= 0, "a spike_weight of 0 or more", str(self.spike_weight)),
            ],
        )


@dataclass(frozen=True)
class RunSettings:
    """Name of the run, the folder that holds it as FOLDER/NAME, and where it is tracked.

    `experiment` is the MLflow experiment (absent: the task); `kind` marks runs to be compared with one another; `parent` is
    the MLflow run it is nested under; `track: false` leaves MLflow out; `store` is the folder of the local store, used
    unless MLFLOW_TRACKING_URI names another. `online: false` ends the calibration with training, `calibrate: false`
    leaves it out. `keep` are the weights of the best epoch on the validation period or those of the last epoch.
    """

    name: str
    folder: Path = Path("var/runs")
    experiment: str | None = None
    kind: str = "fit"
    parent: str | None = None
    track: bool = True
    store: Path = Path("var/mlflow")
    online: bool = True
    calibrate: bool = True
    keep: Literal["best", "last"] = "best"

    @property
    def home(self) -> Path:
        """The run's own folder."""
        return self.folder / self.name


@contextmanager
def plainly() -> Iterator[None]:
    """Raise the UsageError itself where a parser has wrapped it into its own account of every type that it tried."""
    try:
        yield
    except ValueError as error:
        inner: BaseException | None = error
        while inner is not None and not isinstance(inner, DataError):
            inner = inner.__cause__ or inner.__context__
        if inner is None or inner is error:
            raise
        raise inner from None


def instant(text: str) -> dt.datetime:
    """Read a time in UTC; one without an offset is UTC. Raises UsageError."""
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            "time",
            expected="an ISO 8601 time such as 2024-02-01T00:00",
            found=repr(text),
            remedy="correct the option or the configuration",
        ) from error
    return time.astimezone(dt.UTC) if time.tzinfo else time.replace(tzinfo=dt.UTC)
