"""How a refusal is told: HTTP status, Retry-After, and the error object of JSON-RPC.

Decided here: 429 when the account itself asks for too much, 503 when the gateway or all of its upstreams cannot, 504 when an order
was sent and nobody knows what became of it, so that it must not be sent again without asking.
"""

import math
from dataclasses import dataclass

import msgspec

LIMIT_EXCEEDED = -32005  # EIP-1474
PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = (
    -32700,
    -32600,
    -32601,
    -32602,
)  # JSON-RPC 2.0, section 5.1
OUTCOME_UNKNOWN = -32010  # of the range that JSON-RPC leaves to servers


@dataclass(frozen=True, slots=True)
class Refused:
    """Why something was not done, as HTTP and as JSON-RPC have it; `retry_after_s` is None when asking again will not help."""

    status: int
    code: int
    reason: str
    retry_after_s: float | None = None


def too_much(reason: str, retry_after_s: float) -> Refused:
    """The account asks for more than its share."""
    return Refused(429, LIMIT_EXCEEDED, reason, retry_after_s)


def unable(reason: str, retry_after_s: float) -> Refused:
    """The gateway cannot now; the order was not accepted."""
    return Refused(503, LIMIT_EXCEEDED, reason, retry_after_s)


def unknown(reason: str) -> Refused:
    """The order was sent, and no answer says whether it was accepted."""
    return Refused(504, OUTCOME_UNKNOWN, reason)


def invalid(code: int, reason: str, status: int = 400) -> Refused:
    """The request cannot be understood, or is not for this gateway."""
    return Refused(status, code, reason)


def retry_after(refused: Refused) -> list[tuple[bytes, bytes]]:
    """The header Retry-After (RFC 9110, section 10.2.3): whole seconds, at least one."""
    if refused.retry_after_s is None:
        return []
    return [(b"retry-after", b"%d" % max(math.ceil(refused.retry_after_s), 1))]


def as_error(refused: Refused) -> bytes:
    """The error object of JSON-RPC."""
    data = {"reason": refused.reason}
    if refused.retry_after_s is None:
        return msgspec.json.encode({"code": refused.code, "message": refused.reason, "data": data})
    told = {**data, "retry_after_s": round(refused.retry_after_s, 3)}
    return msgspec.json.encode({"code": refused.code, "message": refused.reason, "data": told})


def as_problem(refused: Refused) -> bytes:
    """The same for REST."""
    told = {} if refused.retry_after_s is None else {"retry_after_s": round(refused.retry_after_s, 3)}
    return msgspec.json.encode({"status": refused.status, "detail": refused.reason, **told})
