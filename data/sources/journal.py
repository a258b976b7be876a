"""The record of finished parts, by which a pull that was killed goes on where it stood.

Decided here: a line is written only after the rows of its part are in the lake, so that a part is at worst pulled
twice (appending is idempotent) and never lost. A line torn by a kill is ignored.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec


class Entry(msgspec.Struct, frozen=True):
    """One finished part: its key, the rows it held, when it was finished (ISO 8601, UTC)."""

    key: str
    rows: int
    finished: str


@dataclass(frozen=True)
class Journal:
    """One file of JSON lines."""

    path: Path

    def finished(self) -> frozenset[str]:
        """Keys of the parts that need not be pulled again."""
        if not self.path.exists():
            return frozenset()
        return frozenset(entry.key for entry in map(readable, self.path.read_bytes().splitlines()) if entry)

    def add(self, entry: Entry) -> None:
        """Append one line and see it on the disk."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = msgspec.json.encode(entry) + b"\n"
        with self.path.open("ab+") as file:
            # One write a line: two pulls into one lake do not mix their lines.
            file.write(line if ends_whole(self.path) else b"\n" + line)
            file.flush()
            os.fsync(file.fileno())


def readable(line: bytes) -> Entry | None:
    """The entry of a line, None for a torn one."""
    try:
        return msgspec.json.decode(line, type=Entry)
    except msgspec.DecodeError:
        return None


def ends_whole(path: Path) -> bool:
    """Whether a file is empty or ends with a whole line."""
    if not path.stat().st_size:
        return True
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
