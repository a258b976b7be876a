"""Models that a registry names: `models:/NAME@ALIAS` or `models:/NAME/VERSION` on an MLflow server, over its REST interface.

Decided here: files are kept by server, name and version; a version whose contract has changed is fetched again; and where the
server cannot be reached, the copy that an alias named last stays in use, for a registry must not stop what serves.
"""

import logging
import os
import re
import shutil
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from data.contract import CARD_FILE, CONTRACT_FILE, DIGEST_KEY, MODEL_FILE, read_contract
from data.errors import DataError, UsageError

if TYPE_CHECKING:
    import httpx  # loaded on the first question to a registry: a start without one need not wait for it

SCHEME = "models:/"
PROXIED = "mlflow-artifacts"
FILES = {MODEL_FILE: True, CONTRACT_FILE: True, CARD_FILE: False}  # whether an artefact must have it
CACHE = Path("var/registry")
TIMEOUT_S = 30.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reference:
    """A registered model, by alias or by version: exactly one of them is set."""

    name: str
    alias: str | None = None
    version: str | None = None


@dataclass(frozen=True)
class Server:
    """An MLflow server: its address, and the user and password or the token that it asks for, where it does."""

    uri: str
    basic: tuple[str, str] | None = None
    token: str | None = None

    def client(self, transport: "httpx.BaseTransport | None" = None) -> "httpx.Client":
        """A client that is known to the server."""
        import httpx

        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return httpx.Client(base_url=self.uri, auth=self.basic, headers=headers, timeout=TIMEOUT_S, transport=transport)


def is_reference(text: str) -> bool:
    """Whether a model is named as in a registry, and not as a folder."""
    return text.startswith(SCHEME)


def parse(text: str) -> Reference:
    """Read a reference. Raises UsageError for anything else."""
    found = re.fullmatch(r"models:/((?!\.)[^/@:\s]+)(?:@([^/@\s]+)|/(\d+))", text)
    if found is None:
        raise UsageError(
            "model",
            expected="models:/NAME@ALIAS or models:/NAME/VERSION",
            found=repr(text),
            remedy="such as models:/panel@champion",
        )
    return Reference(*found.groups())


def fetch(
    text: str, server: Server | None, cache: Path = CACHE, transport: "httpx.BaseTransport | None" = None
) -> Path:
    """The folder of a registered artefact, downloaded when it is not there yet.

    Raises UsageError for a malformed reference, DataError when there is no server to ask, no such model, or files that are no
    artefact; a server that cannot be reached is an error only where no copy is left.
    """
    import httpx

    reference = parse(text)
    if server is None or urlsplit(server.uri).scheme not in ("http", "https"):
        found = "none" if server is None else server.uri
        remedy = "set MLFLOW_TRACKING_URI to its address, or name the folder of an artefact"
        raise DataError(text, expected="an MLflow server to ask", found=found, remedy=remedy)
    home = cache / re.sub(r"[^A-Za-z0-9.-]+", "_", urlsplit(server.uri).netloc) / reference.name
    with server.client(transport) as client:
        try:
            return download(reference, client, home)
        except httpx.TransportError as error:
            return last_known(reference, home, text, str(error))
        except httpx.HTTPStatusError as error:
            if error.response.status_code >= 500:
                return last_known(reference, home, text, str(error.response.status_code))
            raise refused(text, error.response) from error


def download(reference: Reference, client: "httpx.Client", home: Path) -> Path:
    """Ask which version it is and where its files are, and bring those that are missing."""
    name = reference.name
    found = (
        ask(client, "registered-models/alias", name=name, alias=reference.alias)
        if reference.alias is not None
        else ask(client, "model-versions/get", name=name, version=reference.version)
    )["model_version"]
    version = str(int(found["version"]))
    folder = home / version
    digest = {tag["key"]: tag["value"] for tag in found.get("tags", [])}.get(DIGEST_KEY)
    if not is_whole(folder, digest):
        where = ask(client, "model-versions/get-download-uri", name=name, version=version)["artifact_uri"]
        bring(client, where, folder)
    if reference.alias is not None:
        remember(home, reference.alias, version)
    return folder


def ask(client: "httpx.Client", path: str, **query: str | None) -> Any:
    """One answer of the registry's interface."""
    response = client.get(f"/api/2.0/mlflow/{path}", params=query)
    response.raise_for_status()
    return response.json()


def is_whole(folder: Path, digest: str | None) -> bool:
    """Whether a folder holds the artefact of a digest already."""
    try:
        return (folder / MODEL_FILE).is_file() and digest in (None, read_contract(folder).digest)
    except DataError:
        return False


def bring(client: "httpx.Client", where: str, folder: Path) -> None:
    """Bring an artefact's files into a folder, whole or not at all."""
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for name, needed in FILES.items():
            content = read(client, where, name)
            if content is None and needed:
                remedy = "register it with `shaper promote`"
                raise DataError(where, expected=f"an artefact with {name}", found="none", remedy=remedy)
            if content is not None:
                (partial / name).write_bytes(content)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read(client: "httpx.Client", where: str, name: str) -> bytes | None:
    """The content of a file below an artefact's address; none where there is no such file."""
    place = urlsplit(where)
    if place.scheme == PROXIED:
        path = quote(f"{place.path.strip('/')}/{name}")
        response = client.get(f"/api/2.0/mlflow-artifacts/artifacts/{path}")
        if response.status_code == HTTPStatus.NOT_FOUND:
            return None
        response.raise_for_status()
        return response.content
    if place.scheme in ("", "file"):
        file = Path(place.path, name)
        return file.read_bytes() if file.is_file() else None
    raise DataError(
        where,
        expected="artefacts that the server hands out itself",
        found=f"an address of {place.scheme}",
        remedy="start `mlflow server` with --serve-artifacts, or name the folder of an artefact",
    )


def remember(home: Path, alias: str, version: str) -> None:
    """Note which version an alias names."""
    partial = home / f".{alias}.{os.getpid()}"
    partial.write_text(version, "utf-8")
    partial.replace(home / f"@{alias}")


def last_known(reference: Reference, home: Path, text: str, why: str) -> Path:
    """The copy that was fetched last. Raises DataError when there is none."""
    note = home / f"@{reference.alias}"
    version = reference.version or (note.read_text("utf-8") if note.is_file() else None)
    if version is None or not is_whole(home / version, None):
        remedy = "start it, or name the folder of an artefact"
        raise DataError(text, expected="an MLflow server that answers", found=why, remedy=remedy)
    log.warning("the registry cannot be reached (%s); version %s of %s stays in use", why, version, reference.name)
    return home / version


def refused(text: str, response: "httpx.Response") -> DataError:
    """The error of a server that answers, but has no such model or does not know us."""
    try:
        found = str(response.json().get("message", response.status_code))
    except ValueError:
        found = f"status {response.status_code}"
    return DataError(
        text, expected="a registered model", found=found.splitlines()[0], remedy="see `shaper promote --help`"
    )
