"""The log: lines for people, or one JSON object a line for machines.

Decided here: the names of the fields. What a line is about comes as a field of its own (`plan`, `order`, `part`), so that the lines
of one plan or one order can be found; a plan's identity is the beginning of the digest of its JSON, as `/v1/plan` answers it.
"""

import hashlib
import logging
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import msgspec

TEXT = "%(asctime)s %(levelname)s %(message)s"
OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}  # all else was given as a field


@dataclass(frozen=True)
class Log:
    """How the log is written, and from which level on."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


class TextLines(logging.Formatter):
    """A record as a line for people; what others sent cannot begin a line of its own or move a terminal's cursor."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (the name of the standard library)
        """The line of a record, without its exception."""
        line = super().formatMessage(record)
        return line if line.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


class JsonLines(logging.Formatter):
    """A record as one line of JSON: time, level, logger, message, exception, and the fields that it was given."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        given = {name: value for name, value in vars(record).items() if name not in OWN and value is not None}
        return msgspec.json.encode({**given, **line}, enc_hook=str).decode()


def begin(log: Log) -> None:
    """Write the log of this process to standard error from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if log.format == "json" else TextLines(TEXT))
    logging.basicConfig(level=log.level.upper(), handlers=[handler])


def plan_id(plan: bytes) -> str:
    """The identity of a plan, given as JSON."""
    return hashlib.sha256(plan).hexdigest()[:12]
