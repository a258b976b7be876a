"""The files of an audit trail: appended to, turned over at a size, the oldest dropped.

Decided here: a file is named by its first record and begins with what its records refer to, so that each can be read without those
before; before a file is dropped, its end is kept as the chain's anchor; a last line that a crash has torn is cut off, which is
recorded; and after a failed write nothing of it stays in the file.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import msgspec
from filelock import BaseFileLock

from data.errors import DataError
from serving.audit.chain import Link, fault_of, line_of, link_of
from serving.ownership import own

PATTERN = f"audit-{'[0-9]' * 12}.ndjson"
ANCHOR = "anchor.json"
Entry = tuple[str, bytes]  # kind and body


class Anchor(msgspec.Struct, frozen=True):
    """Where the chain stood at the end of the last file that was dropped."""

    n: int
    hash: str


@dataclass(frozen=True)
class Limits:
    """How large a file may become, and how many there are."""

    file_bytes: int = 16 * 2**20
    files: int = 64


@dataclass
class Files:
    """An open trail. `preamble` gives the entries that each file begins with."""

    folder: Path
    limits: Limits = Limits()
    preamble: Callable[[], Iterable[Entry]] = tuple
    link: Link = field(default_factory=Link)
    stream: IO[bytes] | None = None
    size: int = 0
    cut_bytes: int = 0
    lock: BaseFileLock | None = None

    @classmethod
    def open(cls, folder: Path, limits: Limits | None = None) -> "Files":
        """Go on with the trail of a folder, or begin one; `cut_bytes` of a torn last line were removed.

        Raises DataError when the folder cannot be used or its last file is not what this program wrote.
        """
        opened = cls(folder, limits or Limits(), lock=own(folder, "audit.folder"))
        try:
            opened.resume()
        except OSError as error:
            raise DataError(
                str(folder), expected="a trail that can be read", found=str(error), remedy="correct audit.folder"
            ) from error
        return opened

    def resume(self) -> None:
        """Find the end of the last file that has a record. Raises DataError when its last whole line is not sound."""
        self.link = anchored(self.folder)
        for path in paths(self.folder):
            if first_of(path) <= self.link.n:  # its end is the anchor already
                path.unlink()
        for path in reversed(paths(self.folder)):
            content = path.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            self.cut_bytes += len(content) - len(whole)
            if len(content) > len(whole):
                os.truncate(path, len(whole))
            if not whole:
                path.unlink()
                continue
            self.link = ended(path, whole)
            self.stream, self.size = path.open("ab", buffering=0), len(whole)
            return

    def append(self, at_s: float, kind: str, body: bytes) -> None:
        """Write one record, in a new file when this one is full. Raises OSError, and has written nothing then."""
        if self.stream is None or self.size >= self.limits.file_bytes:
            self.turn(at_s)
        self.write(at_s, kind, body)

    def write(self, at_s: float, kind: str, body: bytes) -> None:
        """Write one record into the open file, whole or not at all."""
        stream = self.stream
        if stream is None:
            raise ValueError("expected an open file")
        line, after = line_of(self.link, at_s, kind, body)
        try:
            written = stream.write(line)
            if written != len(line):
                raise OSError(f"wrote {written} of {len(line)} bytes")
        except OSError:
            stream.truncate(self.size)
            raise
        self.link, self.size = after, self.size + len(line)

    def sync(self) -> None:
        """Have what was written survive a loss of power."""
        if self.stream is not None:
            os.fsync(self.stream.fileno())

    def turn(self, at_s: float) -> None:
        """Go on in a new file; the oldest are dropped."""
        self.close_file()
        before, path = self.link, self.folder / f"audit-{self.link.n + 1:012d}.ndjson"
        self.stream, self.size = path.open("ab", buffering=0), 0
        try:
            for kind, body in self.preamble():
                self.write(at_s, kind, body)
        except OSError:
            path.unlink()
            self.stream.close()
            self.stream, self.link = None, before
            raise
        for oldest in paths(self.folder)[: -self.limits.files]:
            drop(self.folder, oldest)

    def close_file(self) -> None:
        """Close the open file."""
        if self.stream is not None:
            self.sync()
            self.stream.close()
            self.stream = None

    def close(self) -> None:
        """Close the trail, and let others have its folder."""
        self.close_file()
        if self.lock is not None:
            self.lock.release()


def paths(folder: Path) -> list[Path]:
    """The files of a trail, oldest first."""
    return sorted(folder.glob(PATTERN))


def first_of(path: Path) -> int:
    """The number of a file's first record, which its name tells."""
    return int(path.stem.rpartition("-")[2])


def anchored(folder: Path) -> Link:
    """Where the chain stood before the oldest file there is. Raises DataError when that is unreadable."""
    path = folder / ANCHOR
    if not path.exists():
        return Link()
    try:
        anchor = msgspec.json.decode(path.read_bytes(), type=Anchor)
    except (OSError, msgspec.MsgspecError) as error:
        raise DataError(str(path), expected="the chain's anchor", found=str(error), remedy="restore it") from error
    return Link(anchor.n, anchor.hash)


def ended(path: Path, content: bytes) -> Link:
    """Where the chain stands at the end of a file. Raises DataError when the last line is not sound."""
    last = content[:-1].rpartition(b"\n")[2]
    try:
        before = Link(link_of(last).n - 1, last[last.index(b'"prev":"') + 8 :][:64].decode())
        fault = fault_of(last, before)
    except ValueError as error:
        raise unsound(path, str(error)) from error
    if fault is not None:
        raise unsound(path, fault.what)
    return link_of(last)


def unsound(path: Path, found: str) -> DataError:
    """The error of a trail that cannot be continued."""
    return DataError(
        str(path),
        expected="a last record that is sound",
        found=found,
        remedy=f"run `shaper audit verify {path.parent}`, and move the folder away to begin another",
    )


def drop(folder: Path, path: Path) -> None:
    """Remove a file of the trail, its end kept as the anchor first."""
    link = link_of(path.read_bytes()[:-1].rpartition(b"\n")[2])
    replace_file(folder / ANCHOR, msgspec.json.encode(Anchor(link.n, link.hash)))
    path.unlink()


def replace_file(path: Path, content: bytes) -> None:
    """Put a file in place whole: written beside, synchronised, renamed."""
    beside = path.with_suffix(f"{path.suffix}.new")
    try:
        with beside.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
