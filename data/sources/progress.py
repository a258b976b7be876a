"""How far a pull is, drawn on standard error: parts, elapsed time, and an estimate of the time that is left."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars


class Drawn:
    """Progress on standard error; use it as a context manager."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.bars = Bars(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[key]}"),
            console=Console(stderr=True),
        )
        self.task = self.bars.add_task(title, total=None, key="asking what there is")

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def begin(self, parts: int, finished: int) -> None:
        """Show the number of parts; those finished earlier do not count for the estimate."""
        self.bars.update(self.task, total=parts, completed=finished, key="")

    def advance(self, key: str) -> None:
        """Show one more part as dealt with."""
        self.bars.update(self.task, advance=1, key=key)
