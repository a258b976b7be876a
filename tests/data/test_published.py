"""Models that a registry names: what is asked of the server, what is kept, and what happens when it is away."""

from pathlib import Path

import httpx
import pytest

from data.contract import read_contract
from data.errors import DataError, UsageError
from data.published import Server, fetch, parse
from tests.serving import made

SERVER = Server("http://registry.test:5000")


class Registry(httpx.BaseTransport):
    """An MLflow server with one model of one version in a folder; `asked` are the paths, `up` whether it answers."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.up, self.asked = folder, True, list[str]()
        self.where = "mlflow-artifacts:/1/models/m-1/artifacts"

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as the registry and the artefact proxy do."""
        if not self.up:
            raise httpx.ConnectError("connection refused")
        self.asked.append(request.url.path)
        end, query = request.url.path.rpartition("/")[2], request.url.params
        if "mlflow-artifacts" in request.url.path:
            path = self.folder / end
            return httpx.Response(200, content=path.read_bytes()) if path.is_file() else httpx.Response(404)
        if query.get("name") != "demand":
            return httpx.Response(404, json={"message": f"Registered model with name={query.get('name')} not found"})
        if end == "get-download-uri":
            return httpx.Response(200, json={"artifact_uri": self.where})
        tags = [{"key": "contract_digest", "value": read_contract(self.folder).digest}]
        return httpx.Response(200, json={"model_version": {"version": "7", "tags": tags}})


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(made.write_artefact(tmp_path / "artefact"))


def test_an_alias_is_resolved_to_a_whole_artefact(registry: Registry, tmp_path: Path) -> None:
    folder = fetch("models:/demand@champion", SERVER, tmp_path / "kept", registry)
    assert folder == tmp_path / "kept" / "registry.test_5000" / "demand" / "7"
    assert read_contract(folder) == read_contract(registry.folder)
    assert fetch("models:/demand/7", SERVER, tmp_path / "kept", registry) == folder


def test_files_that_are_there_are_not_fetched_again_unless_the_contract_changed(
    registry: Registry, tmp_path: Path
) -> None:
    fetch("models:/demand@champion", SERVER, tmp_path, registry)
    registry.asked.clear()
    fetch("models:/demand@champion", SERVER, tmp_path, registry)
    assert registry.asked == ["/api/2.0/mlflow/registered-models/alias"]
    made.write_artefact(registry.folder, made.contract("another"))
    assert read_contract(fetch("models:/demand@champion", SERVER, tmp_path, registry)).name == "another"


def test_the_last_champion_stays_in_use_while_the_server_is_away(registry: Registry, tmp_path: Path) -> None:
    folder = fetch("models:/demand@champion", SERVER, tmp_path / "kept", registry)
    registry.up = False
    assert fetch("models:/demand@champion", SERVER, tmp_path / "kept", registry) == folder
    with pytest.raises(DataError, match="connection refused"):
        fetch("models:/demand@champion", SERVER, tmp_path / "empty", registry)


def test_what_is_not_registered_is_named_and_leaves_nothing(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="name=panel not found"):
        fetch("models:/panel@champion", SERVER, tmp_path / "kept", registry)
    (registry.folder / "model.onnx").unlink()
    with pytest.raises(DataError, match=r"model\.onnx"):
        fetch("models:/demand@champion", SERVER, tmp_path / "kept", registry)
    assert not [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]


def test_artefacts_that_the_server_does_not_hand_out_are_refused(registry: Registry, tmp_path: Path) -> None:
    registry.where = "s3://bucket/models"
    with pytest.raises(DataError, match="--serve-artifacts"):
        fetch("models:/demand@champion", SERVER, tmp_path / "kept", registry)
    registry.where = str(registry.folder)
    assert fetch("models:/demand@champion", SERVER, tmp_path / "kept", registry).is_dir()


@pytest.mark.parametrize(
    "wrong",
    ["models:/demand", "models:/demand@", "models:/a/b/c", "models:/demand@../x", "models:/ @x", "models:/..@x"],
)
def test_a_malformed_reference_is_a_usage_error(wrong: str) -> None:
    with pytest.raises(UsageError):
        parse(wrong)


@pytest.mark.parametrize("server", [None, Server("sqlite:///mlflow.db")])
def test_without_a_server_the_remedy_is_a_folder(server: Server | None, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="name the folder"):
        fetch("models:/demand@champion", server, tmp_path)


def test_credentials_are_sent() -> None:
    with Server("http://registry.test", ("user", "secret")).client() as client:
        assert client.auth is not None
    with Server("http://registry.test", token="abc").client() as client:  # noqa: S106 - made up
        assert client.headers["Authorization"] == "Bearer abc"
