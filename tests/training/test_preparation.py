"""What fitting is given."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from data.errors import DataError, UsageError
from data.history import write_table
from training.datamodule import PanelData
from training.preparation import Prepared, prepare
from training.settings import BatchSettings, PanelSettings, SplitSettings

PANEL = PanelSettings(tick_s=900, context=6, horizons=(1, 2, 3))
SPLIT = SplitSettings(until="2024-01-10", validation_days=2.5, calibration_days=2.5)


@pytest.fixture(scope="module")
def prepared(history: Path) -> Prepared:
    return prepare(history, PANEL, SPLIT)


def test_nothing_that_training_learns_depends_on_rows_after_until(
    prepared: Prepared, history: Path, tmp_path: Path
) -> None:
    bars, blocks = (pl.read_parquet(history / f"{name}.parquet") for name in ("bars", "blocks"))
    until = pl.datetime(2024, 1, 10, time_zone="UTC")
    write_table(
        tmp_path, "bars", bars.with_columns(pl.when(pl.col("ts") < until).then("high").otherwise(9e9).alias("high"))
    )
    write_table(
        tmp_path,
        "blocks",
        blocks.with_columns(pl.when(pl.col("ts") < until).then("base_fee_wei").otherwise(7).alias("base_fee_wei")),
    )
    other = prepare(tmp_path, PANEL, SPLIT)
    assert other.contract == prepared.contract
    np.testing.assert_array_equal(other.reference, prepared.reference)
    for name, value in vars(prepared.statistics).items():
        torch.testing.assert_close(vars(other.statistics)[name], value, rtol=0, atol=0)
    for part in (prepared.split.fit, prepared.split.validation, prepared.split.calibration):
        rows = prepared.trainable(part)
        np.testing.assert_array_equal(other.windows[rows], prepared.windows[rows])
        np.testing.assert_array_equal(other.labels.ahead[rows], prepared.labels.ahead[rows])


def test_the_contract_names_the_fitting_period_and_its_sizes(prepared: Prepared) -> None:
    contract = prepared.contract
    assert contract.training.since == "2024-01-01T00:15:00+00:00"
    assert contract.training.until < "2024-01-05"
    assert prepared.windows.shape[1:] == (6, len(contract.features))
    assert [target.name for target in contract.targets] == ["volatility", "congestion"]


def test_a_window_ends_with_the_row_it_belongs_to(prepared: Prepared) -> None:
    np.testing.assert_array_equal(prepared.windows[100][-1], prepared.rows.matrix[100])
    np.testing.assert_array_equal(prepared.windows[100][0], prepared.rows.matrix[95])
    assert np.isnan(prepared.windows[0][0]).all()


def test_a_batch_holds_the_windows_and_labels_of_its_rows(history: Path) -> None:
    data = PanelData(history, PANEL, SPLIT, BatchSettings(size=32))
    batch = next(iter(data.val_dataloader()))
    rows = data.prepared.trainable(data.prepared.split.validation)[:32]
    np.testing.assert_array_equal(batch.window.numpy(), data.prepared.windows[rows])
    np.testing.assert_array_equal(batch.ahead.numpy(), data.prepared.labels.ahead[rows])
    assert batch.known.dtype == batch.at_risk.dtype == torch.bool


def test_a_stride_thins_the_fitting_rows_only(history: Path) -> None:
    data = PanelData(history, PANEL, SPLIT, BatchSettings(size=8, stride=4))
    every = PanelData(history, PANEL, SPLIT, BatchSettings(size=8))
    assert len(data.train_dataloader()) < len(every.train_dataloader()) / 3
    assert len(data.val_dataloader()) == len(every.val_dataloader())


@pytest.mark.parametrize(
    ("panel", "message"),
    [
        (PanelSettings(tick_s=900, targets=("gravity",)), "gravity"),
        (PanelSettings(tick_s=900, families=("gravity",)), "gravity"),
        (PanelSettings(tick_s=900, families=("volatility",)), "add the family congestion"),
    ],
)
def test_what_is_not_there_cannot_be_asked_for(history: Path, panel: PanelSettings, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        prepare(history, panel, SPLIT)


def test_a_history_that_is_too_short_is_refused(history: Path) -> None:
    with pytest.raises(UsageError, match="ticks before the end of training"):
        prepare(history, PANEL, SplitSettings(until="2024-01-03"))


def test_a_target_that_is_hardly_ever_known_is_refused(history: Path, tmp_path: Path) -> None:
    for name in ("bars", "blocks"):
        frame = pl.read_parquet(history / f"{name}.parquet")
        kept = frame if name == "bars" else frame.filter(pl.col("ts") < pl.datetime(2024, 1, 2, time_zone="UTC"))
        write_table(tmp_path, name, kept)
    with pytest.raises(DataError, match="known outcomes of congestion"):
        prepare(tmp_path, PANEL, SPLIT)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        prepare(tmp_path / "nowhere", PANEL, SPLIT)


def test_a_target_may_be_anchored_to_another_feature_and_a_test_thinned_out(history: Path) -> None:
    panel = PanelSettings(targets=("volatility",), anchors={"volatility": "eth_log_volatility"}, context=3)
    division = SplitSettings(until="2024-01-12", validation_days=1, calibration_days=1, test_stride=10)
    prepared = prepare(history, panel, division)
    assert prepared.contract.targets[0].anchor == "eth_log_volatility"
    assert prepared.test_stride == 10
    with pytest.raises(UsageError, match="anchors of the targets"):
        PanelSettings(targets=("volatility",), anchors={"demand": "log_demand"})
