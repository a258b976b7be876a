from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from serving.api import create_app
from serving.demand import RecentOrders
from serving.feeds import RowsFeed
from serving.inference import Forecaster
from serving.loop import Sidecar
from serving.metrics import Metrics
from serving.pipeline import Pipeline
from serving.state import Board
from tests.serving.made import HORIZONS, PROVEN, START, counts, venue, write_artefact


@pytest.fixture
def forecaster(tmp_path: Path) -> Forecaster:
    """A model that repeats the last demand."""
    return Forecaster.open(write_artefact(tmp_path / "artefact"))


@pytest.fixture
def broken(tmp_path: Path) -> Forecaster:
    """A model that answers NaN."""
    return Forecaster.open(write_artefact(tmp_path / "broken", offsets=np.full((len(HORIZONS), 1, 5), np.nan)))


@pytest.fixture
def pipeline(forecaster: Forecaster) -> Pipeline:
    """A pipeline that has seen nothing."""
    return Pipeline(venue(), forecaster, Metrics.create(), RecentOrders(15.0), trust=PROVEN)


@pytest.fixture
def fed(pipeline: Pipeline) -> Pipeline:
    """A pipeline that has seen two hours of 48 orders a second."""
    pipeline.take({"request_counts": counts(START, 7200)})
    return pipeline


@pytest.fixture
def sidecar(pipeline: Pipeline) -> Sidecar:
    """A sidecar whose time is that of posted rows."""
    feed = RowsFeed(15.0)
    return Sidecar(feed, pipeline, Board(lambda: feed.now().timestamp()))


@pytest.fixture
def client(sidecar: Sidecar) -> Iterator[TestClient[Litestar]]:
    """The API of that sidecar, running."""
    with TestClient(create_app(sidecar, "0.0.0"), base_url="http://127.0.0.1") as made:
        yield made
