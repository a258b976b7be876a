"""The rules of the house that a reader would otherwise have to trust."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("data", "models", "training", "shaper", "serving")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def loaded_of(packages: set[str], code: str) -> list[str]:
    """Which of some packages a fresh interpreter has loaded after some code."""
    shown = f"{code}\nimport sys; print(*sorted({{name.split('.')[0] for name in sys.modules}} & {packages}))"
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.split()


def test_importing_the_sidecar_loads_nothing_of_training() -> None:
    code = (
        "import pkgutil, importlib, serving\n"
        "for module in pkgutil.walk_packages(serving.__path__, 'serving.'): importlib.import_module(module.name)"
    )
    training = {"torch", "lightning", "mlflow", "pandas", "sklearn", "numba", "matplotlib", "models", "training"}
    assert loaded_of(training, code) == []


def test_a_sidecar_answers_before_it_loads_what_it_may_need_later() -> None:
    later = {"scipy", "httpx", "tenacity", "grpc", "websockets", "redis"}
    assert loaded_of(later, "import serving.commands, serving.desk, serving.server") == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_ignore_file_swallows_a_package(package: str) -> None:
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    assert subprocess.run(["git", "check-ignore", "-q", f"{package}/module.py"], cwd=ROOT, check=False).returncode == 1


def test_every_folder_of_tests_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_package_roots_hold_a_docstring_and_nothing_else() -> None:
    for path in (source for source in SOURCES if source.name == "__init__.py"):
        tree = ast.parse(path.read_text("utf-8"))
        assert ast.get_docstring(tree), path
        assert len(tree.body) == 1, path


def test_no_module_is_a_drawer_for_everything() -> None:
    assert [
        path for path in SOURCES if path.stem in {"utils", "util", "common", "helpers", "base", "core", "misc"}
    ] == []


def test_the_environment_is_read_in_one_file() -> None:
    readers = [
        path for path in SOURCES if "os.environ" in path.read_text("utf-8") or "getenv" in path.read_text("utf-8")
    ]
    assert readers == [ROOT / "data" / "environment.py"]
