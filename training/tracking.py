"""The record of what was trained, with which data and how well: MLflow, which only this module knows.

Decided here: the store (a local sqlite file without a server unless MLFLOW_TRACKING_URI names another), what is recorded of
the environment, that one fit makes one run (the Lightning logger and everything logged after the fit share it, and a notebook's
autologging is switched off), and that a model is registered with its signature under an alias, not a stage.
"""

import importlib.metadata
import json
import logging
import platform
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import onnx
from lightning.pytorch.loggers.mlflow import MLFlowLogger
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput, Metric, Param, RunStatus
from mlflow.environment_variables import (
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR,
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT,
    MLFLOW_TRACKING_URI,
)
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types.schema import Schema, TensorSpec
from mlflow.utils.autologging_utils import autologging_is_disabled
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random

from data.contract import DIGEST_KEY, MODEL_FILE, Contract

BATCH = 100  # MLflow takes at most so many parameters in one call
LONGEST = 500  # characters of a parameter
DISTRIBUTION = "derivatives-traffic-shaper"
DIGEST_LENGTH = 36  # characters that MLflow keeps of a dataset's digest
AUTOLOGGED = ("pytorch", "sklearn")
RECORDED = ("torch", "lightning", "polars", "numpy", "scikit-learn", "onnx", "onnxruntime", "mlflow")


@dataclass(frozen=True)
class Record:
    """One run as read back: its identity, its tags, and the last value of each metric."""

    run_id: str
    experiment_id: str
    name: str
    status: str
    started_ms: int
    tags: dict[str, str]
    metrics: dict[str, float]


class Store:
    """An MLflow store: the one MLFLOW_TRACKING_URI names, else a sqlite file with its artefacts beside it in `folder`."""

    def __init__(self, folder: Path) -> None:
        quieten()
        # Of the environment, not of the process: a Lightning logger sets the latter.
        named = MLFLOW_TRACKING_URI.get()  # type: ignore[no-untyped-call]
        self.local = not named
        if not named:
            folder.mkdir(parents=True, exist_ok=True)
            self.uri = f"sqlite:///{(folder / 'mlflow.db').resolve()}"
            self.artifacts: str | None = (folder / "artifacts").resolve().as_uri()
        else:
            self.uri, self.artifacts = str(named), None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of the store's own libraries about one another
            self.client = MlflowClient(self.uri)

    def experiment(self, name: str) -> str:
        """Identity of an experiment, made when there is none of that name."""
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        place = None if self.artifacts is None else f"{self.artifacts}/{name}"
        return str(self.client.create_experiment(name, artifact_location=place))

    def start(self, experiment: str, name: str, tags: Mapping[str, str], parent: str | None = None) -> "Run":
        """Start a run, nested under another when `parent` names it."""
        stop_autologging()
        nesting = {} if parent is None else {MLFLOW_PARENT_RUN_ID: parent}
        marked = {MLFLOW_RUN_NAME: name, **tags, **nesting}
        created = self.client.create_run(self.experiment(experiment), tags=marked)
        return Run(self, created.info.run_id, created.info.experiment_id)

    def find(self, run_id: str) -> "Run | None":
        """A run to be written on; none when the store has no such run."""
        try:
            found = self.client.get_run(run_id)
        except MlflowException:
            return None
        return Run(self, run_id, found.info.experiment_id)

    def resume(self, run_id: str) -> "Run | None":
        """A run that goes on; none when the store has no such run."""
        run = self.find(run_id)
        if run is not None:
            self.client.update_run(run_id, status=RunStatus.to_string(RunStatus.RUNNING))
        return run

    def fetch(self, run_id: str, name: str, folder: Path) -> Path | None:
        """A file that a run keeps, brought into a folder from wherever the store is; none when the run has no such file."""
        try:
            return Path(self.client.download_artifacts(run_id, name, str(folder)))
        except (MlflowException, OSError):
            return None

    def records(self, experiment: str) -> list[Record]:
        """Finished and running runs of an experiment, newest first; empty when there is no such experiment."""
        found = self.client.get_experiment_by_name(experiment)
        if found is None:
            return []
        runs = self.client.search_runs([found.experiment_id], max_results=1000)
        return [
            Record(
                run_id=run.info.run_id,
                experiment_id=run.info.experiment_id,
                name=run.info.run_name or run.info.run_id,
                status=run.info.status,
                started_ms=run.info.start_time,
                tags=dict(run.data.tags),
                metrics=dict(run.data.metrics),
            )
            for run in runs
        ]

    def register(self, name: str, model_id: str, tags: Mapping[str, str], description: str) -> str:
        """A new version of a registered model, which is made when there is none of that name; returns the version."""
        with suppress(MlflowException):  # it exists already
            self.client.create_registered_model(name)
        model = self.client.get_logged_model(model_id)
        made = self.client.create_model_version(
            name, model.artifact_location, model.source_run_id, dict(tags), description=description, model_id=model_id
        )
        return str(made.version)

    def point(self, name: str, alias: str, version: str) -> None:
        """Let an alias name a version."""
        self.client.set_registered_model_alias(name, alias, version)

    def version(self, name: str, alias: str) -> str | None:
        """The version that an alias names; none when there is no such model or alias."""
        try:
            return str(self.client.get_model_version_by_alias(name, alias).version)
        except MlflowException:
            return None

    def download(self, name: str, version: str, folder: Path) -> Path:
        """The files of a registered version, brought below a folder; returns theirs."""
        uri = self.client.get_model_version_download_uri(name, version)
        folder.mkdir(parents=True, exist_ok=True)
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder), tracking_uri=self.uri))

    def experiments(self) -> list[str]:
        """Names of the experiments."""
        return sorted(found.name for found in self.client.search_experiments())

    @property
    def look(self) -> str:
        """The command that shows the runs in a browser, or where they are served already."""
        return f"mlflow ui --backend-store-uri {self.uri}" if self.local else f"open {self.uri}"

    def page(self, experiment_id: str, run_id: str) -> str:
        """Address of a run's page under the address that the UI prints (local), or whole (served)."""
        place = f"#/experiments/{experiment_id}/runs/{run_id}"
        return f"http://127.0.0.1:5000/{place}" if self.local else f"{self.uri.rstrip('/')}/{place}"


