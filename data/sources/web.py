"""HTTP with manners: pauses that a server asks for, another try where it may help, and faults told apart.

Decided here: which answers are worth another try (429, 418, 408, 425, 5xx, timeouts, broken connections), how long to
wait for it (Retry-After of RFC 9110 section 10.2.3, else exponential), and that a pause holds for every request.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from data.errors import DataError

Answer = TypeVar("Answer")
Sleep = Callable[[float], Awaitable[None]]
Parameters = Mapping[str, str | int]

OK, NOT_FOUND, TOO_MANY, BANNED, OUT_OF_REGION, SERVER_FAULT = 200, 404, 429, 418, 451, 500
WORTH_ANOTHER_TRY = frozenset({408, 425, TOO_MANY, BANNED})
AS_IS = {"accept-encoding": "identity"}  # checksums are of the file, not of a compressed copy of it
RUN_AGAIN = "run the same command again: finished parts are kept"


class TransientError(Exception):
    """A fault that another try may mend; `wait_s` is the pause the server asked for, 0 when it named none."""

    def __init__(self, found: str, wait_s: float = 0.0) -> None:
        super().__init__(found)
        self.wait_s = wait_s


class AbsentError(Exception):
    """The server is well and has no such file."""


@dataclass(frozen=True)
class Manners:
    """How to behave towards one server. Times in seconds; `per_second` bounds the rate of requests (0: no bound).

    `breather` reads the headers of an answer and returns the pause they call for, for servers that count weights.
    """

    attempts: int = 6
    concurrency: int = 4
    timeout_s: float = 30.0
    first_wait_s: float = 0.5
    longest_wait_s: float = 300.0
    per_second: float = 0.0
    breather: Callable[[Mapping[str, str]], float] | None = None


class Gate:
    """Spaces requests evenly and holds all of them back while a pause lasts."""

    def __init__(self, per_second: float, sleep: Sleep, clock: Callable[[], float] = time.monotonic) -> None:
        self.spacing_s = 1.0 / per_second if per_second > 0 else 0.0
        self.sleep = sleep
        self.clock = clock
        self.open_at = 0.0
        self.next_at = 0.0

    def pause(self, seconds: float) -> None:
        """Let nothing through for that long."""
        self.open_at = max(self.open_at, self.clock() + seconds)

    async def wait(self) -> None:
        """Return when the next request may go."""
        turn = max(self.next_at, self.clock())
        self.next_at = turn + self.spacing_s
        # A pause may be asked for while this request is already waiting for its turn.
        while (left := max(turn, self.open_at) - self.clock()) > 0:
            await self.sleep(left)


class Web:
    """A client for one server; use it as an async context manager."""

    def __init__(self, manners: Manners | None = None, sleep: Sleep = asyncio.sleep) -> None:
        self.manners = manners or Manners()
        self.sleep = sleep
        self.gate = Gate(self.manners.per_second, sleep)
        self.client = httpx.AsyncClient(
            timeout=httpx.Timeout(self.manners.timeout_s, pool=None),
            limits=httpx.Limits(max_connections=self.manners.concurrency),
            follow_redirects=True,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.client.aclose()

    async def get(self, url: str, parameters: Parameters | None = None) -> bytes:
        """Body of an answer. Raises AbsentError for 404 and DataError when no try succeeded."""

        async def once() -> bytes:
            await self.gate.wait()
            answer = await self.client.get(url, params=dict(parameters) if parameters else None)
            self.judge(answer, without_query(url))
            return answer.content

        return await self.tried(without_query(url), once)

    async def json(self, url: str, parameters: Parameters | None = None) -> object:
        """Decoded JSON of an answer; raises like `get`, and DataError when it is not JSON."""
        return decoded(await self.get(url, parameters), without_query(url))

    async def post(self, url: str, payload: object) -> object:
        """Decoded JSON of the answer to a JSON body; a key in the path of the URL never shows in an error."""

        async def once() -> bytes:
            await self.gate.wait()
            content = msgspec.json.encode(payload)
            answer = await self.client.post(url, content=content, headers={"content-type": "application/json"})
            self.judge(answer, host(url))
            return answer.content

        return decoded(await self.tried(host(url), once), host(url))

    async def download(self, url: str, path: Path) -> str:
        """Stream a file to disk, whatever its size; returns the SHA-256 (hexadecimal) of what was written."""

        async def once() -> str:
            await self.gate.wait()
            async with self.client.stream("GET", url, headers=AS_IS) as answer:
                self.judge(answer, without_query(url))
                return await written(answer, path)

        return await self.tried(without_query(url), once)

    async def tried(self, where: str, once: Callable[[], Awaitable[Answer]]) -> Answer:
        """The result of `once`, tried again after each TransientError; DataError when the tries are used up."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_after_attempt(self.manners.attempts),
            wait=self.backoff,
            sleep=self.sleep,
            reraise=True,
        )
        try:
            return await retrying(transport_faults(once))
        except TransientError as fault:
            tries = f"{fault} ({self.manners.attempts} tries)"
            raise DataError(where, expected="a whole answer", found=tries, remedy=RUN_AGAIN) from fault

    def backoff(self, state: RetryCallState) -> float:
        """Seconds until the next try: what the server asked for, at least doubling from `first_wait_s`."""
        fault = state.outcome.exception() if state.outcome else None
        asked = fault.wait_s if isinstance(fault, TransientError) else 0.0
        doubled = self.manners.first_wait_s * 2.0 ** (state.attempt_number - 1)
        return min(max(asked, doubled), self.manners.longest_wait_s)

    def judge(self, answer: httpx.Response, where: str) -> None:
        """Return for a good answer; raise AbsentError, TransientError or DataError for another."""
        status = answer.status_code
        if status == OK:
            if self.manners.breather:
                self.gate.pause(self.manners.breather(answer.headers))
            return
        if status == NOT_FOUND:
            raise AbsentError(where)
        found = f"{status} {answer.reason_phrase}"
        if status not in WORTH_ANOTHER_TRY and status < SERVER_FAULT:
            remedy = "name another server with --base-url" if status == OUT_OF_REGION else "check the request"
            raise DataError(where, expected="an answer", found=found, remedy=remedy)
        asked = retry_after_s(answer.headers.get("retry-after", ""), datetime.now(UTC))
        if asked > self.manners.longest_wait_s:
            remedy = f"in {asked:.0f} s {RUN_AGAIN}"
            raise DataError(where, expected="an answer", found=found, remedy=remedy)
        if asked:
            self.gate.pause(asked)
        raise TransientError(found, asked)


