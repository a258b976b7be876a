"""What an operator may set of leases: the `[leases]` section.

Decided here: `replicas` is a promise, not an observation: a sidecar that is cut off cannot count the others.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

Rule = tuple[bool, str, str, str]  # whether it holds, what is expected, what was found, how to mend it


@dataclass(frozen=True)
class Leases:
    """Where leases are kept (`redis://` or `rediss://`), and how many sidecars ever run at once.

    A lease lasts `ttl_s`; sidecars of one `scope` share one capacity. `password_file` holds the password, if there is one.
    """

    url: str
    replicas: int
    ttl_s: float = 3.0
    scope: str = "shaper"
    password_file: str | None = None

    def resolved(self, folder: Path) -> "Leases":
        """The same with paths made absolute from a folder."""
        return replace(self, password_file=self.password_file and str(folder / self.password_file))


def rules(own: Leases) -> Iterator[Rule]:
    """Rules of `[leases]`."""
    known = own.url.startswith(("redis://", "rediss://"))
    yield known, "leases.url as redis:// or rediss://", repr(own.url), "correct it"
    yield (
        1 <= own.replicas <= 10_000,
        "leases.replicas from 1 to 10000",
        str(own.replicas),
        "the most that ever run at once",
    )
    yield 0.3 <= own.ttl_s <= 600, "leases.ttl_s from 0.3 to 600 s", str(own.ttl_s), "3.0 suits most"
