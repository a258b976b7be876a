"""How commands show that they are getting somewhere: one bar on standard error, silent when nobody looks."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Bar:
    """A bar that a callback can move: `bar(done, total)`."""

    def __init__(self, progress: Progress, label: str) -> None:
        self._progress = progress
        self._task = progress.add_task(label, total=None)

    def __call__(self, done: float, total: float) -> None:
        """Show that `done` of `total` is finished."""
        self._progress.update(self._task, completed=done, total=total)

    def share(self, done: float, doing: str) -> None:
        """Show the share 0..1 that is finished, and what is being done."""
        self._progress.update(self._task, completed=done, total=1.0, description=doing)


@contextmanager
def bar(label: str) -> Iterator[Bar]:
    """Show a bar with elapsed and remaining time while the block runs."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as progress:
        yield Bar(progress, label)
