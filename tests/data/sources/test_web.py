import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest

from data.errors import DataError
from data.sources.web import AbsentError, Gate, Manners, Web, host, retry_after_s, without_query
from tests.data.sources.pulling import Sleeps
from tests.data.sources.server import Reply, Server

Answer = TypeVar("Answer")
NOW = datetime(2024, 1, 1, 12, 0, 0, tzinfo=UTC)


def asked(
    call: Callable[[Web], Awaitable[Answer]], sleeps: Sleeps | None = None, manners: Manners | None = None
) -> Answer:
    async def run() -> Answer:
        async with Web(manners or Manners(attempts=3), sleeps or Sleeps()) as web:
            web.gate.wait = no_wait  # type: ignore[method-assign]
            return await call(web)

    return asyncio.run(run())


async def no_wait() -> None:
    """Time does not pass in these tests."""


def test_a_429_is_tried_again_after_the_seconds_that_the_server_asked_for(server: Server) -> None:
    server.routes["/file"] = b"here"
    server.faults["/file"] = [Reply(status=429, headers={"retry-after": "17"})]
    sleeps = Sleeps()
    assert asked(lambda web: web.get(f"{server.url}/file"), sleeps) == b"here"
    assert sleeps.seconds == [17.0]


def test_faults_without_a_wish_are_tried_again_after_doubling_pauses(server: Server) -> None:
    server.routes["/file"] = b"here"
    server.faults["/file"] = [Reply(status=503), Reply(status=500)]
    sleeps = Sleeps()
    assert asked(lambda web: web.get(f"{server.url}/file"), sleeps) == b"here"
    assert sleeps.seconds == [0.5, 1.0]


def test_a_server_that_stays_ill_gives_one_message_that_says_what_to_do(server: Server) -> None:
    server.faults["/file"] = [Reply(status=502)] * 3
    with pytest.raises(
        DataError, match=r"/file: expected a whole answer; found 502 Bad Gateway \(3 tries\); run the same"
    ):
        asked(lambda web: web.get(f"{server.url}/file"))
    assert server.count("/file") == 3


def test_a_pause_longer_than_we_wait_ends_the_pull_with_its_length(server: Server) -> None:
    server.faults["/file"] = [Reply(status=418, headers={"retry-after": "7200"})]
    with pytest.raises(DataError, match="in 7200 s run the same command again"):
        asked(lambda web: web.get(f"{server.url}/file"))
    assert server.count("/file") == 1


@pytest.mark.parametrize("status", [400, 401, 403, 451])
def test_a_refusal_is_not_tried_again(server: Server, status: int) -> None:
    server.faults["/file"] = [Reply(status=status)]
    with pytest.raises(DataError, match=str(status)):
        asked(lambda web: web.get(f"{server.url}/file"))
    assert server.count("/file") == 1


def test_a_missing_file_is_absent_at_once(server: Server) -> None:
    with pytest.raises(AbsentError):
        asked(lambda web: web.get(f"{server.url}/none"))
    assert server.count("/none") == 1


def test_a_timeout_is_tried_again(server: Server) -> None:
    server.routes["/file"] = b"here"
    server.faults["/file"] = [Reply(delay_s=0.4)]
    assert asked(lambda web: web.get(f"{server.url}/file"), manners=Manners(attempts=2, timeout_s=0.15)) == b"here"


def test_a_truncated_download_is_tried_again_and_leaves_only_the_whole_file(server: Server, tmp_path: Path) -> None:
    body = bytes(range(256)) * 500
    server.routes["/file"] = body
    server.faults["/file"] = [Reply(body[:1000], announced=len(body))]
    digest = asked(lambda web: web.download(f"{server.url}/file", tmp_path / "file"))
    assert digest == hashlib.sha256(body).hexdigest()
    assert (tmp_path / "file").read_bytes() == body


def test_an_address_where_nobody_listens_gives_one_message(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a broken connection \\(ConnectError\\)"):
        asked(lambda web: web.download("http://127.0.0.1:9/file", tmp_path / "file"))


def test_an_answer_that_is_not_json_is_shown_by_its_beginning(server: Server) -> None:
    server.routes["/file"] = b"<html>blocked"
    with pytest.raises(DataError, match="expected JSON; found '<html>blocked'"):
        asked(lambda web: web.json(f"{server.url}/file"))


def test_a_key_in_an_address_is_never_shown() -> None:
    assert without_query("https://user:secret@example.org:8443/file?key=secret") == "https://example.org:8443/file"
    assert host("https://mainnet.example.org/v3/secret") == "https://mainnet.example.org"


def test_an_error_of_a_posted_request_hides_the_path(server: Server) -> None:
    server.faults["/v3/secret"] = [Reply(status=401)]
    with pytest.raises(DataError) as caught:
        asked(lambda web: web.post(f"{server.url}/v3/secret", {}))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3.0),
        ("Mon, 01 Jan 2024 12:00:09 GMT", 9.0),
        ("Mon, 01 Jan 2024 11:00:00 GMT", 0.0),
        ("", 0.0),
        ("soon", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float) -> None:
    assert retry_after_s(header, NOW) == seconds


def test_a_gate_spaces_requests_and_a_pause_holds_all_of_them() -> None:
    now = 100.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    async def turns() -> list[float]:
        gate = Gate(4.0, sleep, lambda: now)
        seen = []
        for pause in (0.0, 0.0, 10.0):
            gate.pause(pause)
            await gate.wait()
            seen.append(now)
        return seen

    assert asyncio.run(turns()) == [100.0, 100.25, 110.25]


def test_the_weight_that_a_server_counts_pauses_the_next_request(server: Server) -> None:
    server.routes["/file"] = b"here"
    pauses: list[float] = []

    async def run() -> None:
        manners = Manners(breather=lambda headers: 30.0 if headers["content-length"] == "4" else 0.0)
        async with Web(manners) as web:
            web.gate.pause = pauses.append  # type: ignore[method-assign]
            await web.get(f"{server.url}/file")

    asyncio.run(run())
    assert pauses == [30.0]
