"""What the Containerfile's build stage does, done: its files alone, its own command, and the sidecar that comes out of it.

Not shown here, for CI has no container engine: the base images, the layers, and the user that the last stage makes.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "serving" / "deploy"


def steps(stage: int) -> list[tuple[str, str]]:
    """Instruction and arguments of each step of a stage, continued lines joined."""
    text = (DEPLOY / "Containerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line.partition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    begins = [place for place, (word, _, _) in enumerate(lines) if word == "FROM"]
    return [(word, rest) for word, _, rest in lines[begins[stage] : [*begins, len(lines)][stage + 1]]]


def copied(folder: Path) -> None:
    """Put what the build stage copies, of what git tracks, into a folder."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    sources = [source for word, rest in steps(0) if word == "COPY" for source in rest.split()[:-1]]
    for name in tracked:
        if name in sources or name.partition("/")[0] in sources:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_build_stage_makes_a_sidecar_that_serves_without_torch_or_pip(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "opt" / "shaper"
    copied(source)
    (extras,) = (re.match(r"EXTRAS=(\S+)", rest) for word, rest in steps(0) if word == "ARG")
    assert extras is not None
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"EXTRAS": extras.group(1), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for command in (rest for word, rest in steps(0) if word == "RUN"):
        words = ["bash", "-euc", command.replace("/opt/shaper", str(target))]
        ran = subprocess.run(words, cwd=source, env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    (packages,) = target.glob("lib/python*/site-packages")
    assert not [name for name in ("torch", "lightning", "mlflow", "pip") if (packages / name).exists()]
    settings = DEPLOY / "kubernetes" / "envoy" / "shaper.toml"
    checked = [str(target / "bin" / "shaper"), "serve", "--config", str(settings), "--check"]
    ran = subprocess.run(checked, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_the_last_stage_copies_the_environment_and_runs_the_command_as_nobody() -> None:
    last = dict(steps(1))
    assert last["COPY"] == "--from=build /opt/shaper /opt/shaper"
    assert last["USER"] == "10001:10001"
    assert last["ENTRYPOINT"] == '["/opt/shaper/bin/shaper"]'
    words = [word for word, _ in steps(1)]
    assert words.index("RUN") < words.index("USER") < words.index("ENTRYPOINT")
