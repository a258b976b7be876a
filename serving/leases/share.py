"""What part of the capacity a sidecar may use now. Arithmetic on one clock that never jumps; nothing here knows of Redis.

Decided here: how a sidecar that hears nothing stays within the whole, whatever the others do. With N sidecars the safe share is
1/N. A lease above it ends to the safe share before the store forgets the lease. A lease below it was lent to others, who may hold
what they were given on the strength of it for one more lease: only after that is the safe share taken back. A sidecar that has
just started may have lent its share in an earlier life, and begins with nothing for as long.
(Leases: Gray and Cheriton 1989; here the store grants, and each holder alone decides when its own lease is over.)
"""

from dataclasses import dataclass, replace

DRIFT = 0.1  # of a lease: for clocks of another speed, and for the time until a proxy does as it is told


@dataclass(frozen=True)
class Share:
    """`held` of 1 under a lease until `until_s`; without one the safe share from `rise_s` on, no more than was held before.

    Times are seconds of the caller's monotonic clock.
    """

    safe: float
    ttl_s: float
    held: float
    until_s: float
    rise_s: float

    @classmethod
    def begun(cls, replicas: int, ttl_s: float, now_s: float) -> "Share":
        """That of a sidecar which has just started."""
        return cls(1.0 / replicas, ttl_s, 0.0, now_s, now_s + 2 * ttl_s * (1 + DRIFT))

    def now(self, now_s: float) -> float:
        """The part of the capacity that may be used at a time."""
        if now_s < self.until_s:
            return self.held
        return self.safe if now_s >= self.rise_s else min(self.held, self.safe)

    def asked(self, sent_s: float, timeout_s: float) -> "Share":
        """After a request was sent that the store does not act upon later than `timeout_s`, whether it answers or not."""
        if self.now(sent_s) >= self.safe:
            return self
        return replace(self, rise_s=max(self.rise_s, sent_s + timeout_s + self.two_leases_s))

    def granted(self, share: float, sent_s: float, heard_s: float) -> "Share":
        """After the store granted a share on a request of `sent_s`."""
        return replace(self, held=share, until_s=sent_s + self.ttl_s * (1 - DRIFT), rise_s=heard_s + self.two_leases_s)

    def refused(self, now_s: float) -> "Share":
        """After the store said that there are more sidecars than were promised: nothing, for as long as it says so."""
        return replace(self, held=0.0, until_s=now_s, rise_s=now_s + self.two_leases_s)

    @property
    def two_leases_s(self) -> float:
        """How long a share that was lent may be in use by others: the lender's lease, and one that was granted at its end."""
        return 2 * self.ttl_s * (1 + DRIFT)
