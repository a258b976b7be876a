"""The runtime API of HAProxy over its socket, in one session that stays open.

Decided here: one command at a time; an answer that is more than a blank line where none is expected is a refusal. (HAProxy
Management Guide 2.6, section 9.3.)
"""

import asyncio
import csv
import io
from collections.abc import Mapping
from contextlib import suppress
from typing import Self

from serving.dataplane import DataPlaneError

PROMPT = b"\n> "


class Session:
    """A session in interactive mode. Commands are not interleaved: the caller awaits each."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
        self.reader, self.writer, self.path = reader, writer, path

    @classmethod
    async def open(cls, path: str) -> Self:
        """Connect. Raises DataPlaneError when nobody listens."""
        try:
            reader, writer = await asyncio.open_unix_connection(path, limit=2**24)
        except OSError as error:
            raise DataPlaneError(
                f"haproxy: expected its runtime socket at {path}; found {error.strerror or error}; start HAProxy with the rendered "
                "configuration, or correct dataplane.haproxy.socket"
            ) from error
        session = cls(reader, writer, path)
        await session.ask("prompt")
        return session

    async def ask(self, command: str) -> str:
        """What a command answers. Raises DataPlaneError when the session has ended."""
        try:
            self.writer.write(command.encode() + b"\n")
            await self.writer.drain()
            answer = await self.reader.readuntil(PROMPT)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise DataPlaneError(f"haproxy: the session on {self.path} ended: {error}; is HAProxy running?") from error
        return answer[: -len(PROMPT)].decode("utf-8", "replace").strip()

    async def tell(self, command: str) -> None:
        """Give a command that answers nothing. Raises DataPlaneError with what it said instead."""
        said = await self.ask(command)
        if said:
            raise DataPlaneError(f"haproxy refused {command!r}: {said}")

    async def replace_map(self, path: str, entries: Mapping[str, int]) -> None:
        """Put a map's entries in place of the old ones, all at once: orders see the old map or the new one."""
        said = await self.ask(f"prepare map {path}")
        version = said.rpartition(":")[2].strip()
        if not version.isdecimal():
            raise DataPlaneError(f"haproxy refused 'prepare map {path}': {said}; render the configuration again")
        for key, value in entries.items():
            await self.tell(f"add map @{version} {path} {key} {value}")
        await self.tell(f"commit map @{version} {path}")

    async def statistics(self) -> list[dict[str, str]]:
        """`show stat`: a row for each frontend, backend and server."""
        text = (await self.ask("show stat")).removeprefix("# ")
        return list(csv.DictReader(io.StringIO(text)))

    async def table(self, name: str) -> dict[str, dict[str, int]]:
        """`show table`: the counters of each key, e.g. `{"critical": {"conn_cur": 3, "http_req_rate(1000)": 8}}`."""
        found = {}
        for line in (await self.ask(f"show table {name}")).splitlines():
            fields = dict(part.partition("=")[::2] for part in line.split() if "=" in part)
            if "key" in fields:
                found[fields["key"]] = {
                    key: int(n) for key, n in fields.items() if key not in ("key", "use", "exp", "shard")
                }
        return found

    async def close(self) -> None:
        """End the session."""
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()
