"""Orders in numbers: clients that keep their connections, in one process, closed (as fast as answered) or paced."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import cast

import httptools
import uvloop

Request = Callable[[int], bytes]
Meanwhile = Callable[[], Coroutine[None, None, None]]


@dataclass
class Result:
    """Numbers, statuses and seconds of each answer, from when it was due to be asked for."""

    numbers: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, number: int, status: int, took_s: float) -> None:
        self.numbers.append(number)
        self.statuses.append(status)
        self.took_s.append(took_s)

    @property
    def per_s(self) -> float:
        return len(self.took_s) / self.seconds

    def quantile(self, level: float) -> float:
        ordered = sorted(self.took_s)
        return ordered[int(level * (len(ordered) - 1))]


class Client(asyncio.Protocol):
    """One connection, one request at a time; idle ones wait in `idle`."""

    def __init__(self, answered: Callable[["Client", int, float], None]) -> None:
        self.answered, self.due_s, self.number = answered, 0.0, 0
        self.transport: asyncio.Transport | None = None
        self.parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, number: int, request: Request, due_s: float) -> None:
        assert self.transport is not None
        self.number, self.due_s = number, due_s
        self.transport.write(request(number))

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.answered(self, self.parser.get_status_code(), time.perf_counter() - self.due_s)


def post(body: bytes, key: str, path: str = "/", headers: str = "") -> bytes:
    """A request as bytes."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Api-Key: {key}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def transaction(number: int, account: int = 0) -> str:
    """A transaction of its own, as far as a hash can tell."""
    return f"0x02f8{account:08x}{number:016x}" + "5a" * 96


def send_transaction(key: str, account: int = 0, headers: str = "") -> Request:
    """Requests that send one transaction each."""

    def request(number: int) -> bytes:
        body = f'{{"jsonrpc":"2.0","id":{number},"method":"eth_sendRawTransaction","params":["{transaction(number, account)}"]}}'
        return post(body.encode(), key, headers=headers)

    return request


def closed(port: int, connections: int, count: int, request: Request) -> Result:
    """As many requests as fast as they are answered."""
    result = Result()

    async def play() -> None:
        loop = asyncio.get_running_loop()
        over, numbers = loop.create_future(), iter(range(count))

        def next_one(client: Client) -> None:
            number = next(numbers, None)
            if number is not None:
                client.ask(number, request, time.perf_counter())

        def answered(client: Client, status: int, took_s: float) -> None:
            result.add(client.number, status, took_s)
            if len(result.statuses) == count:
                over.set_result(None)
            next_one(client)

        clients = [await connected(port, answered) for _ in range(connections)]
        began_s = time.perf_counter()
        for client in clients:
            next_one(client)
        await asyncio.wait_for(over, 30 + count / 50)
        result.seconds = time.perf_counter() - began_s
        part(clients)

    uvloop.run(play())
    return result


@dataclass(frozen=True)
class Stream:
    """Requests that come `per_s`, whether or not those before are answered."""

    name: str
    per_s: float
    request: Request


def paced(
    port: int, connections: int, seconds: float, streams: list[Stream], meanwhile: Meanwhile | None = None
) -> dict[str, Result]:
    """Streams side by side for some seconds, each on connections of its own; what finds none free waits for one."""
    results = {stream.name: Result(seconds=seconds) for stream in streams}

    async def play() -> None:
        aside = None if meanwhile is None else asyncio.create_task(meanwhile())
        players = [Player(stream, results[stream.name]) for stream in streams]
        for player in players:
            player.idle.extend([await connected(port, player.answered) for _ in range(connections)])
        began_s = time.perf_counter()
        await asyncio.wait_for(asyncio.gather(*(player.play(began_s, seconds) for player in players)), seconds + 30)
        for player in players:
            part(player.idle)
        if aside is not None:
            await aside

    uvloop.run(play())
    return results


class Player:
    """A stream under way."""

    def __init__(self, stream: Stream, result: Result) -> None:
        self.stream, self.result = stream, result
        self.idle: deque[Client] = deque()
        self.due: deque[tuple[int, float]] = deque()

    def answered(self, client: Client, status: int, took_s: float) -> None:
        self.result.add(client.number, status, took_s)
        self.idle.append(client)
        self.serve()

    def serve(self) -> None:
        while self.due and self.idle:
            number, due_s = self.due.popleft()
            self.idle.popleft().ask(number, self.stream.request, due_s)

    async def play(self, began_s: float, seconds: float) -> None:
        count = int(seconds * self.stream.per_s)
        for number in range(count):
            due_s = began_s + number / self.stream.per_s
            if due_s > time.perf_counter():
                await asyncio.sleep(due_s - time.perf_counter())
            self.due.append((number, due_s))
            self.serve()
        while len(self.result.statuses) < count:
            await asyncio.sleep(0.01)


async def connected(port: int, answered: Callable[[Client, int, float], None]) -> Client:
    _, client = await asyncio.get_running_loop().create_connection(lambda: Client(answered), "127.0.0.1", port)
    return client


def part(clients: "list[Client] | deque[Client]") -> None:
    for client in clients:
        assert client.transport is not None
        client.transport.close()
