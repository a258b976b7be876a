import re
from pathlib import Path

import pytest

import serving.dashboard
from serving.dashboard.page import Page
from tests.serving.asgi import ask

FOLDER = Path(serving.dashboard.__file__).parent


@pytest.fixture(scope="module")
def page() -> Page:
    return Page()


def test_the_page_and_everything_it_names_are_served(page: Page) -> None:
    answer = ask(page, "/")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    named = re.findall(r'(?:src|href)="(/[^"]+)"', answer.body.decode())
    assert len(set(named)) >= 4
    assert {ask(page, path).status for path in named} == {200}


def test_every_module_that_a_module_imports_is_there(page: Page) -> None:
    for script in FOLDER.glob("*.js"):
        for name in re.findall(r'from "\./([^"]+)"', script.read_text("utf-8")):
            assert ask(page, f"/dashboard/{name}").headers["content-type"] == "text/javascript; charset=utf-8"


def test_nothing_is_inline_and_nothing_comes_from_elsewhere(page: Page) -> None:
    html = ask(page, "/").body.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style", html)
    for text in [html, *(file.read_text("utf-8") for file in FOLDER.glob("*.[jc]s*") if "uPlot" not in file.name)]:
        assert not re.search(r"(https?:)?//\w+\.\w+", text)
    assert "default-src 'none'; script-src 'self'" in ask(page, "/").headers["content-security-policy"]


def test_text_of_the_server_is_never_read_as_markup() -> None:
    for script in FOLDER.glob("*.js"):
        if "uPlot" not in script.name:
            assert not re.search(
                r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", script.read_text("utf-8")
            )


def test_a_file_that_the_browser_has_is_not_sent_again(page: Page) -> None:
    tag = ask(page, "/dashboard/app.js").headers["etag"]
    again = ask(page, "/dashboard/app.js", headers={"If-None-Match": tag})
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    "path", ["/dashboard/", "/dashboard/../page.py", "/dashboard/page.py", "/dashboard/index.html/x"]
)
def test_other_files_are_not_there(page: Page, path: str) -> None:
    assert ask(page, path).status == 404


def test_the_page_takes_no_posts(page: Page) -> None:
    assert ask(page, "/", "POST").status == 405


def test_the_licence_of_the_charts_lies_beside_them() -> None:
    assert "MIT License" in (FOLDER / "uPlot.LICENSE").read_text("utf-8")
    assert (
        (FOLDER / "uPlot.iife.min.js").read_text("utf-8").startswith("/*! https://github.com/leeoniya/uPlot (v1.6.32)")
    )
