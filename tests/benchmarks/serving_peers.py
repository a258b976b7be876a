"""The same ONNX behind other servers, each as its own documentation shows: `python serving_peers.py NAME ARTEFACT PORT`.

Every one decodes a JSON window, runs one session on one thread, and answers quantiles and spikes as JSON. One worker each.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

OUTPUTS = ["quantiles", "spike"]
MODEL = """
import mlflow, numpy as np
from pathlib import Path
from tests.benchmarks.serving_peers import Graph

class Served(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.graph = Graph(Path(context.artifacts["artefact"]))
    def predict(self, context, model_input, params=None):
        return self.graph.run(model_input["window"] if isinstance(model_input, dict) else model_input)

mlflow.models.set_model(Served())
"""


class Graph:
    """A session, and the blank memory that it is given."""

    def __init__(self, artefact: Path) -> None:
        from serving.inference import load

        self.session = load(artefact / "model.onnx")
        memory = [given for given in self.session.get_inputs() if given.name == "state"]
        self.blank = {given.name: np.zeros((1, given.shape[1]), np.float32) for given in memory}

    def run(self, window: Any) -> dict[str, Any]:
        given = {"window": np.asarray(window, np.float32), **self.blank}
        return dict(zip(OUTPUTS, (array.tolist() for array in self.session.run(OUTPUTS, given)), strict=True))


def litserve(artefact: Path, port: int) -> None:
    from litserve import LitServer

    from tests.benchmarks.litserve_peer import Api

    LitServer(Api(artefact), accelerator="cpu", workers_per_device=1).run(
        host="127.0.0.1", port=port, generate_client_file=False, num_api_servers=1, log_level="error"
    )


def mlflow(artefact: Path, port: int) -> None:
    import mlflow.pyfunc

    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # where it looks for its server
    with tempfile.TemporaryDirectory() as folder:
        code, saved = Path(folder, "code.py"), Path(folder, "model")
        code.write_text(MODEL, "utf-8")
        mlflow.pyfunc.save_model(
            saved, python_model=str(code), artifacts={"artefact": str(artefact)}, pip_requirements=[]
        )
        subprocess.run(
            [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(saved), "-h", "127.0.0.1", "-p", str(port),
             "--env-manager", "local", "--workers", "1"], check=False, env={**os.environ, "PATH": programs},
        )  # fmt: skip


PEERS = {"litserve": litserve, "mlflow": mlflow}

if __name__ == "__main__":
    PEERS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
