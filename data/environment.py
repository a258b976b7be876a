"""The one file that reads the environment, and sets what a library takes from it.

Decided here: which variables the product knows. Everything else takes its settings as arguments.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from data.published import Server


def history_folder() -> Path | None:
    """Folder of recorded history that `SHAPER_HISTORY` names, or None when it is unset or empty."""
    value = os.environ.get("SHAPER_HISTORY", "")
    return Path(value) if value else None


def tracking_server() -> "Server | None":
    """The MLflow server that `MLFLOW_TRACKING_URI` names, with the credentials of MLflow's own variables; None when unset."""
    from data.published import Server

    uri, user, password, token = (
        os.environ.get(f"MLFLOW_TRACKING_{name}", "") for name in ("URI", "USERNAME", "PASSWORD", "TOKEN")
    )
    return Server(uri, (user, password) if user else None, token or None) if uri else None


def token_text() -> str:
    """The tokens in `SHAPER_TOKENS`, as `serving.security` reads them; empty when it is unset."""
    return os.environ.get("SHAPER_TOKENS", "")


def settings_told() -> dict[str, str]:
    """Settings by dotted key: `SHAPER__SERVER__PORT=9000` tells `server.port`."""
    prefix = "SHAPER__"
    return {
        name.removeprefix(prefix).lower().replace("__", "."): value
        for name, value in sorted(os.environ.items())
        if name.startswith(prefix)
    }


def unless_told_otherwise(name: str, value: str) -> None:
    """Set a variable for this process and those that it starts, where nobody has set it."""
    os.environ.setdefault(name, value)
