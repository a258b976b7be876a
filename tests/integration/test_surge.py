"""Capacity that takes its time to arrive: the same surge with a sidecar whose forecast leads and with one that reacts, drawn."""

import asyncio
from pathlib import Path

import pytest

from data.commands import main as data
from tests.integration.surges import SHORT, SURGE, TRUST, Spell, bought, play, scenario
from training.commands.timeline import main as timeline
from training.commands.train import main as train
from training.lived import ORDERS, SERIES, read_lived

FIT = {
    "data.panel.horizons": "[1,2,3,4]", "data.panel.levels": "[0.05,0.25,0.5,0.75,0.95]", "data.split.validation_days": "0.1",
    "data.split.calibration_days": "0.5", "boosting.max_iter": "40", "boosting.learning_rate": "0.2", "boosting.spike_iter": "5",
    "boosting.min_samples_leaf": "15", "boosting.pairs": "40000",
}  # fmt: skip


def trained(folder: Path) -> tuple[Path, Path]:
    """A world of auctions, and a forecaster of its orders that has seen none of the day of the surge."""
    (folder / "auctions.toml").write_text(scenario())
    assert (
        data(["simulate", str(folder / "auctions.toml"), "--days", "3", "--seed", "1", "--out", str(folder / "world")])
        == 0
    )
    options = [word for key, value in FIT.items() for word in (f"--{key}", value)]
    runs = ["--run.folder", str(folder / "runs"), "--run.track=false"]
    until = ["--data.history", str(folder / "world"), "--data.split.until", f"{SURGE:%Y-%m-%d}"]
    assert train(["boost", "--config", "training/configs/demand-boosting.yaml", *until, *runs, *options]) == 0
    return folder / "world", folder / "runs" / "demand-boosting" / "artefact"


async def lived(folder: Path, policy: str, world: Path, artefact: Path, spell: Spell) -> None:
    """Play the surge against a sidecar of a policy, and keep its record."""
    with bought(folder / policy, policy, world, artefact, spell) as (sidecar, bind):
        await asyncio.to_thread(sidecar.wait_for, "/v1/plan")
        orders = await play(sidecar, bind, world, spell)
        status, body = await asyncio.to_thread(sidecar.ask, "GET", f"/v1/series?after_s={spell.orders.timestamp()}")
        assert status == 200
        (folder / policy / SERIES).write_bytes(body)
        orders.write_parquet(folder / policy / ORDERS)
        assert await asyncio.to_thread(sidecar.stop) == 0


@pytest.mark.parametrize(
    "spell", [pytest.param(SHORT, marks=pytest.mark.integration), pytest.param(Spell(), marks=pytest.mark.long)]
)
@pytest.mark.timeout(400)
def test_the_forecast_led_sidecar_has_the_extra_node_warm_before_the_surge_and_the_reactive_one_does_not(
    tmp_path: Path, spell: Spell
) -> None:
    world, artefact = trained(tmp_path)

    async def both() -> None:
        await asyncio.gather(*(lived(tmp_path, policy, world, artefact, spell) for policy in TRUST))

    asyncio.run(both())
    assert timeline([*(str(tmp_path / policy) for policy in TRUST), "--out", str(tmp_path / "timeline")]) == 0
    assert "<svg" in (tmp_path / "timeline" / "report.html").read_text()
    led, reactive = (read_lived(tmp_path / policy) for policy in TRUST)
    print(f"onset {led.onset_s}, warm {led.warm_s} and {reactive.warm_s}")
    assert led.onset_s is not None
    assert led.warm_s is not None
    assert led.warm_s <= led.onset_s
    assert reactive.warm_s is None or reactive.warm_s > led.onset_s
    everyone = led.orders["tier"].unique().to_list()
    assert (led.on_time(["critical"], 1.0) or 0.0) > 0.99
    assert (led.on_time(everyone, 1.0) or 0.0) > (reactive.on_time(everyone, 1.0) or 0.0)