class Run:
    """One run being written."""

    def __init__(self, store: Store, run_id: str, experiment_id: str) -> None:
        self.store, self.run_id, self.experiment_id = store, run_id, experiment_id

    def logger(self) -> MLFlowLogger:
        """A Lightning logger that writes into this very run."""
        logger = MLFlowLogger(tracking_uri=self.store.uri, run_id=self.run_id)
        _ = logger.experiment  # its first use makes this store the whole process's, in the environment too
        if self.store.local:
            mlflow.set_tracking_uri("")
        return logger

    def params(self, values: Mapping[str, object]) -> None:
        """Record parameters; nested ones under dotted names."""
        entries = [Param(key, str(value)[:LONGEST]) for key, value in flat(values)]
        for start in range(0, len(entries), BATCH):
            self.store.client.log_batch(self.run_id, params=entries[start : start + BATCH])

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Record metrics in one call."""
        now = time.time_ns() // 1_000_000
        entries = [Metric(key, float(value), now, step) for key, value in values.items()]
        for start in range(0, len(entries), BATCH):
            self.store.client.log_batch(self.run_id, metrics=entries[start : start + BATCH])

    def tags(self, values: Mapping[str, str]) -> None:
        """Record tags."""
        for key, value in values.items():
            self.store.client.set_tag(self.run_id, key, value)

    def file(self, path: Path, folder: str | None = None) -> None:
        """Keep a file, or all files of a folder, with the run."""
        keep = self.store.client.log_artifacts if path.is_dir() else self.store.client.log_artifact
        keep(self.run_id, str(path), folder)

    def text(self, name: str, content: str) -> None:
        """Keep a text with the run."""
        self.store.client.log_text(self.run_id, content, name)

    def dataset(self, contract: Contract, source: Path) -> None:
        """Record which history the run learns from: its digest, its columns, and the training window."""
        columns = {feature.name: feature.unit for feature in contract.features}
        window = {"since": contract.training.since, "until": contract.training.until}
        digest, where = contract.data_digest[:DIGEST_LENGTH], json.dumps({"uri": str(source)})
        made = Dataset(source.name or "history", digest, "local", where, json.dumps(columns), json.dumps(window))
        context = InputTag(MLFLOW_DATASET_CONTEXT, "training")
        # Of two runs that tell of a dataset at once, the store takes one; the other finds it there when it tells again.
        for attempt in Retrying(
            retry=retry_if_exception_type(MlflowException),
            stop=stop_after_attempt(3),
            wait=wait_random(0, 1),
            reraise=True,
        ):
            with attempt:
                self.store.client.log_inputs(self.run_id, [DatasetInput(made, [context])])

    def model(self, folder: Path, contract: Contract) -> str:
        """Keep an artefact as this run's model, with its signature; returns the model's identity."""
        client = self.store.client
        tags = {DIGEST_KEY: contract.digest, "task": contract.task}
        made = client.create_logged_model(self.experiment_id, contract.name, self.run_id, tags)
        with tempfile.TemporaryDirectory() as name:
            staged = Path(name) / "model"
            shutil.copytree(folder, staged)
            described(folder, contract, self.run_id, made.model_id).save(str(staged / "MLmodel"))
            client.log_model_artifacts(made.model_id, str(staged))
        client.finalize_logged_model(made.model_id, "READY")
        client.log_outputs(self.run_id, [LoggedModelOutput(made.model_id, 0)])
        return str(made.model_id)

    def end(self, ok: bool = True) -> None:
        """Close the run as finished or failed."""
        status = RunStatus.FINISHED if ok else RunStatus.FAILED
        self.store.client.set_terminated(self.run_id, RunStatus.to_string(status))

    def kill(self) -> None:
        """Close the run as one that was ended before its time on purpose."""
        self.store.client.set_terminated(self.run_id, RunStatus.to_string(RunStatus.KILLED))

    @property
    def page(self) -> str:
        """Address of the run's page."""
        return self.store.page(self.experiment_id, self.run_id)


