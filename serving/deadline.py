"""A job that may take too long: it is given up at its deadline, and what it answers later is thrown away.

Decided here: jobs are done in a thread that is kept for the next one and does not keep the process alive. A job cannot be
ended: nothing is asked before it has, so that one that crawls holds one thread and no more.
"""

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class LateError(RuntimeError):
    """A job that had not ended at its deadline."""


class Outcome(NamedTuple):
    """What a job came to."""

    value: Any = None
    error: BaseException | None = None


Outcomes = SimpleQueue[Outcome]
Jobs = SimpleQueue[tuple[Callable[[], Any], Outcomes] | None]


@dataclass
class Deadline:
    """A worker of one job at a time, each within `limit_s`; `under_way` gets the outcome of a job that was given up."""

    limit_s: float
    jobs: Jobs | None = None
    under_way: Outcomes | None = None

    def call(self, job: Callable[[], T]) -> T:
        """What the job returns or raises. Raises LateError when it takes too long, or when an earlier one has not ended yet."""
        if self.under_way is not None and self.under_way.empty():
            raise LateError("an earlier answer has not come yet")
        self.under_way = outcomes = Outcomes()
        self.worker().put((job, outcomes))
        try:
            outcome = outcomes.get(timeout=self.limit_s)
        except Empty:
            raise LateError(f"no answer within {self.limit_s:g} s") from None
        self.under_way = None
        if outcome.error is not None:
            raise outcome.error
        return outcome.value  # type: ignore[no-any-return]  # it has ended, so this is what it returned

    def worker(self) -> Jobs:
        """Where the thread takes its jobs from; it ends when nobody can ask any more."""
        if self.jobs is None:
            self.jobs = Jobs()
            weakref.finalize(self, self.jobs.put, None)
            threading.Thread(target=work, args=(self.jobs,), name="shaper-model", daemon=True).start()
        return self.jobs


def work(jobs: Jobs) -> None:
    """Do one job after the other; nothing of one is held while the next is waited for."""
    while (asked := jobs.get()) is not None:
        asked[1].put(done(asked[0]))
        del asked


def done(job: Callable[[], Any]) -> Outcome:
    """What a job comes to."""
    try:
        return Outcome(job())
    except BaseException as error:  # raised again where the outcome is read
        return Outcome(error=error)
