"""Where a model lies that a command is given: a folder, or what a registry names `models:/NAME@ALIAS`.

Decided here: an MLflow server is asked over its REST interface, as the sidecar asks; a local store is read through MLflow.
"""

import shutil
import tempfile
from pathlib import Path

from data import published
from data.environment import tracking_server
from data.errors import DataError

STORE = Path("var/mlflow")


def model_folder(named: str, store: Path = STORE) -> Path:
    """The folder of an artefact. Raises UsageError or DataError for a reference that cannot be resolved."""
    if not published.is_reference(named):
        return Path(named)
    server = tracking_server()
    if server is not None and server.uri.startswith(("http://", "https://")):
        return published.fetch(named, server)
    return from_store(named, store)


def from_store(named: str, store: Path) -> Path:
    """The same of a store without a server."""
    from training.tracking import Store

    reference, opened = published.parse(named), Store(store)
    version = reference.version or opened.version(reference.name, reference.alias or "")
    if version is None:
        remedy = "see `shaper promote --help`"
        raise DataError(named, expected="a registered model", found=f"none in {opened.uri}", remedy=remedy)
    folder = published.CACHE / "local" / reference.name / version
    with tempfile.TemporaryDirectory() as name:
        brought = opened.download(reference.name, version, Path(name))
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(brought, folder)
    return folder
