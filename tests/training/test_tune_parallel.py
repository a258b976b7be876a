"""The search in several processes, and on a Ray cluster of two nodes."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from training.space import read_space
from training.tracking import Store
from training.tuning import Search, search_here

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore")]
ROOT = Path(__file__).parent.parent.parent


def a_search(home: Path, config: Path, history: Path) -> Search:
    (home / "space.yaml").write_text("model.options.rank: {low: 1, high: 4}\n")
    overrides = (f"--data.history={history}", "--trainer.max_epochs=1")
    space = read_space(home / "space.yaml")
    return Search(config, space, 3, home / "search", overrides, "tuned", store=home / "mlflow")


def test_processes_share_one_study(history: Path, config: Path, tmp_path: Path) -> None:
    found = search_here(a_search(tmp_path, config, history), 2, lambda *_: None)
    assert found.counts == {"complete": 3}
    kinds = [record.tags["kind"] for record in Store(tmp_path / "mlflow").records("tuned")]
    assert sorted(kinds) == ["trial", "trial", "trial", "tune"]


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Two nodes of one core each on this machine."""
    ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
    from ray.cluster_utils import Cluster

    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ROOT)
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=1)
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)


def test_trials_run_on_both_nodes_of_a_cluster(cluster: Any, history: Path, config: Path, tmp_path: Path) -> None:
    from training.cluster import search_on_cluster

    search = a_search(tmp_path, config, history)
    found = search_on_cluster(search, cluster.address, 2, lambda *_: None, track=False)
    assert found.counts == {"complete": 3}
    nodes = json.loads((tmp_path / "search" / "nodes.json").read_text("utf-8"))["nodes"]
    assert len(nodes) == 3
    assert len(set(nodes)) == 2
