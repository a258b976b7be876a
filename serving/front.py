"""Which application answers a path: those that begin with a known prefix go to one of their own, the rest to the framework.

Decided here: prefixes match whole segments of a path.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from serving.edge import App, Receive, Scope, Send


@dataclass(frozen=True)
class Front:
    """Applications by the first segment of the path, in front of another that answers the rest."""

    parts: Mapping[str, App]
    rest: App

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        app = self.rest
        if scope["type"] == "http":
            app = self.parts.get(scope["path"][1:].partition("/")[0], self.rest)
        await app(scope, receive, send)
