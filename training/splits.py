"""Which issue times are fitted on, which stop the training, which calibrate, which test.

Decided here: training ends with the issue time whose last label ends at the cut, and between two parts lies an embargo (as
long as the longest horizon unless a run says otherwise), so that no label is seen from both sides.
"""

from dataclasses import dataclass

from data.errors import UsageError


@dataclass(frozen=True)
class Split:
    """Row ranges [start, stop) of issue times, in time order; `test` may be empty."""

    fit: range
    validation: range
    calibration: range
    test: range


@dataclass(frozen=True)
class Spans:
    """Lengths in ticks: validation, calibration, the embargo between parts and the longest horizon."""

    validation: int
    calibration: int
    embargo: int
    horizon: int


def split(first: int, until: int, end: int, spans: Spans) -> Split:
    """Divide issue rows: training may know rows up to and including the tick `until`, the test begins at it.

    Row i is the tick labelled i; rows [first, end) exist. An issue row i has labels up to row i + horizon. Raises UsageError
    when nothing is left to fit on.
    """
    calibration_stop = until - spans.horizon + 1
    calibration_start = calibration_stop - spans.calibration
    validation_stop = calibration_start - spans.embargo
    validation_start = validation_stop - spans.validation
    fit_stop = validation_start - spans.embargo
    if fit_stop <= first:
        needed = spans.validation + spans.calibration + 2 * spans.embargo + spans.horizon + 1
        raise UsageError(
            "data.split",
            expected=f"more than {needed} ticks before the end of training",
            found=f"{max(0, until - first)}",
            remedy="name a later until, an earlier since, or fewer validation_days and calibration_days",
        )
    return Split(
        fit=range(first, fit_stop),
        validation=range(validation_start, validation_stop),
        calibration=range(calibration_start, calibration_stop),
        test=range(min(until, end), end),
    )
