"""A job that may take too long: it is given up at its deadline, and what it answers later is thrown away.

Decided here: a job that cannot be ended goes on in a thread of its own that does not keep the process alive, and nothing is
asked of the same worker before it has ended, so that one that crawls holds one thread and no more.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


class LateError(RuntimeError):
    """A job that had not ended at its deadline."""


@dataclass
class Outcome(Generic[T]):
    """What a job came to, once it has ended."""

    value: T | None = None
    error: BaseException | None = None


@dataclass
class Deadline:
    """A worker of one job at a time, each within `limit_s`."""

    limit_s: float
    under_way: threading.Thread | None = None

    def call(self, job: Callable[[], T]) -> T:
        """What the job returns or raises. Raises LateError when it takes too long, or when an earlier one has not ended yet."""
        if self.under_way is not None and self.under_way.is_alive():
            raise LateError("an earlier answer has not come yet")
        outcome: Outcome[T] = Outcome()
        self.under_way = threading.Thread(target=work, args=(job, outcome), name="shaper-model", daemon=True)
        self.under_way.start()
        self.under_way.join(self.limit_s)
        if self.under_way.is_alive():
            raise LateError(f"no answer within {self.limit_s:g} s")
        if outcome.error is not None:
            raise outcome.error
        return outcome.value  # type: ignore[return-value]  # it has ended, so this is what it returned


def work(job: Callable[[], T], outcome: Outcome[T]) -> None:
    """Do a job and keep what it came to."""
    try:
        outcome.value = job()
    except BaseException as error:  # raised again where the outcome is read
        outcome.error = error
