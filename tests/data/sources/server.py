"""A local server with the wire formats of public sources, and with their faults on demand."""

import hashlib
import io
import json
import threading
import time
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Reply:
    """What the server sends; `announced` is a Content-Length that differs from the body's."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    announced: int | None = None


Handler = Callable[[dict[str, str], Any], Reply]


@dataclass
class Server:
    """Replies by path: bytes, or a function of query and JSON body; faults go first, once each, in order."""

    routes: dict[str, bytes | Handler] = field(default_factory=dict)
    faults: dict[str, list[Reply]] = field(default_factory=lambda: defaultdict(list))
    requests: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""

    def publish(self, path: str, body: bytes) -> None:
        """A file of an archive and its checksum."""
        self.routes[path] = body
        name = path.rpartition("/")[2]
        self.routes[f"{path}.CHECKSUM"] = f"{hashlib.sha256(body).hexdigest()}  {name}\n".encode()

    def count(self, path: str) -> int:
        """How often a path was asked for."""
        return self.requests.count(path)

    def reply(self, path: str, query: dict[str, str], body: Any) -> Reply:
        with self.lock:
            self.requests.append(path)
            if body is not None:
                self.bodies.append(body)
            if self.faults[path]:
                return self.faults[path].pop(0)
        route = self.routes.get(path)
        if route is None:
            return Reply(b"no such file", 404)
        return Reply(route) if isinstance(route, bytes) else route(query, body)


def handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Speaker(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer(None)

        def do_POST(self) -> None:
            self.answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))

        def answer(self, body: Any) -> None:
            with server.lock:
                server.at_once += 1
                server.most_at_once = max(server.most_at_once, server.at_once)
            try:
                address = urlsplit(self.path)
                reply = server.reply(address.path, dict(parse_qsl(address.query)), body)
                time.sleep(reply.delay_s)
            finally:
                # Before the answer leaves: whoever reads it may ask again while this thread still waits for its turn.
                with server.lock:
                    server.at_once -= 1
            self.send(reply)

        def send(self, reply: Reply) -> None:
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(reply.body) if reply.announced is None else reply.announced))
                self.end_headers()
                self.wfile.write(reply.body)
                if reply.announced is not None:
                    self.close_connection = True
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    return Speaker


@contextmanager
def serving() -> Iterator[Server]:
    """A server on a free port of the loopback interface."""
    server = Server()
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler(server))
    http.daemon_threads = True
    server.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def zipped(text: str, name: str = "data.csv") -> bytes:
    """A zip archive of one file, with a fixed time stamp so that equal texts give equal archives."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), text)
    return buffer.getvalue()
