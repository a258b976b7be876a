"""What the sidecar answers with an error.

DataError             input from outside that cannot be used (`data.errors`)
├── UsageError        a configuration written wrongly: `shaper serve` ends with status 2
└── RefusedError      a request that cannot be used: HTTP status 422, or the one it carries
"""

from data.errors import DataError


class RefusedError(DataError):
    """A request that was refused whole; `status` is the HTTP status."""

    def __init__(self, where: str, *, expected: str, found: str, remedy: str, status: int = 422) -> None:
        super().__init__(where, expected=expected, found=found, remedy=remedy)
        self.status = status
