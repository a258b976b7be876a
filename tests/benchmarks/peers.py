"""What other libraries take for comparable networks: run as a program of its own, prints JSON.

Windows of 72 ticks and as many columns as ours (PatchTST reads the series alone), 12 ahead, seven levels, batches of 256, one
thread. CPU seconds a training step come from the middle of a short fit; seconds of one forecast are the quickest of some.
"""

import json
import logging
import statistics
import sys
import tempfile
import time
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

CONTEXT, HORIZON, BATCH, STEPS, WARM, REPEATS = 72, 12, 256, 40, 10, 12
LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
COUNT, FEATURES, TARGETS = 3000, 40, 2


def clock(base: type[Any], at: list[float]) -> Any:
    """A callback of a Lightning package that notes the CPU time after each training step (libraries copy callbacks)."""

    class Clock(base):  # type: ignore[misc]
        def on_train_batch_end(self, *_: Any, **__: Any) -> None:
            at.append(time.process_time())

    return Clock()


def step_s(at: list[float]) -> float:
    """CPU seconds a step, the first ones left out."""
    return statistics.median(b - a for a, b in pairwise(at[WARM:]))


def quickest(work: Any, repeats: int = REPEATS) -> float:
    """Seconds of the quickest call."""
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times)


def neuralforecast() -> dict[str, dict[str, float]]:
    """Step and forecast times of its TCN, PatchTST and NHITS in the sizes of ours."""
    import numpy as np
    import pandas as pd
    import pytorch_lightning
    from neuralforecast import NeuralForecast
    from neuralforecast.losses.pytorch import MQLoss
    from neuralforecast.models import NHITS, TCN, PatchTST

    values = np.cumsum(np.random.default_rng(0).normal(0, 0.1, (COUNT, FEATURES)), axis=0)
    others = [f"x{place}" for place in range(1, FEATURES)]
    frame = pd.DataFrame(values, columns=["y", *others])
    frame = frame.assign(unique_id="a", ds=pd.date_range("2024", periods=COUNT, freq="5min"))
    shared = {"h": HORIZON, "input_size": CONTEXT, "batch_size": 1, "windows_batch_size": BATCH, "max_steps": STEPS}
    quiet = {"enable_progress_bar": False, "logger": False, "enable_model_summary": False, "accelerator": "cpu"}
    sizes: dict[str, tuple[Any, dict[str, Any]]] = {
        "tcn": (
            TCN,
            {"encoder_hidden_size": 32, "decoder_hidden_size": 32, "kernel_size": 3, "hist_exog_list": others},
        ),
        "patch": (
            PatchTST,
            {
                "encoder_layers": 2,
                "n_heads": 4,
                "hidden_size": 32,
                "linear_hidden_size": 64,
                "patch_len": 6,
                "stride": 6,
            },
        ),
        "mixer": (NHITS, {"mlp_units": 3 * [[32, 32]], "hist_exog_list": others}),
    }
    found = {}
    for name, (model, size) in sizes.items():
        at: list[float] = []
        timer, loss = clock(pytorch_lightning.Callback, at), MQLoss(quantiles=list(LEVELS))
        made = model(**shared, **size, **quiet, loss=loss, callbacks=[timer], enable_checkpointing=False)
        forecaster = NeuralForecast([made], freq="5min")
        forecaster.fit(frame)
        tail = frame.tail(CONTEXT)
        found[name] = {
            "step_s": step_s(at),
            "forecast_s": quickest(lambda known=tail, by=forecaster: by.predict(known)),
        }
    return found


def darts() -> dict[str, dict[str, float]]:
    """Forecast time of its exported TCN, the graph alone."""
    import numpy as np
    import onnxruntime
    from darts import TimeSeries
    from darts.models import TCNModel
    from darts.utils.likelihood_models import QuantileRegression

    values = np.cumsum(np.random.default_rng(0).normal(0, 0.1, (COUNT, FEATURES)), axis=0).astype(np.float32)
    targets, others = TimeSeries.from_values(values[:, :TARGETS]), TimeSeries.from_values(values[:, TARGETS:])
    model = TCNModel(
        input_chunk_length=CONTEXT,
        output_chunk_length=HORIZON,
        num_filters=32,
        kernel_size=3,
        dilation_base=2,
        likelihood=QuantileRegression(list(LEVELS)),
        n_epochs=1,
        batch_size=BATCH,
        pl_trainer_kwargs={"enable_progress_bar": False, "logger": False, "accelerator": "cpu", "max_steps": 2},
    )
    model.fit(targets, past_covariates=others)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tcn.onnx"
        model.to_onnx(str(path))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(path), options)
        given = {
            node.name: np.zeros([size if isinstance(size, int) else 1 for size in node.shape], np.float32)
            for node in session.get_inputs()
        }
        return {"tcn": {"forecast_s": quickest(lambda: session.run(None, given), 300)}}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    import torch

    torch.set_num_threads(1)
    print(json.dumps({"neuralforecast": neuralforecast, "darts": darts}[sys.argv[1]]()))
