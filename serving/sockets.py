"""Sockets to listen on, made before a server starts, so that an address that is taken is said at once."""

import socket

from data.errors import DataError


def listen(host: str, port: int, key: str = "server.port") -> socket.socket:
    """A bound socket; port 0 picks a free one. Raises DataError that names the setting `key` when the address is taken."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise DataError(
            key,
            expected=f"a free port on {host}",
            found=f"{port}: {error.strerror}",
            remedy="choose another, or 0",
        ) from error
    return listener


def address(listener: socket.socket) -> str:
    """The URL of a socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
