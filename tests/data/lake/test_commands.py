import json
from pathlib import Path

import pytest

from data.commands import main
from data.environment import history_folder
from data.lake.append import append
from tests.data.lake.frames import bars


def test_status_draws_lanes_and_writes_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    append(tmp_path / "lake", "bars", bars(30), "here")
    assert main(["status", str(tmp_path / "lake"), "--html", str(tmp_path / "out" / "status.html")]) == 0
    shown = capsys.readouterr().out
    assert "ETH-PERP" in shown
    assert "█" in shown
    assert (tmp_path / "out" / "status.html").read_text().startswith("<!doctype html>")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["status.html"]


def test_status_as_json_lists_gaps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    append(tmp_path, "bars", bars(30)[[0, 1, 5, 6]], "here")
    assert main(["status", str(tmp_path), "--json"]) == 0
    (lane,) = json.loads(capsys.readouterr().out)["lanes"]
    assert (lane["rows"], lane["step_s"]) == (4, 3600.0)
    assert lane["gaps"] == [{"start": "2024-02-01T01:00:00+00:00", "end": "2024-02-01T04:00:00+00:00", "missing": 3}]


def test_check_writes_a_page(tmp_path: Path) -> None:
    append(tmp_path / "lake", "bars", bars(30), "here")
    assert main(["check", str(tmp_path / "lake"), "--html", str(tmp_path / "check.html")]) == 0
    assert "No faults." in (tmp_path / "check.html").read_text()


@pytest.mark.parametrize("command", ["status", "import", "check"])
def test_help_ends_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"shaper data {command}" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.history
def test_recorded_history_comes_into_a_lake_unchanged_and_passes(tmp_path: Path) -> None:
    folder = history_folder()
    if folder is None:
        pytest.skip("set SHAPER_HISTORY to a folder of recorded history")
    from data.history import History

    assert main(["import", "canonical", str(folder), "--out", str(tmp_path / "lake")]) == 0
    assert History.open(tmp_path / "lake").digest() == History.open(folder).digest()
    assert main(["check", str(tmp_path / "lake")]) == 0
