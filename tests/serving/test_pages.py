"""The `bash` blocks of the pages on data planes are executed, `shaper` in this process, anything else as it stands."""

import importlib
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("ENVOY.md", "KUBERNETES.md", "LEASES.md")
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    text = "".join(BLOCK.findall(page.read_text("utf-8"))).replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip()]


def run_shaper(arguments: list[str]) -> int:
    """Run a command through the entry that pyproject.toml names for it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    module, _, function = project["entry-points"]["shaper.commands"][arguments[0]].partition(":")
    status: int = getattr(importlib.import_module(module), function)(arguments[1:])
    return status


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_does_what_it_says(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "serving" / "deploy", tmp_path / "serving" / "deploy")
    monkeypatch.chdir(tmp_path)
    found = commands(ROOT / "serving" / page)
    assert found
    for command in found:
        words = shlex.split(command)
        if words[0] == "shaper":
            assert run_shaper(words[1:]) == 0, command
        else:
            ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
            assert ran.returncode == 0, f"{command}\n{ran.stderr}"
