"""Messages that no honest client sends: valid ones, spoilt in their values, their structure, their bytes, or their HTTP.

Each is made by its number alone, so that the one that finds a fault can be made again.
"""

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import httptools

CASES = int(os.environ.get("SHAPER_FUZZ_CASES", "1500"))  # the whole of it: SHAPER_FUZZ_CASES=100000
AT_ONCE = 48
WAIT_S = 0.5  # for an answer: what a server does not take for a whole request it answers never
RAW = {  # what no encoder writes
    "@deep@": "[" * 3000 + "]" * 3000,
    "@deep object@": '{"a":' * 3000 + "1" + "}" * 3000,
    "@huge@": "1e400",
    "@precise@": "0." + "1" * 400,
    "@whole@": "9" * 500,
    "@plus@": "+1",
    "@lone@": '"\\ud800"',
    "@control@": '"\x01\n"',
    "@twice@": '{"ts":1,"ts":2}',
}
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 2**64, 1e308, -1e308, 5e-324, -0.0,
    float("nan"), float("inf"), float("-inf"), "", " ", "\x00", "é", "\u202e", "x" * 5000, "0x", "0x" + "f" * 4000, "0xzz",
    "../../etc/passwd", "' OR 1=1 --", "{{7*7}}", "NaN", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999Z",
    "2024-01-01T00:00:00", "critical", [], {}, [[]], [None] * 200, {"": ""}, *RAW,
)  # fmt: skip
METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT", "FOO", "get", "")
PATHS = (
    "//",
    "/%00",
    "/%ff%fe",
    "/../../etc/passwd",
    "*",
    "",
    "/" + "a" * 9000,
    "/?" + "q=%zz&" * 400,
    "http://x/",
    "/;",
)
HEADERS = (
    b"X: " + b"x" * 70_000, b"X: \x00\x01\xff", b"Content-Length: 7", b"Content-Length: -1",
    b"Content-Length: 99999999999999999999",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked, identity", b"Expect: 100-continue", b"Expect: nonsense",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13",
    b"Upgrade: h2c\r\nConnection: Upgrade", b"Connection: close", b": empty", b"no colon", b"X : space", b" folded",
    b"Host: evil.example", b"Host: 127.0.0.1", b"Content-Type: text/plain", b"Content-Type: ;;;=\xff",
    b"Authorization: Bearer \xff\xfe", b"Authorization: Bearer", b"X-Api-Key: \xe9", b"Shaper-Deadline-Ms: 0",
    b"Shaper-Deadline-Ms: -9",
    b"Shaper-Deadline-Ms: 99999999999999999999", b"Shaper-Tier: \xff", b"Idempotency-Key: ", b"Idempotency-Key: \x7f\x80",
    b"Last-Event-ID: -1", b"Inference-Header-Content-Length: 99999", b"Accept: */*;q=nan", b"Cookie: =;=;", b"Range: bytes=9-1",
    *(b"X-%d: y" % number for number in range(3)), b"\r\n".join(b"X-%d: y" % number for number in range(900)),
)  # fmt: skip


