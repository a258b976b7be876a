"""One request straight into an ASGI application, without a server or a client's set-up between."""

import asyncio
import json
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any

from serving.edge import App


@dataclass
class Answer:
    """What an application sent for one request."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body)


async def send_one(
    app: App,
    path: str,
    method: str = "GET",
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    client: str = "127.0.0.1",
) -> Answer:
    answer = Answer()
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")

    scope = {"type": "http", "path": path, "method": method, "headers": raw, "client": (client, 1)}
    await app(scope, receive, send)
    return answer


def ask(app: App, path: str, method: str = "GET", body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
    return asyncio.run(send_one(app, path, method, body, headers))
