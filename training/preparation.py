"""From a history to everything a model is fitted with: rows, labels, the split of time, statistics and the contract's draft.

Decided here: nothing that training learns or counts comes from after `until`; the rows that follow serve the test alone.
"""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from data import panel as panels
from data.contract import Calibration, Contract, Feature, Panel, Target, Window
from data.errors import DataError, UsageError
from data.features import registry
from data.history import History
from data.targets import describe_targets
from models.shape import Shape, Statistics
from training.normals import residuals, statistics
from training.settings import PanelSettings, SplitSettings
from training.shapes import shape_of
from training.splits import Spans, Split, split

DAY_S = 86_400
FEWEST_KNOWN = 200  # outcomes of a target below which residual quantiles would be anecdotes
SOURCES = {
    "volatility": {"bars"},
    "congestion": {"blocks"},
    "demand": {"arrivals", "request_counts"},
    "yesterday": {"arrivals", "request_counts"},
    "hourly": {"arrivals", "request_counts"},
    "calendar": set(),
}


@dataclass(frozen=True)
class Prepared:
    """What fitting needs. `windows` (n, context, feature) is a view: window i ends with row i and belongs to `labels` row i.

    `reference` (horizon, target, level) are the residual quantiles of persistence over all rows known before `until`; a test
    forecast is issued every `test_stride` ticks.
    """

    contract: Contract
    rows: panels.Rows
    windows: NDArray[np.float32]
    labels: panels.Labels
    split: Split
    shape: Shape
    statistics: Statistics
    reference: NDArray[np.float64]
    test_stride: int = 1

    def trainable(self, part: range, stride: int = 1) -> NDArray[np.int64]:
        """Rows of a part, every `stride`-th, where any outcome is known."""
        indices = np.arange(part.start, part.stop, stride)
        return np.asarray(indices[np.isfinite(self.labels.ahead[indices]).any(axis=(1, 2))], np.int64)

    def window(self, part: range) -> Window:
        """A part as the contract writes it: [since, until) of its issue times."""
        return Window(*ends(self.rows, part))


def prepare(folder: Path, panel: PanelSettings, division: SplitSettings, seed: int = 0) -> Prepared:
    """Read the history and build everything of `Prepared`.

    Raises DataError for a history that cannot be used, UsageError for settings that ask for what is not there.
    """
    history = History.open(folder)
    contract = draft(history, panel, division, seed)
    rows = read(history, contract, division)
    labels = panels.label(rows, contract)
    parts = divide(rows, contract, division)
    require_known(labels, contract, parts, folder)
    contract = msgspec.structs.replace(contract, training=Window(*ends(rows, parts.fit)))
    return Prepared(
        contract=contract,
        rows=rows,
        windows=panels.windows(panels.pad(rows, contract.context).matrix, contract.context),
        labels=labels,
        split=parts,
        shape=shape_of(contract),
        statistics=statistics(rows, labels, contract, parts.fit),
        reference=residuals(labels.ahead, labels.value, contract.levels, range(parts.calibration.stop)),
        test_stride=division.test_stride,
    )


def draft(history: History, panel: PanelSettings, division: SplitSettings, seed: int) -> Contract:
    """The contract as far as it is known before fitting; the architecture and the training window are filled in later."""
    market = Panel(panel.tick_s, panel.chain, {role: tuple(symbols) for role, symbols in panel.roles.items()})
    features, targets = columns(panel, market)
    return Contract(
        name=panel.task,
        task=panel.task,
        architecture="",
        panel=market,
        context=panel.context,
        features=features,
        targets=targets,
        horizons=panel.horizons,
        levels=panel.levels,
        training=Window("", ""),
        calibration=Calibration("none"),
        data_digest=digest(history, panel, division),
        code_version="",
        seed=seed,
    )


