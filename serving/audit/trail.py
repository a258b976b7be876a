"""The audit trail of a running sidecar: told on the event loop, written by a thread of its own.

Decided here: nothing waits for the disk. While writing fails, or falls behind, records wait in memory up to a bound; those beyond
it are counted, and the trail itself says how many are missing, so that a gap is never silent. Refusals are counted between
two plans and recorded together, so that a stranger who is refused all the time does not push plans out of the files.
"""

import logging
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple

import msgspec

from serving.audit.files import Entry, Files
from serving.audit.records import described, planned
from shaper.decision import Inputs
from shaper.plan import Plan
from shaper.venue import Venue

LOG = logging.getLogger(__name__)
MOST_WAITING = 2000


class Waiting(NamedTuple):
    """A record that is yet to be written."""

    at_s: float
    kind: str
    body: bytes


@dataclass
class Trail:
    """An open trail and what waits to be written into it; `fault` says what is wrong now."""

    files: Files
    fault: str | None = None
    lost: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    first_refusals: dict[str, str] = field(default_factory=dict)
    venue: Entry | None = None
    digest: str = ""
    waiting: deque[Waiting] = field(default_factory=deque)
    due: bool = False
    lock: Lock = field(default_factory=Lock)
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="audit"))

    def __post_init__(self) -> None:
        """Begin each file with the venue that its plans refer to."""
        self.files.preamble = lambda: [] if self.venue is None else [self.venue]

    def start(self, at_s: float, venue: Venue, told: object) -> None:
        """Record that a process has started, with what it runs, and what a crash had torn off."""
        if self.files.cut_bytes:
            LOG.warning("audit: %d bytes of a torn last record were cut off", self.files.cut_bytes)
            self.record(at_s, "cut", {"bytes": self.files.cut_bytes})
        self.record(at_s, "start", told)
        self.settle(at_s, venue)

    def settle(self, at_s: float, venue: Venue) -> None:
        """Record the venue that plans are for from now on."""
        self.digest, body = described(venue)
        self.put(Waiting(at_s, "venue", body))

    def plan(self, inputs: Inputs, plan: Plan) -> None:
        """Record a plan, and what was refused since the one before."""
        at_s = plan.valid_from_s
        for kind, count in self.refused.items():
            self.record(at_s, "refusal", {"of": kind, "count": count, "first": self.first_refusals[kind]})
        self.refused, self.first_refusals = Counter(), {}
        self.put(Waiting(at_s, "plan", planned(self.digest, inputs, plan)))

    def refusal(self, kind: str, why: str) -> None:
        """Count something that was refused."""
        self.refused[kind] += 1
        self.first_refusals.setdefault(kind, why[:500])

    def record(self, at_s: float, kind: str, told: object) -> None:
        """Record anything else that was decided."""
        self.put(Waiting(at_s, kind, msgspec.json.encode(told)))

    def put(self, entry: Waiting) -> None:
        """Have an entry written, after those before it; where some are missing, that is written in their place."""
        with self.lock:
            if len(self.waiting) >= MOST_WAITING:
                self.lost += 1
            else:
                if self.lost:
                    self.waiting.append(Waiting(entry.at_s, "gap", msgspec.json.encode({"lost": self.lost})))
                    self.lost = 0
                self.waiting.append(entry)
            due, self.due = self.due, True
        if (
            not due
        ):  # a writer that has not begun yet will see this entry too, so that calls do not pile up behind a slow disk
            self.thread.submit(self.drain)

    def drain(self) -> None:
        """Write all that waits, as far as the disk takes it."""
        with self.lock:
            self.due = False
        try:
            while self.waiting:
                entry = self.waiting[0]
                if entry.kind == "venue":
                    self.venue = (entry.kind, entry.body)
                self.files.append(*entry)
                self.waiting.popleft()
            self.files.sync()
        except Exception as error:
            if self.fault is None:
                LOG.exception("the audit trail cannot be written")
            self.fault = f"cannot be written: {error}; {len(self.waiting)} records wait, {self.lost} are lost"
            return
        self.fault = None

    def close(self) -> None:
        """Write what waits and close the files."""
        self.thread.submit(self.drain)
        self.thread.shutdown()
        self.files.close()
