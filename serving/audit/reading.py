"""Reading a trail back: whether it is whole, and whether its plans follow from what they were made of.

Decided here: the first fault ends the reading, for nothing after it can be relied on; and a plan counts as recomputed only when
its bytes are the recorded ones.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from data.errors import DataError
from serving.audit.chain import Link, Record, fault_of, link_of, record_of
from serving.audit.files import anchored, first_of, paths
from serving.audit.records import Planned, venue_of
from shaper.decision import decided
from shaper.venue import Venue


@dataclass(frozen=True)
class Place:
    """A line of a file of a trail: number from 1, and where its first byte is."""

    path: Path
    line: int
    offset: int

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}"


@dataclass
class Summary:
    """What a trail holds: records by kind, files, and the hash of the last record."""

    kinds: Counter[str] = field(default_factory=Counter)
    files: int = 0
    recomputed: int = 0
    link: Link = field(default_factory=Link)


class TamperedError(DataError):
    """A trail whose bytes are not those that were written."""


def records(folder: Path, summary: Summary) -> Iterator[tuple[Place, Record]]:
    """The records of a trail, each checked, in order; counts them.

    Raises TamperedError, which says where, at the first line that is not as it was written; DataError for a folder without a trail.
    """
    files = [path for path in paths(folder) if first_of(path) > anchored(folder).n]
    if not files:
        raise DataError(str(folder), expected="files of an audit trail", found="none", remedy="name audit.folder")
    summary.link = anchored(folder)
    for path in files:
        summary.files += 1
        if first_of(path) != summary.link.n + 1:
            raise TamperedError(
                str(path), expected=f"a file that begins with record {summary.link.n + 1}",
                found=f"one that begins with {first_of(path)}", remedy="restore the files between",
            )  # fmt: skip
        for place, line in lines(path):
            fault = fault_of(line, summary.link)
            if fault is not None:
                first, last = place.offset + fault.first, place.offset + fault.last
                where = f"byte {first}" if first == last else f"bytes {first} to {last}"
                raise TamperedError(
                    f"{place}, {where}", expected="what was written", found=fault.what, remedy="restore the file"
                )
            summary.link = link_of(line)
            record = record_of(line)
            summary.kinds[record.kind] += 1
            yield place, record


def lines(path: Path) -> Iterator[tuple[Place, bytes]]:
    """The lines of a file without their ends, and where each is."""
    offset = 0
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            yield Place(path, number, offset), line.removesuffix(b"\n")
            offset += len(line)


def verify(folder: Path, head: str | None = None) -> Summary:
    """Read a whole trail; `head` is the hash that its last record is to have. Raises TamperedError or DataError."""
    summary = Summary()
    for _ in records(folder, summary):
        pass
    if head is not None and summary.link.hash != head:
        raise TamperedError(
            str(folder), expected=f"a last record with hash {head}", found=summary.link.hash,
            remedy="restore the records that were cut off",
        )  # fmt: skip
    return summary


def replay(folder: Path) -> Summary:
    """Recompute every plan of a trail from what it was made of.

    Raises TamperedError or DataError as `verify`, and DataError at the first plan that comes out otherwise.
    """
    summary, venues = Summary(), dict[str, Venue]()
    for place, record in records(folder, summary):
        if record.kind == "venue":
            digest, venue = venue_of(record.body)
            venues[digest] = venue
        if record.kind != "plan":
            continue
        planned = msgspec.json.decode(record.body, type=Planned)
        if planned.venue not in venues:
            raise DataError(
                str(place), expected=f"venue {planned.venue} before it", found="none", remedy="restore the file"
            )
        made = msgspec.json.encode(decided(venues[planned.venue], planned.inputs))
        if made != bytes(planned.plan):
            raise DataError(
                str(place), expected="the recorded plan", found=f"another, {differs(bytes(planned.plan), made)}",
                remedy="replay with the version that made it, which the start records name",
            )  # fmt: skip
        summary.recomputed += 1
    return summary


def differs(recorded: bytes, made: bytes) -> str:
    """Where two texts part."""
    pairs = enumerate(zip(recorded, made, strict=False))
    place = next((i for i, (a, b) in pairs if a != b), min(len(recorded), len(made)))
    was, now = (text[place : place + 40].decode(errors="replace") for text in (recorded, made))
    return f"{now!r} in place of {was!r}"
