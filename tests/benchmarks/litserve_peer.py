"""The champion behind LitServe: a class at the top of a module, which its worker processes import."""

from pathlib import Path
from typing import Any

import litserve

from tests.benchmarks.serving_peers import Graph


class Api(litserve.LitAPI):  # type: ignore[misc]
    """Window in, quantiles and spikes out."""

    def __init__(self, artefact: Path) -> None:
        super().__init__()
        self.artefact = artefact

    def setup(self, _: str) -> None:
        self.graph = Graph(self.artefact)

    def decode_request(self, request: dict[str, Any]) -> Any:
        return request["window"]

    def predict(self, window: Any) -> dict[str, Any]:
        return self.graph.run(window)

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        return output
