"""The one file that reads the environment.

Decided here: which variables the product knows. Everything else takes its settings as arguments.
"""

import os
from pathlib import Path


def history_folder() -> Path | None:
    """Folder of recorded history that `SHAPER_HISTORY` names, or None when it is unset or empty."""
    value = os.environ.get("SHAPER_HISTORY", "")
    return Path(value) if value else None
