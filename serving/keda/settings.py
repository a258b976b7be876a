"""What an operator may set of the scaler that KEDA asks: the `[dataplane.keda]` section.

Decided here: it tells one number and takes nothing, so it may listen beyond this machine; with a client authority it answers only
those who have a certificate of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

Rule = tuple[bool, str, str, str]  # whether it holds, what is expected, what was found, how to mend it
WHERE = "dataplane.keda"


@dataclass(frozen=True)
class Keda:
    """Where KEDA asks, and the files (PEM) of the certificate shown to it and of the authority that it must be known to."""

    bind: str = "127.0.0.1:18010"
    certificate: str | None = None
    key: str | None = None
    client_authority: str | None = None

    def resolved(self, folder: Path) -> "Keda":
        """The same with paths made absolute from a folder."""
        names = ("certificate", "key", "client_authority")
        return replace(self, **{name: str(folder / path) for name in names if (path := getattr(self, name))})


def rules(own: Keda) -> Iterator[Rule]:
    """Rules of `[dataplane.keda]`."""
    host, _, port = own.bind.rpartition(":")
    known = bool(host) and port.isascii() and port.isdecimal() and 0 < int(port) < 65536
    yield known, f"{WHERE}.bind as ADDRESS:port", repr(own.bind), "write e.g. 0.0.0.0:18010"
    yield (
        (own.certificate is None) == (own.key is None),
        f"{WHERE}.certificate and {WHERE}.key together",
        "one of them",
        "name both, or neither",
    )
    yield (
        own.client_authority is None or own.certificate is not None,
        f"{WHERE}.client_authority only with a certificate",
        "no certificate",
        "name one, or remove client_authority",
    )