def columns(panel: PanelSettings, market: Panel) -> tuple[tuple[Feature, ...], tuple[Target, ...]]:
    """Features of the families and the targets on them; UsageError for an unknown one or a family that a target needs."""
    offered = registry.describe(panel.families, market)
    targets = tuple(
        msgspec.structs.replace(target, anchor=panel.anchors.get(target.name, target.anchor))
        for target in describe_targets(panel.targets, market)
    )
    features = tuple(feature for feature in offered if feature.name not in panel.without)
    names = {feature.name for feature in features}
    strange = sorted(set(panel.without) - {feature.name for feature in offered})
    if strange:
        raise UsageError(
            "data.panel.without",
            expected="features of the families",
            found=", ".join(strange),
            remedy="correct the names, or leave them out",
        )
    for target in targets:
        missing = sorted({target.value, target.anchor, *filter(None, (target.threshold, target.calm))} - names)
        if missing:
            raise UsageError(
                "data.panel.families",
                expected=f"families with {missing}, which the target {target.name} needs",
                found=str(list(panel.families)),
                remedy=f"add the family {target.name}",
            )
    return features, targets


def digest(history: History, panel: PanelSettings, division: SplitSettings) -> str:
    """Digest of the rows that training could have read: every table's where it is not known which a family reads."""
    wanted: set[str] = set().union(*(SOURCES.get(family, history.tables) for family in panel.families))
    until = division.until_time
    return (history if until is None else history.before(until)).digest(sorted(wanted & history.tables))


def read(history: History, contract: Contract, division: SplitSettings) -> panels.Rows:
    """Rows from `since` to the end of the last test label."""
    until = None
    if division.until_time is not None and division.test_days is not None:
        beyond = contract.horizons[-1] * contract.panel.tick_s
        until = division.until_time + dt.timedelta(days=division.test_days, seconds=beyond)
    return panels.build(history, contract.panel, contract.feature_names, division.since_time, until)


def divide(rows: panels.Rows, contract: Contract, division: SplitSettings) -> Split:
    """Ranges of rows for fitting, stopping, calibrating and testing."""
    tick_s, horizon = contract.panel.tick_s, contract.horizons[-1]
    per_day = DAY_S / tick_s
    cut = end = max(len(rows.ticks) - 1, 0)
    if division.until_time is not None and len(rows.ticks):
        cut = min(int(division.until_time.timestamp() - rows.ticks[0]) // tick_s, cut)
        days = division.test_days
        end = len(rows.ticks) if days is None else min(cut + round(days * per_day), len(rows.ticks))
    spans = Spans(
        validation=round(division.validation_days * per_day),
        calibration=round(division.calibration_days * per_day),
        embargo=horizon if division.embargo is None else division.embargo,
        horizon=horizon,
    )
    return split(0, cut, end, spans)


def require_known(labels: panels.Labels, contract: Contract, parts: Split, folder: Path) -> None:
    """Raise DataError for a target whose outcomes are known too rarely to fit or to calibrate it."""
    for place, target in enumerate(contract.targets):
        for name, part in (
            ("fitting", parts.fit),
            ("validation", parts.validation),
            ("calibration", parts.calibration),
        ):
            count = int(np.isfinite(labels.ahead[part.start : part.stop, -1, place]).sum())
            if count < FEWEST_KNOWN:
                raise DataError(
                    str(folder),
                    expected=f"at least {FEWEST_KNOWN} known outcomes of {target.name} for {name}",
                    found=str(count),
                    remedy="see `shaper data check`; name another period, fewer targets or a longer history",
                )


def ends(rows: panels.Rows, part: range) -> tuple[str, str]:
    """First issue time of a part and the one after its last, as ISO 8601 in UTC."""
    step = int(rows.ticks[1] - rows.ticks[0])
    moments = (int(rows.ticks[0]) + place * step for place in (part.start, part.stop))
    since, until = (dt.datetime.fromtimestamp(moment, dt.UTC).isoformat() for moment in moments)
    return since, until
