"""What a model was trained to read and to say: the `contract.json` that lies beside every ONNX file.

Decided here: the fields, their canonical bytes and so their digest, and when an ONNX file and a contract belong together.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import msgspec

from data.errors import DataError

FORMAT = 1
MODEL_FILE, CONTRACT_FILE, CARD_FILE = "model.onnx", "contract.json", "card.md"
DIGEST_KEY = "contract_digest"  # name of the ONNX metadata entry that holds the digest of the contract


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One input column: its name in `data.features`, its unit, and how many ticks back it looks (its own tick included).

    `level` names the target with whose level the column moves: learned models read it relative to that target's anchor, so
    that a market ten times as wild, or a chain ten times as dear, looks the same to them.
    """

    name: str
    unit: str
    lookback: int
    level: str | None = None


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One forecast quantity, and the feature columns that tell what is known of it at the time of issue.

    `value` is the quantity at the issue tick, `anchor` the known quantity that learned models add to (both in the target's
    unit); `threshold` is the level whose crossing is a spike and `calm` the level at or below which an onset may be alarmed
    (null: the target has no spikes).
    """

    name: str
    unit: str
    value: str
    anchor: str
    threshold: str | None = None
    calm: str | None = None


class Panel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The grid and the markets behind it: `roles` maps a role in feature names to the symbols that may play it, best first."""

    tick_s: int
    chain: str
    roles: dict[str, tuple[str, ...]]


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Issue times the model was fitted on: [since, until), ISO 8601 in UTC."""

    since: str
    until: str


class Online(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How quantiles go on being calibrated in use, by a graph that carries its own memory (`data.online` has its layout).

    Levels that mirror each other are a band: both of its sides move outwards by rate x the coverage that it should have,
    in widths of the outermost band, when the truth comes in outside, and inwards by rate x the rest when not; levels
    without a mirror move on their own, by rate x level and rate x (1 - level). None moves more than `bound` widths from where
    the offline calibration put it; `rates` has one value a target, and a lasting fault is half made up for after
    `half_life_ticks`. Where errors have lately (half-life `recent_ticks`, which is that of the rolling coverage too) been more
    than `tolerance` times as large as usual (half-life `usual_ticks`), or as small, the bands are stretched by what is beyond
    the tolerance, at most `stretch` times. `window` are the issue times that chose the rates.
    """

    rates: tuple[float, ...]
    half_life_ticks: tuple[int, ...]
    recent_ticks: int
    usual_ticks: int
    bound: float = 2.0
    tolerance: float = 1.5
    stretch: float = 3.0
    window: Window | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be followed."""
        if min((*self.rates, self.bound, self.recent_ticks), default=0) <= 0 or min(self.tolerance, self.stretch) < 1:
            raise ValueError(f"expected positive rates, bound and ticks, tolerance and stretch from 1, found {self}")
        if self.usual_ticks <= self.recent_ticks:
            raise ValueError(f"expected usual_ticks beyond recent_ticks, found {self.usual_ticks}, {self.recent_ticks}")


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How quantiles were calibrated inside the graph: the method and the issue times it saw (null: not calibrated).

    `online` is absent, also from the digest, where the graph has no memory.
    """

    method: str
    window: Window | None = None
    online: Online | msgspec.UnsetType = msgspec.UNSET


