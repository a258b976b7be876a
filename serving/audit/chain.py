"""One record of the audit trail as a line of text, and what is wrong with a line.

Decided here: the form of a line. It is one JSON object: number, time, kind, the hash of the record before, the body, and a trailer
of fixed width with a check and the hash (SHA-256) of everything before the trailer. As each hash covers the one before, a changed
record fits neither its own hash nor the next record. The check (length, Σ bᵢ and Σ i·bᵢ of the bytes b) says which single byte
was changed, and to what it must be changed back, which the hash then confirms.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

GENESIS = "0" * 64
CHECK, HASH, END = b',"check":"', b'","hash":"', b'"}'
WIDTHS = (8, 12, 16)  # hexadecimal digits of the length and the two sums
TRAILER = len(CHECK) + sum(WIDTHS) + len(HASH) + 64 + len(END)
HEAD = re.compile(rb'\{"n":(\d+),"at_s":[^,]+,"kind":"([a-z-]+)","prev":"([0-9a-f]{64})","body":')


@dataclass(frozen=True)
class Link:
    """Where a chain stands: the number of the last record and its hash."""

    n: int = -1
    hash: str = GENESIS


@dataclass(frozen=True)
class Record:
    """A record as it was read: its number, kind and body, and the hash of the record before."""

    n: int
    kind: str
    body: bytes
    prev: str


@dataclass(frozen=True)
class Fault:
    """What is wrong with a line: bytes `first`..`last` of it (from 0, both included), and in words."""

    first: int
    last: int
    what: str


def line_of(before: Link, at_s: float, kind: str, body: bytes) -> tuple[bytes, Link]:
    """The line of the next record, with its end, and the chain after it."""
    n = before.n + 1
    head = b'{"n":%d,"at_s":%s,"kind":"%s","prev":"%s","body":%s' % (
        n, msgspec.json.encode(at_s), kind.encode(), before.hash.encode(), body,
    )  # fmt: skip
    digest = hashlib.sha256(head).hexdigest()
    return head + trailer(head, digest) + b"\n", Link(n, digest)


def trailer(head: bytes, digest: str) -> bytes:
    """The end of a line."""
    return CHECK + check_of(head) + HASH + digest.encode() + END


def check_of(head: bytes) -> bytes:
    """Length and sums of some bytes."""
    numbers = zip((len(head), *sums(head)), WIDTHS, strict=True)
    return "".join(f"{number:0{width}x}" for number, width in numbers).encode()


def sums(head: bytes) -> tuple[int, int]:
    """Σ bᵢ and Σ i·bᵢ, i from 1."""
    values = np.frombuffer(head, np.uint8).astype(np.int64)
    return int(values.sum()), int((values * np.arange(1, len(values) + 1)).sum())


def fault_of(line: bytes, before: Link) -> Fault | None:
    """What is wrong with a line (without its end) that follows a record; None if nothing is."""
    head, tail = line[:-TRAILER], line[-TRAILER:]
    digest = hashlib.sha256(head).hexdigest()
    if tail != trailer(head, digest):
        return changed(line)
    parsed = HEAD.match(head)
    if parsed is None:
        return Fault(0, len(line) - 1, "it is no record of an audit trail")
    if int(parsed[1]) != before.n + 1 or parsed[3].decode() != before.hash:
        what = f"record {int(parsed[1])} does not follow record {before.n}: records were removed, added or written anew before it"
        return Fault(0, len(line) - 1, what)
    return None


def changed(line: bytes) -> Fault:
    """Where a line that does not fit its own hash was changed: to the byte where the check can tell, else the whole of it."""
    head, tail = line[:-TRAILER], line[-TRAILER:]
    stored = tail[-64 - len(END) : -len(END)]
    digest = hashlib.sha256(head).hexdigest()
    proper = trailer(head, digest)
    if (stored == digest.encode() or tail[:-66] == proper[:-66]) and len(tail) == TRAILER:
        places = [place for place in range(TRAILER) if tail[place] != proper[place]]
        what = f"{tail[places[0]]:#04x} stands where {proper[places[0]]:#04x} belongs"
        return Fault(len(head) + places[0], len(head) + places[-1], what)
    found = single(head, tail)
    if found is not None:
        place, was = found
        return Fault(place, place, f"{head[place]:#04x} stands where {was:#04x} belongs")
    joint = line.find(CHECK)
    if 0 <= joint < len(line) - TRAILER and joint + TRAILER < len(line):
        return Fault(joint + TRAILER, joint + TRAILER, f"{line[joint + TRAILER]:#04x} stands where a line ends")
    return Fault(0, max(len(line) - 1, 0), "several bytes of it were changed, or it was cut")


def single(head: bytes, tail: bytes) -> tuple[int, int] | None:
    """The place of the one byte that was changed and its value before; None if there is not exactly one."""
    digits = tail[len(CHECK) : len(CHECK) + sum(WIDTHS)]
    try:
        length, plain, weighted = (int(part, 16) for part in (digits[:8], digits[8:20], digits[20:]))
    except ValueError:
        return None
    more, much = sums(head)[0] - plain, sums(head)[1] - weighted
    if length != len(head) or more == 0 or much % more != 0 or not 1 <= much // more <= length:
        return None
    place = much // more - 1
    was = head[place] - more
    if not 0 <= was <= 255:
        return None
    mended = head[:place] + bytes([was]) + head[place + 1 :]
    return (place, was) if hashlib.sha256(mended).hexdigest().encode() == tail[-66:-2] else None


def record_of(line: bytes) -> Record:
    """A sound line, read."""
    parsed = HEAD.match(line)
    if parsed is None:
        raise ValueError("expected a sound line")
    return Record(int(parsed[1]), parsed[2].decode(), line[parsed.end() : -TRAILER], parsed[3].decode())


def link_of(line: bytes) -> Link:
    """Where the chain stands after a sound line."""
    return Link(record_of(line).n, line[-66:-2].decode())


def plain(record: Record) -> Any:
    """A record's body as plain values."""
    return json.loads(record.body)
