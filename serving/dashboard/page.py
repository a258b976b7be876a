"""The files of the page, from memory: one at `/`, the others under `/dashboard/`.

Decided here: which files there are (those in this folder when the process starts, so that no path of a request ever reaches the
file system), and that the page may load and ask nothing but this server, run no inline script, and be framed by nobody.
"""

import hashlib
from dataclasses import dataclass
from importlib import resources

from serving.edge import Receive, Scope, Send

KINDS = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
ALWAYS = (
    (b"content-security-policy", POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
)
INDEX = "index.html"


@dataclass(frozen=True)
class Asset:
    """A file: its bytes, media type and entity tag."""

    body: bytes
    kind: bytes
    tag: bytes


def assets() -> dict[str, Asset]:
    """The files by path."""
    found = {}
    for file in resources.files(__package__).iterdir():
        kind = KINDS.get(f".{file.name.rpartition('.')[2]}")
        if kind is not None:
            body = file.read_bytes()
            tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'.encode()
            found["/" if file.name == INDEX else f"/dashboard/{file.name}"] = Asset(body, kind, tag)
    return found


class Page:
    """An ASGI application that answers with a file, 304 when the client has it, 404 or 405."""

    def __init__(self) -> None:
        self.assets = assets()

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Answer one request."""
        asset = self.assets.get(scope["path"])
        status, body, kind, tag = 404, b"no such file\n", b"text/plain; charset=utf-8", b""
        if scope["method"] not in ("GET", "HEAD"):
            status, body = 405, b"expected GET\n"
        elif asset is not None:
            known = any(name == b"if-none-match" and value == asset.tag for name, value in scope["headers"])
            status, body, kind, tag = (
                (304, b"", asset.kind, asset.tag) if known else (200, asset.body, asset.kind, asset.tag)
            )
        headers = [*ALWAYS, (b"content-type", kind), (b"content-length", str(len(body)).encode())]
        await send(
            {"type": "http.response.start", "status": status, "headers": headers + ([(b"etag", tag)] if tag else [])}
        )
        await send({"type": "http.response.body", "body": body})
