"""The sidecar with nothing installed but the extra `serve`, and nothing at hand but what a wheel of it contains."""

import subprocess
import sys
import tomllib
import zipfile
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PACKAGES = ("data", "models", "training", "shaper", "serving")
BLOCKING = """
import sys

class Blocking:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocking())
from serving import cli
sys.exit(cli.main({words!r}))
"""


def applies(need: Requirement, extras: set[str]) -> bool:
    return need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras))


def serving_alone() -> set[str]:
    """The distributions that the extra `serve` brings, each with what it needs itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    texts = [*project["dependencies"], *project["optional-dependencies"]["serve"]]
    found, waiting = set[str](), [Requirement(text) for text in texts]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if name in found:
            continue
        found.add(name)
        with suppress(PackageNotFoundError):  # of another system
            needed = [Requirement(text) for text in requires(name) or ()]
            waiting += [need for need in needed if applies(need, wanted.extras)]
    return found


@cache
def others() -> set[str]:
    """Modules of the packages here that the extra does not bring."""
    kept = serving_alone()
    return {
        module
        for module, names in packages_distributions().items()
        if module not in PACKAGES and not kept & {canonicalize_name(name) for name in names}
    }


def run_alone(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command on the sources in a folder, without any package that the extra does not bring."""
    blocked = others()
    assert {"torch", "grpc", "envoy", "nats", "confluent_kafka", "redis", "opentelemetry"} <= blocked
    code = BLOCKING.format(blocked=blocked, words=list(words))
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


def test_it_starts_and_the_commands_of_other_extras_say_which_is_missing() -> None:
    config = str(ROOT / "serving" / "deploy" / "shaper.toml")
    ran = run_alone(ROOT, "serve", "--config", config, "--check")
    assert ran.returncode == 0, ran.stderr
    assert "are sound" in ran.stdout
    ran = run_alone(ROOT, "dataplane", "envoy", "render", "--config", str(ROOT / "serving" / "deploy" / "envoy.toml"))
    assert ran.returncode == 1
    assert "[envoy]" in ran.stderr


@pytest.mark.integration
def test_a_wheel_contains_all_that_is_tracked_and_serves_from_there(tmp_path: Path) -> None:
    tracked = subprocess.check_output(["git", "ls-files", *PACKAGES], cwd=ROOT, text=True).splitlines()
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), "."],
        cwd=ROOT, check=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        assert set(tracked) - set(content.namelist()) == set()
        content.extractall(tmp_path / "alone")
    ran = run_alone(tmp_path / "alone", "serve", "--config", "serving/deploy/shaper.toml", "--check")
    assert ran.returncode == 0, ran.stderr
