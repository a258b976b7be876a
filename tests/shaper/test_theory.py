"""The theory page: what it names exists, and every part of it is shown by a test."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "shaper" / "THEORY.md"
CODE = ("shaper", "training")
MODULE = re.compile(r"[a-z_/]+\.py")
NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")


@cache
def known(folder: str) -> frozenset[str]:
    """Every name that the Python files of a folder define: functions, classes, arguments, fields and constants."""
    found: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.arg):
                found.add(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
    return frozenset(found)


def exists(word: str) -> bool:
    """Whether a test, a module or a name that the page quotes exists; … stands for any letters."""
    if word.startswith("test_") and not word.endswith(".py"):
        pattern = re.compile(re.escape(word).replace("…", ".*") + "$")
        return any(pattern.match(name) for name in known("tests"))
    if MODULE.fullmatch(word):
        folders = (ROOT, ROOT / "shaper", ROOT / "shaper" / "replay", ROOT / "tests" / "shaper")
        return any((folder / word).is_file() for folder in folders)
    return not NAME.fullmatch(word) or any(word in known(folder) for folder in CODE)


def test_every_test_module_and_name_that_the_theory_quotes_exists() -> None:
    words = re.findall(r"`([^`\n]+)`", PAGE.read_text("utf-8"))
    assert len(words) > 100
    assert [word for word in words if not exists(word)] == []


def test_every_section_of_the_theory_names_a_test_that_shows_it() -> None:
    sections = re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)[1:]
    unshown = [section.splitlines()[0] for section in sections if "test_" not in section]
    assert unshown == []


def test_a_name_that_is_gone_is_found_out() -> None:
    assert exists("wanted_units")
    assert exists("test_a_simulated_queue_of_other_laws_…")
    assert not exists("test_that_nobody_wrote")
    assert not exists("gone.py")
    assert not exists("unheard_of_rule")