def transport_faults(once: Callable[[], Awaitable[Answer]]) -> Callable[[], Awaitable[Answer]]:
    """The same call with timeouts and broken connections as TransientError."""

    async def call() -> Answer:
        try:
            return await once()
        except httpx.TimeoutException as error:
            raise TransientError(f"no answer in time ({type(error).__name__})") from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise TransientError(f"a broken connection ({type(error).__name__})") from error
        except httpx.InvalidURL as error:
            raise DataError("the address", expected="a URL", found=str(error), remedy="correct --base-url") from error

    return call


async def written(answer: httpx.Response, path: Path) -> str:
    """Write a streamed body; returns its SHA-256. A body shorter than announced is a broken connection."""
    total = hashlib.sha256()
    with path.open("wb") as file:
        async for piece in answer.aiter_raw():
            total.update(piece)
            file.write(piece)
    return total.hexdigest()


def retry_after_s(header: str, now: datetime) -> float:
    """Seconds that a Retry-After header asks for: a number or an HTTP date; 0 when it says neither."""
    if header.strip().isdigit():
        return float(header)
    try:
        return max(0.0, (parsedate_to_datetime(header) - now).total_seconds())
    except (TypeError, ValueError):
        return 0.0


def decoded(body: bytes, where: str) -> object:
    """JSON of a body, or DataError."""
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        start = body[:60].decode("utf-8", "replace")
        raise DataError(where, expected="JSON", found=f"{start!r}", remedy="check the address") from error


def without_query(url: str) -> str:
    """An address as it may be shown: no user, no query."""
    parts = urlsplit(url)
    return f"{host(url)}{parts.path}"


def host(url: str) -> str:
    """Scheme, host and port: what may be shown of an address that holds a key in its path."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}"