class Spoiler:
    """What becomes of a valid message; everything is drawn from one seed."""

    def __init__(self, seed: int) -> None:
        self.draws = random.Random(seed)  # noqa: S311

    def chance(self, share: float) -> bool:
        return self.draws.random() < share

    def value(self, valid: Any) -> Any:
        """A copy of a JSON value, with one place of it or a few replaced, removed, repeated or wrapped."""
        for _ in range(self.draws.choice((0, 1, 1, 1, 2, 5))):
            valid = self.spoilt(valid)
        return valid

    def spoilt(self, value: Any) -> Any:
        if isinstance(value, dict) and value and self.chance(0.8):
            key = self.draws.choice(list(value))
            if self.chance(0.1):
                return {name: inner for name, inner in value.items() if name != key}
            if self.chance(0.1):
                return {**value, str(self.draws.choice(VALUES)): value[key]}
            return {**value, key: self.spoilt(value[key])}
        if isinstance(value, list) and value and self.chance(0.8):
            place = self.draws.randrange(len(value))
            if self.chance(0.1):
                return value[:place] + value[place:] * 3
            return [*value[:place], self.spoilt(value[place]), *value[place + 1 :]]
        return [value] if self.chance(0.1) else self.draws.choice(VALUES)

    def encoded(self, value: Any) -> bytes:
        """JSON, or nearly."""
        text = json.dumps(value, ensure_ascii=self.chance(0.8))
        for mark, raw in RAW.items():
            text = text.replace(json.dumps(mark), raw)
        coding = "utf-8" if self.chance(0.95) else self.draws.choice(("utf-16", "latin-1", "utf-8-sig", "utf-7"))
        return self.cut(text.encode(coding, "replace"), 0.15)

    def cut(self, content: bytes, share: float) -> bytes:
        """The same, of which a share of calls cuts, turns over, repeats or adds bytes."""
        if not content or not self.chance(share):
            return content
        first, last = sorted(self.draws.randrange(len(content) + 1) for _ in range(2))
        how = self.draws.randrange(5)
        if how == 0:
            return content[:first]
        if how == 1:
            return content[:first] + content[last:]
        if how == 2:
            return content[:last] + content[first:]
        if how == 3:
            return content[:first] + self.draws.randbytes(self.draws.choice((1, 2, 40))) + content[first:]
        flipped = bytearray(content)
        flipped[first - 1] ^= 1 << self.draws.randrange(8)
        return bytes(flipped)

    def request(self, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
        """One HTTP request, or two in a row, of which few are quite as they should be."""
        method = method if self.chance(0.93) else self.draws.choice(METHODS)
        path = path if self.chance(0.93) else self.draws.choice((path + "/", path + "?limit=nan&since=inf", *PATHS))
        lines = [f"{name}: {value}".encode() for name, value in headers.items() if self.chance(0.97)]
        if self.chance(0.97):
            lines.append(b"Content-Length: %d" % len(body))
        for _ in range(self.draws.choice((0,) * 12 + (1, 1, 2))):
            lines.insert(self.draws.randrange(len(lines) + 1), self.draws.choice(HEADERS))
        version = "HTTP/1.1" if self.chance(0.97) else self.draws.choice(("HTTP/1.0", "HTTP/9.9", "HTTP/2", ""))
        whole = b"%b %b %b\r\n%b\r\n\r\n%b" % (
            method.encode(), path.encode("utf-8", "replace"), version.encode(), b"\r\n".join(lines), body,
        )  # fmt: skip
        whole = self.cut(whole, 0.05) * self.draws.choice((1,) * 15 + (2,))
        return whole if self.chance(0.99) else self.draws.randbytes(self.draws.randrange(1, 3000))


class Answers(asyncio.Protocol):
    """A connection for one case: the statuses of what came back, and when that was whole."""

    def __init__(self, over: "asyncio.Future[None]") -> None:
        self.over, self.statuses = over, list[int]()
        self.parser = httptools.HttpResponseParser(self)
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:  # the body of an answer to HEAD is not there
            self.end()

    def on_headers_complete(self) -> None:
        self.statuses.append(self.parser.get_status_code())

    def on_message_complete(self) -> None:
        if self.statuses[-1] >= 200:
            self.end()

    def connection_lost(self, _: Exception | None) -> None:
        self.end()

    def end(self) -> None:
        if not self.over.done():
            self.over.set_result(None)


async def answered(port: int, content: bytes) -> list[int]:
    """The statuses that a server on loopback answers with, none when it does not."""
    loop = asyncio.get_running_loop()
    transport, found = await loop.create_connection(lambda: Answers(loop.create_future()), "127.0.0.1", port)
    try:
        transport.write(content)
        await asyncio.wait({found.over}, timeout=WAIT_S)
    finally:
        transport.abort()
    return found.statuses


def fuzzed(port: int, cases: int, made: Callable[[Spoiler], bytes]) -> Counter[int]:
    """The statuses of so many cases, 0 for none. No case may meet a fault of the server."""
    seen: Counter[int] = Counter()
    faults: list[tuple[int, int, bytes]] = []

    async def play(numbers: "asyncio.Queue[int]") -> None:
        while not numbers.empty():
            number = numbers.get_nowait()
            content = made(Spoiler(number))
            for status in await answered(port, content) or [0]:
                seen[status] += 1
                if status in (500, 502, 505):
                    faults.append((number, status, content[:400]))

    async def all_of_it() -> None:
        numbers: asyncio.Queue[int] = asyncio.Queue()
        for number in range(cases):
            numbers.put_nowait(number)
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(play(numbers))

    asyncio.run(all_of_it())
    assert not faults, (len(faults), faults[:8])
    return seen
