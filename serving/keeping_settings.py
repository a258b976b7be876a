"""`[audit]` and `[state]`: what is written down, and where."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Audit:
    """Where every plan is recorded (None: nowhere), in how many files of what size at the most."""

    folder: str | None = None
    file_mb: int = 16
    files: int = 64


def audit_rules(audit: Audit) -> Iterator[tuple[bool, str, str, str]]:
    """Rules of `[audit]`."""
    yield 1 <= audit.file_mb <= 1024, "audit.file_mb from 1 to 1024 MB", str(audit.file_mb), "16 suits most"
    yield audit.files >= 2, "audit.files of at least 2", str(audit.files), "64 suits most"


@dataclass(frozen=True)
class State:
    """Where the state is kept (None: nowhere), how often, and after how many MB of posted rows at the latest.

    A history that is played needs none: it starts where it is told to.
    """

    folder: str | None = None
    every_s: float = 60.0
    journal_mb: int = 16


def state_rules(state: State) -> Iterator[tuple[bool, str, str, str]]:
    """Rules of `[state]`."""
    yield 1 <= state.every_s <= 3600, "state.every_s from 1 to 3600 s", str(state.every_s), "60 suits most"
    yield 1 <= state.journal_mb <= 1024, "state.journal_mb from 1 to 1024 MB", str(state.journal_mb), "16 suits most"
