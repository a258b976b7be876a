"""What the sparse evaluation of the convolutional network saves against the dense one with the same weights."""

import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from models.shape import Shape
from models.tcn import Tcn, TcnConfig
from tests.models.test_tcn import dense

CONTEXT, FEATURES, BATCH, REPEATS = 72, 40, 512, 7


def seconds(work: Callable[[], Tensor]) -> float:
    """The quickest of some forward and backward passes."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work().square().mean().backward()
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.mark.benchmark
def test_the_sparse_network_trains_faster_than_the_dense_one(capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        shape = Shape(CONTEXT, FEATURES, 12, 2, (0.05, 0.5, 0.95), (0, 1), (0, 1))
        model = Tcn(shape, TcnConfig())
        standard = torch.randn(BATCH, CONTEXT, FEATURES)
        sparse_s = seconds(lambda: model(standard))
        dense_s = seconds(lambda: dense(model, standard)[:, -1])
    finally:
        torch.set_num_threads(threads)
    with capsys.disabled():
        print(f"\n  sparse {sparse_s * 1e3:.1f} ms, dense {dense_s * 1e3:.1f} ms: {dense_s / sparse_s:.1f} times")
    assert sparse_s < dense_s
