"""Everything that the README shows is executed: its `bash` blocks run in order, in a copy of the checkout."""

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.parts import part

ROOT = Path(__file__).parent.parent.parent
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[str]:
    return BLOCK.findall(page.read_text("utf-8"))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what git tracks, with this interpreter's environment as its own."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    (tmp_path / ".venv").symlink_to(sys.prefix, target_is_directory=True)
    (Path(sys.prefix) / ".installed").touch()  # the environment is there: `make` has nothing to install
    return tmp_path


@pytest.mark.integration
@pytest.mark.timeout(1500)
def test_every_command_of_the_readme_does_what_it_says(checkout: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "SHAPER_HISTORY"}
    for block in blocks(checkout / "README.md"):
        ran = subprocess.run(
            ["bash", "-emo", "pipefail", "-c", block],
            cwd=checkout,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, f"{block}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
    for product in ("demo/report.html", "forecasts/quantiles.parquet", "replay/results.json", "compare"):
        assert (checkout / "var" / product).exists(), product


@pytest.mark.integration
def test_the_walkthrough_leads_from_a_surge_to_a_model_that_is_unplugged(checkout: Path) -> None:
    places = [str(Path(sys.executable).parent), str(Path(part("anvil")).parent), os.environ["PATH"]]
    script = "\n".join(blocks(checkout / "serving" / "WALKTHROUGH.md"))
    ran = subprocess.Popen(
        ["bash", "-eo", "pipefail", "-c", script], cwd=checkout, env={**os.environ, "PATH": os.pathsep.join(places)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        said, _ = ran.communicate(timeout=200)
    finally:
        with suppress(ProcessLookupError):  # nothing of it is left when it went well
            os.killpg(ran.pid, signal.SIGKILL)
    assert ran.returncode == 0, said[-6000:]
    assert '"jsonrpc":"2.0","id":1,"result":"0x0"' in said
    assert "the last-good serves" in said
    assert "are whole" in said


def test_every_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text("utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []
