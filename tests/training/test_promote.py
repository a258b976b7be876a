"""Who becomes champion: only what is significantly better on a frozen period, and keeps every guard."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from data.contract import Window, read_contract
from data.errors import DataError
from tests.serving import made
from tests.training.hindsights import LEVELS, hindsight
from tests.training.registered import SINCE, UNTIL, write_artefact, write_history
from training.artefact import Artefact
from training.commands import promote
from training.promotion import Contest, Limits, contest
from training.tracking import Store


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("promotion")
    write_history(folder / "history")
    for name, context in (("short", 2), ("long", 8)):
        write_artefact(folder / name, name, context)
    write_artefact(folder / "narrow", "narrow", 8, spread=0.5)
    return folder


def words(home: Path, name: str, out: Path, *more: str) -> list[str]:
    return [
        str(home / name),
        "--data",
        str(home / "history"),
        "--since",
        SINCE,
        "--until",
        UNTIL,
        "--out",
        str(out),
        *more,
    ]


def test_a_better_model_replaces_the_champion_and_a_worse_one_is_refused(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    champion, out = tmp_path / "champion", tmp_path / "out"
    assert promote.main(words(home, "short", out, "--to", str(champion), "--licence", "CC0")) == 0
    assert "persistence" in capsys.readouterr().out
    assert promote.main(words(home, "long", out, "--to", str(champion), "--licence", "CC0")) == 0
    assert read_contract(champion).name == "long"
    assert promote.main(words(home, "short", out, "--to", str(champion))) == 1
    assert read_contract(champion).name == "long"
    told = json.loads((out / "verdict.json").read_text())
    assert not told["promoted"]
    assert any("worse than long" in reason for reason in told["reasons"])
    card = (champion / "card.md").read_text("utf-8")
    assert card.startswith("# long\n\nWhat it is.")
    for part in ("Licence of the data it learnt from: CC0.", "Against short", "Known failures", SINCE):
        assert part in card
    assert (out / "plots" / "skill-demand.png").is_file()


def test_a_model_without_a_gain_is_refused(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    champion = write_artefact(tmp_path / "champion", "same", 8)
    assert promote.main(words(home, "long", tmp_path / "out", "--to", str(champion))) == 1
    assert "no significant gain" in capsys.readouterr().out
    assert read_contract(champion).name == "same"


def test_a_dry_run_changes_nothing(home: Path, tmp_path: Path) -> None:
    assert promote.main(words(home, "long", tmp_path / "out", "--to", str(tmp_path / "champion"), "--dry-run")) == 0
    assert not (tmp_path / "champion").exists()


def test_a_period_that_the_model_has_seen_is_refused(home: Path, tmp_path: Path) -> None:
    seen = Window("2023-01-01T00:00:00+00:00", "2024-01-02T00:00:00+00:00")
    write_artefact(tmp_path / "seen", "seen", 8, training=seen)
    options = words(home, "seen", tmp_path / "out", "--to", str(tmp_path / "champion"))
    with pytest.raises(DataError, match="has not seen"):
        promote.main([str(tmp_path / "seen"), *options[1:]])


def held(home: Path, name: str, limits: Limits | None = None, champion: str | None = None, **changes: float) -> Contest:
    """A contest of made-up forecasts under the artefacts' own guards."""
    challenger = (Artefact.open(home / name), {"demand": hindsight(**changes)})
    rival = None if champion is None else (Artefact.open(home / champion), {"demand": hindsight(bias=0.2)})
    return contest(challenger, rival, limits or Limits(latency_ms=1e6))


def test_every_guard_can_refuse(home: Path) -> None:
    assert held(home, "long", champion="short").reasons == []
    assert any("coverage of demand" in reason for reason in held(home, "long", spread=0.5).reasons)
    assert any(reason.startswith("latency") for reason in held(home, "long", Limits(latency_ms=0.0)).reasons)
    assert any(reason.startswith("size") for reason in held(home, "long", Limits(latency_ms=1e6, size_mb=0.0)).reasons)


def test_quantiles_out_of_order_refuse(home: Path) -> None:
    seen = hindsight()
    crossed = replace(seen.issued, quantiles=seen.issued.quantiles[..., [0, 2, 1, 3, 4]])
    found = contest(
        (Artefact.open(home / "long"), {"demand": replace(seen, issued=crossed)}), None, Limits(latency_ms=1e6)
    )
    assert any(reason.startswith("crossing") for reason in found.reasons)


def test_a_challenger_that_offers_less_is_refused(home: Path, tmp_path: Path) -> None:
    write_artefact(tmp_path / "other", "other", 8, task="panel")
    seen = {"demand": hindsight()}
    pair = [(Artefact.open(folder), seen) for folder in (tmp_path / "other", home / "short")]
    found = contest(pair[0], pair[1], Limits(latency_ms=1e6))
    assert any("task panel in place of demand" in reason for reason in found.reasons)
    assert LEVELS == made.LEVELS


def test_the_local_registry_holds_the_champion_with_its_signature(home: Path, tmp_path: Path) -> None:
    options = ["--name", "demand", "--store", str(tmp_path / "mlflow")]
    assert promote.main(words(home, "long", tmp_path / "out", *options)) == 0
    store = Store(tmp_path / "mlflow")
    version = store.version("demand", "champion")
    assert version == "1"
    folder = store.download("demand", version, tmp_path / "fetched")
    assert read_contract(folder) == read_contract(home / "long")
    assert "quantiles" in (folder / "MLmodel").read_text("utf-8")
    assert promote.main(words(home, "short", tmp_path / "out", *options)) == 1
    assert store.version("demand", "champion") == "1"