@contextmanager
def closing(run: Run | None) -> Iterator[None]:
    """End the run when the block ends: finished, or failed when it raises."""
    try:
        yield
    except BaseException:
        if run is not None:
            run.end(ok=False)
        raise
    if run is not None:
        run.end()


def described(folder: Path, contract: Contract, run_id: str, model_id: str) -> Model:
    """MLflow's own description of an artefact: the signature of its graph, and that its `pyfunc` may load it."""
    graph = onnx.load(folder / MODEL_FILE).graph
    inputs, outputs = (Schema([tensor(value) for value in part]) for part in (graph.input, graph.output))
    signature = ModelSignature(inputs, outputs)
    model = Model(run_id=run_id, signature=signature, model_id=model_id, metadata={DIGEST_KEY: contract.digest})
    model.add_flavor("onnx", onnx_version=onnx.__version__, data=MODEL_FILE)
    model.add_flavor("python_function", loader_module="mlflow.onnx", data=MODEL_FILE)
    return model


def tensor(value: Any) -> TensorSpec:
    """An input or output of a graph; a size that is free is −1."""
    shape = tuple(size.dim_value or -1 for size in value.type.tensor_type.shape.dim)
    return TensorSpec(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type), shape, value.name)


def stop_autologging() -> None:
    """Switch off what would record a fit a second time, in a run of its own."""
    for name in AUTOLOGGED:
        if not autologging_is_disabled(name):  # type: ignore[no-untyped-call]
            getattr(mlflow, name).autolog(disable=True)


def environment() -> dict[str, str]:
    """Versions, platform and git commit, as tags."""
    versions = {f"version.{name}": importlib.metadata.version(name) for name in RECORDED}
    found = {"python": platform.python_version(), "platform": platform.platform(), "machine": platform.machine()}
    return {**versions, **found, "code_version": code_version()}


def code_version() -> str:
    """The distribution's version, with the git commit of the tree it runs from (`+dirty` when files differ) where there is one."""
    version = importlib.metadata.version(DISTRIBUTION)
    described = git("describe", "--always", "--dirty=.dirty", "--exclude=*")
    return f"{version}+g{described}" if described else version


def git(*arguments: str) -> str:
    """Output of a git command on the tree that holds this file; empty when there is no git or no repository."""
    program = shutil.which("git")
    if program is None:
        return ""
    command = [program, "-C", str(Path(__file__).parent), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)  # noqa: S603 - no outside input
    return done.stdout.strip() if done.returncode == 0 else ""


def flat(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Pairs of a nested mapping under dotted names."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def quieten() -> None:
    """Keep the store's first-time migrations and hints out of the terminal."""
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(False)  # type: ignore[no-untyped-call]
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.set(True)  # type: ignore[no-untyped-call]
    for name in ("alembic", "mlflow.store.db.utils", "mlflow.store.model_registry", "mlflow.tracking.fluent"):
        logging.getLogger(name).setLevel(logging.WARNING)
