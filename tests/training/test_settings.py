"""Configurations that contradict themselves."""

import datetime as dt
from pathlib import Path

import pytest

from data.contract import Panel
from data.errors import UsageError
from training import settings
from training.preparation import columns
from training.single import read


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: settings.PanelSettings(horizons=(1, 3)), "horizons"),
        (lambda: settings.PanelSettings(horizons=(2, 3)), "horizons"),
        (lambda: settings.PanelSettings(levels=(0.5, 0.1)), "levels"),
        (lambda: settings.PanelSettings(targets=()), "target"),
        (lambda: settings.PanelSettings(tick_s=7), "tick_s"),
        (lambda: settings.SplitSettings(since="2024-02-01", until="2024-01-01"), "since"),
        (lambda: settings.SplitSettings(until="soon"), "ISO 8601"),
        (lambda: settings.SplitSettings(validation_days=0), "validation_days"),
        (lambda: settings.BatchSettings(stride=0), "stride"),
        (lambda: settings.OptimiserSettings(learning_rate=0), "learning_rate"),
        (lambda: settings.LossSettings(focus=-1.0), "focus"),
        (lambda: settings.LossSettings(late=2.0), "late"),
        (lambda: settings.LossSettings(qlike={"volatility": -1.0}), "qlike"),
        (lambda: settings.LossSettings(decision=1.0), "levers"),
        (lambda: settings.LeverSettings("demand", 0, 2.0, 1.0), "horizon"),
        (lambda: settings.LeverSettings("demand", 1, 1.0, 2.0), "overage < underage"),
    ],
)
def test_a_contradiction_is_a_usage_error_that_names_the_key(make: object, part: str) -> None:
    with pytest.raises(UsageError, match=part) as caught:
        make()  # type: ignore[operator]
    assert caught.value.exit_code == 2


def test_a_time_without_an_offset_is_utc() -> None:
    assert settings.instant("2024-02-01") == dt.datetime(2024, 2, 1, tzinfo=dt.UTC)
    assert settings.instant("2024-02-01T02:00+02:00") == dt.datetime(2024, 2, 1, tzinfo=dt.UTC)


CONFIGS = sorted(
    path
    for path in (Path(settings.__file__).parent / "configs").glob("*.yaml")
    if "panel" in read(path).get("data", {})
)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_each_configuration_asks_for_features_and_targets_that_there_are(path: Path) -> None:
    told = read(path)["data"]["panel"]
    panel = settings.PanelSettings(**{key: tuple(one) if isinstance(one, list) else one for key, one in told.items()})
    features, targets = columns(panel, Panel(panel.tick_s, panel.chain, {k: tuple(v) for k, v in panel.roles.items()}))
    assert {target.anchor for target in targets} <= {feature.name for feature in features}
