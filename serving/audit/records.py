"""What the audit trail says: plans with all that they were made of, venues, and whatever else was decided or refused.

Decided here: the bodies of records. A venue is written once a file and named by its digest; forecast, measurement, leash and pins
are written with each plan, so that it can be recomputed from its record and its venue alone.
"""

import hashlib

import msgspec

from shaper.decision import Inputs
from shaper.plan import Plan
from shaper.venue import Venue


class Planned(msgspec.Struct, frozen=True):
    """A plan, and what it was made of; `venue` is a digest, `plan` the bytes that were given out."""

    venue: str
    inputs: Inputs
    plan: msgspec.Raw


class Described(msgspec.Struct, frozen=True):
    """A venue and its digest."""

    digest: str
    venue: msgspec.Raw


def planned(digest: str, inputs: Inputs, plan: Plan) -> bytes:
    """The body of a plan's record."""
    return msgspec.json.encode(Planned(digest, inputs, msgspec.Raw(msgspec.json.encode(plan))))


def described(venue: Venue) -> tuple[str, bytes]:
    """The digest of a venue, and the body of its record."""
    text = msgspec.json.encode(venue)
    digest = hashlib.sha256(text).hexdigest()
    return digest, msgspec.json.encode(Described(digest, msgspec.Raw(text)))


def venue_of(body: bytes) -> tuple[str, Venue]:
    """The digest and the venue of a venue's record."""
    read = msgspec.json.decode(body, type=Described)
    return read.digest, msgspec.json.decode(read.venue, type=Venue)
