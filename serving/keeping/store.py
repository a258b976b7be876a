"""The folder of the kept state: one snapshot, replaced whole, and journals of the rows that came after it.

Decided here: a snapshot is believed only when its checksum fits, a journal entry likewise, up to the first that does not. Journals
are numbered: a snapshot names the first that is not in it, so that a crash at any moment leaves a snapshot and every journal
that belongs after it.
"""

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec
from filelock import BaseFileLock

from serving.audit.files import replace_file
from serving.keeping.kept import FORM, Kept
from serving.ownership import own

MAGIC = b"shaper state\n"
SNAPSHOT = "snapshot"
FRAME = struct.Struct("<II")  # length and CRC-32 of an entry
Rows = dict[str, bytes]


@dataclass
class Store:
    """A folder; `generation` is the journal that rows go to now, of `size` bytes so far, `older` the bytes of those before."""

    folder: Path
    generation: int = 0
    stream: IO[bytes] | None = None
    size: int = 0
    older: int = 0
    lock: BaseFileLock | None = None

    @classmethod
    def open(cls, folder: Path) -> "Store":
        """The store of a folder, which is made where there is none. Raises DataError when it cannot be had."""
        store = cls(folder, lock=own(folder, "state.folder"))
        store.turn(max(map(number, store.journals()), default=0) + 1)
        return store

    @property
    def total(self) -> int:
        """Bytes of all journals."""
        return self.older + self.size

    def weigh(self) -> None:
        """Count the bytes of the journals before this one."""
        self.older = sum(path.stat().st_size for path in self.journals() if number(path) < self.generation)

    def journals(self) -> list[Path]:
        """All journals, oldest first."""
        return sorted(self.folder.glob("rows-*"), key=number)

    def load(self) -> tuple[Kept | None, str | None]:
        """The snapshot, and what is wrong with the one there is (None: nothing)."""
        path = self.folder / SNAPSHOT
        if not path.exists():
            return None, None
        try:
            content = path.read_bytes()
            payload = content[len(MAGIC) + 32 :]
            if not content.startswith(MAGIC) or content[len(MAGIC) :][:32] != hashlib.sha256(payload).digest():
                return None, "its checksum does not fit"
            kept = msgspec.msgpack.decode(payload, type=Kept)
        except (OSError, msgspec.MsgspecError) as error:
            return None, str(error)
        return (kept, None) if kept.form == FORM else (None, f"it has form {kept.form}, not {FORM}")

    def entries(self, generation: int) -> Iterator[Rows]:
        """What the journals from a generation on hold, oldest first; each up to the first entry that is torn."""
        for path in self.journals():
            if number(path) >= generation:
                yield from entries_of(path.read_bytes())

    def append(self, rows: Rows) -> None:
        """Put rows into the journal of now. Raises OSError, and has then added nothing that would be read."""
        if self.stream is None:
            self.stream, self.size = (self.folder / f"rows-{self.generation}").open("ab", buffering=0), 0
        payload = msgspec.msgpack.encode(rows)
        entry = FRAME.pack(len(payload), zlib.crc32(payload)) + payload
        try:
            if self.stream.write(entry) != len(entry):
                raise OSError("the disk took only a part")
        except OSError:
            self.stream.truncate(self.size)
            raise
        self.size += len(entry)

    def turn(self, generation: int) -> None:
        """Begin another journal."""
        try:
            self.close_journal()
        finally:
            self.generation = generation
        self.weigh()

    def save(self, payload: bytes, generation: int) -> None:
        """Put a snapshot in place, and drop the journals that are in it. Raises OSError, and has changed nothing then."""
        replace_file(self.folder / SNAPSHOT, MAGIC + hashlib.sha256(payload).digest() + payload)
        for path in self.journals():
            if number(path) < generation:
                path.unlink()
        self.weigh()

    def close(self) -> None:
        """Close the journal, and let others have the folder."""
        self.close_journal()
        if self.lock is not None:
            self.lock.release()

    def close_journal(self) -> None:
        """Close the journal."""
        if self.stream is not None:
            stream, self.stream, self.size = self.stream, None, 0
            with stream:
                os.fsync(stream.fileno())


def number(path: Path) -> int:
    """The number of a journal."""
    tail = path.name.rpartition("-")[2]
    return int(tail) if tail.isdecimal() else -1


def entries_of(content: bytes) -> Iterator[Rows]:
    """The whole entries at the beginning of a journal."""
    place = 0
    while place + FRAME.size <= len(content):
        length, checksum = FRAME.unpack_from(content, place)
        payload = content[place + FRAME.size :][:length]
        if len(payload) < length or zlib.crc32(payload) != checksum:
            return
        yield msgspec.msgpack.decode(payload, type=Rows)
        place += FRAME.size + length