class Contract(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that must be equal between training and serving for a forecast to mean the same.

    The graph reads `window` float32 (batch, context, features) in raw units, NaN where unknown, and answers `quantiles`
    (batch, horizon, target, level) in target units and `spike` (batch, horizon, target), the probability 0..1 that the
    threshold is crossed within that horizon. Horizons are in ticks. Where calibration goes on online, it also reads `state`
    float32 (batch, `data.online.Layout.size`), zeros at first, and answers `next_state`, to be handed in at the next tick.
    """

    name: str
    task: str
    architecture: str
    panel: Panel
    context: int
    features: tuple[Feature, ...]
    targets: tuple[Target, ...]
    horizons: tuple[int, ...]
    levels: tuple[float, ...]
    training: Window
    calibration: Calibration
    data_digest: str
    code_version: str
    seed: int
    metrics: dict[str, float] = {}
    format: int = FORMAT

    def __post_init__(self) -> None:
        """Refuse a contract that contradicts itself."""
        names = {feature.name for feature in self.features}
        wanted = {c for t in self.targets for c in (t.value, t.anchor, t.threshold, t.calm) if c is not None}
        faults = [
            (self.format == FORMAT, f"format {FORMAT}", str(self.format)),
            (len(names) == len(self.features) > 0, "features with unique names", f"{len(self.features)} of them"),
            (wanted <= names, "every target column among the features", f"missing {sorted(wanted - names)}"),
            (len(self.targets) > 0, "at least one target", "none"),
            (
                self.panel.tick_s > 0 and self.context > 0,
                "a positive tick and context",
                f"{self.panel.tick_s}, {self.context}",
            ),
            (ascending(self.horizons) and self.horizons[0] >= 1, "ascending horizons from 1", str(self.horizons)),
            (
                ascending((0.0, *self.levels, 1.0)),
                "ascending levels in (0, 1)",
                str(self.levels),
            ),
            (
                self.online is None or len(self.online.rates) == len(self.online.half_life_ticks) == len(self.targets),
                "an online rate and half-life for each target",
                str(self.online),
            ),
        ]
        for holds, expected, found in faults:
            if not holds:
                raise ValueError(f"expected {expected}, found {found}")

    @property
    def online(self) -> Online | None:
        """How calibration goes on in use; None where the graph has no memory."""
        found = self.calibration.online
        return None if isinstance(found, msgspec.UnsetType) else found

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the input columns, in the order of the graph."""
        return tuple(feature.name for feature in self.features)

    @property
    def lookback(self) -> int:
        """Ticks of history that one window needs for every feature in it to be what training saw."""
        return self.context - 1 + max(feature.lookback for feature in self.features)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical bytes, as hexadecimal."""
        return hashlib.sha256(encode(self)).hexdigest()


def ascending(values: tuple[float, ...]) -> bool:
    """Whether there is at least one value and each is above the one before."""
    return bool(values) and all(a < b for a, b in pairwise(values))


def encode(contract: Contract) -> bytes:
    """Canonical bytes: sorted keys, no spaces, so that equal contracts have equal digests."""
    return json.dumps(msgspec.to_builtins(contract), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def write_contract(contract: Contract, folder: Path) -> None:
    """Write `contract.json` into a folder, whole or not at all."""
    partial = folder / f".{CONTRACT_FILE}.{os.getpid()}"
    partial.write_text(json.dumps(msgspec.to_builtins(contract), sort_keys=True, indent=1) + "\n", "utf-8")
    partial.replace(folder / CONTRACT_FILE)


def read_contract(folder: Path) -> Contract:
    """Read `contract.json` from an artefact's folder.

    Raises DataError when it is absent, is not JSON, has unknown, missing or mistyped fields, or contradicts itself.
    """
    path = folder / CONTRACT_FILE
    if not path.is_file():
        raise DataError(
            str(folder),
            expected=f"an artefact: a folder with {MODEL_FILE} and {CONTRACT_FILE}",
            found=f"no {CONTRACT_FILE}",
            remedy="name the folder that `shaper export` wrote",
        )
    try:
        return msgspec.json.decode(path.read_bytes(), type=Contract)
    except (msgspec.MsgspecError, ValueError) as error:
        raise DataError(
            str(path),
            expected=f"a contract of format {FORMAT}",
            found=str(error),
            remedy="export the model again with this version",
        ) from error


def require_pair(contract: Contract, metadata: Mapping[str, str], where: Path) -> None:
    """Raise DataError unless an ONNX file's metadata name this very contract."""
    found = metadata.get(DIGEST_KEY)
    if found != contract.digest:
        raise DataError(
            str(where),
            expected=f"an ONNX file made for the contract {contract.digest[:12]}",
            found=f"one made for {found[:12]}" if found else "one that names no contract",
            remedy=f"put back the {CONTRACT_FILE} that was exported together with it, or export again",
        )
