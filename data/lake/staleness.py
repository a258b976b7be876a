"""Feeds that have stopped: lanes that end long before others of the same period, or before a wall clock.

Decided here: against the other lanes it is a note (a history may simply be that way), against a clock a fault.
"""

from datetime import datetime, timedelta

from data.lake.coverage import Lane, periods
from data.lake.terminal import short

LEAST = timedelta(days=1)
STEPS = 3.0


def stopped(lanes: tuple[Lane, ...]) -> dict[str, list[str]]:
    """Notes by table: lanes that end more than a day, and more than three of their steps, before the newest of their period."""
    notes: dict[str, list[str]] = {}
    for _, newest, own in periods(lanes):
        for lane in own:
            late = newest - lane.last
            if late > max(LEAST, timedelta(seconds=STEPS * lane.step_s)):
                notes.setdefault(lane.table, []).append(
                    f"{prefix(lane)}stale: ends {short(late)} before the newest row of its period"
                )
    return notes


def overdue(lanes: tuple[Lane, ...], now: datetime, most: timedelta) -> dict[str, list[str]]:
    """Faults by table: lanes whose newest row is older than allowed, or from the future by more than a minute."""
    faults: dict[str, list[str]] = {}
    for lane in lanes:
        age = now - lane.last
        if age > most:
            faults.setdefault(lane.table, []).append(f"{prefix(lane)}stale: the newest row is {short(age)} old")
        elif age < -timedelta(minutes=1):
            faults.setdefault(lane.table, []).append(f"{prefix(lane)}the newest row is {short(-age)} in the future")
    return faults


def prefix(lane: Lane) -> str:
    """Name of a chain or symbol before a sentence."""
    return f"{lane.entity}: " if lane.entity else ""
