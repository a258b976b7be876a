import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points

import pytest

from serving import cli


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group=cli.GROUP)


def test_help_lists_every_command_with_its_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    shown = {
        line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")
    }
    assert set(shown) == {command.name for command in entry_points(group=cli.GROUP)}
    assert all(shown.values()), "a command without a docstring"


def test_no_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "usage: shaper" in capsys.readouterr().out


def test_an_unknown_command_is_named_together_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["forcast"]) == 2
    assert "'forcast'" in (message := capsys.readouterr().err)
    assert "forecast" in message


def test_a_missing_package_names_the_extra_to_install(capsys: pytest.CaptureFixture[str]) -> None:
    def load(_: EntryPoint) -> None:
        raise ModuleNotFoundError(name="torch.nn")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EntryPoint, "load", load)
        assert cli.run("train", entry("train", "training.commands.train:main"), []) == 1
    assert "pip install 'derivatives-traffic-shaper[train]'" in capsys.readouterr().err


def test_a_missing_module_of_our_own_is_a_fault_not_a_missing_extra() -> None:
    with pytest.raises(ModuleNotFoundError):
        cli.run("gone", entry("gone", "serving.gone:main"), [])


def test_an_error_that_carries_a_status_ends_with_it_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    status = cli.run(
        "forecast",
        entry("forecast", "training.commands.forecast:main"),
        ["--model", "no", "--data", "no", "--out", "no"],
    )
    assert status == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_the_list_of_commands_loads_none_of_them() -> None:
    code = (
        "import sys; from serving import cli; cli.main(['--help']); print([m for m in sys.modules if m.split('.')[0] in "
        "('torch', 'polars', 'mlflow', 'numpy', 'litestar')])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "[]"
