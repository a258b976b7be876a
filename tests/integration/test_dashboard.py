"""The page in a real browser, over a recorded history that is played: what an operator sees and can do."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.browser import Tab, opened
from tests.serving.made import write_artefact, write_config, write_history
from tests.serving.process import Running, running

pytestmark = pytest.mark.integration
NODES = "".join(
    f'''
[[venue.nodes]]
name = "{name}"
operator = "{operator}"
region = "{region}"
chain = "ethereum"
capacity_per_s = 150.0
latency_s = {latency_s}
fee_usd = 0.001
'''
    for name, operator, region, latency_s in (("fra-1", "north", "eu", 0.02), ("nrt-1", "south", "asia", 0.08))
)
DRAWN = "[...document.querySelectorAll('.plot canvas')].length"
CHECKS = (Path(__file__).parent / "page_checks.js").read_text("utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dashboard")


@pytest.fixture(scope="module")
def sidecar(folder: Path) -> Iterator[Running]:
    write_artefact(folder / "artefact")
    history = write_history(folder / "history")
    config = write_config(folder)
    config.write_text(config.read_text("utf-8") + NODES, "utf-8")
    with running(config, "--history", str(history), "--speed", "30") as made:
        made.wait_for("/readyz")
        yield made


@pytest.fixture(scope="module")
def browser(folder: Path) -> Iterator[Tab]:
    with opened(folder / "profile") as made:
        yield made


@pytest.fixture
def tab(browser: Tab, sidecar: Running) -> Iterator[Tab]:
    """The page, loaded anew; it may have complained of nothing in the end."""
    browser.complaints = []
    browser.tell("Page.navigate", url=f"http://127.0.0.1:{sidecar.port}/")
    browser.wait_for("document.readyState === 'complete' && document.querySelectorAll('#settings tbody tr').length > 0")
    yield browser
    assert browser.complaints == []


def test_the_page_shows_the_plan_its_reason_and_charts_that_have_data(tab: Tab, sidecar: Running) -> None:
    plan = sidecar.get("/v1/plan")
    tab.wait_for(f"document.querySelector('#stage').textContent === {plan['stage']!r}")
    assert tab.text("#reason") in {made["reason"] for made in sidecar.get("/v1/plans")["plans"]}
    assert f"Tier {plan['quotas'][0]['tier']}" in tab.text("#settings")
    assert plan["weights"][0]["reason"] in tab.text("#settings")
    tab.wait_for(f"{DRAWN} === 3")
    tab.wait_for("document.querySelector('#fan-text').textContent.includes('orders/s')")
    tab.wait_for(f"{CHECKS} colours().every((seen) => seen >= 3)")  # its ground, its grid and at least one line
    assert "fra-1" in tab.text("#nodes")
    assert "largest share" in tab.text("#dispersion")


def test_each_chart_has_its_figures_as_a_table_for_those_who_do_not_see_it(tab: Tab) -> None:
    tab.wait_for(f"{DRAWN} === 3")
    tab.value("document.querySelectorAll('figure details').forEach((box) => { box.open = true; })")
    for chart in ("fan", "spike", "capacity"):
        tab.wait_for(f"document.querySelectorAll('#{chart} details tbody tr').length > 2")
    assert "came" in tab.text("#fan details thead")
    assert tab.value(f"{CHECKS} nameless()") == []


def test_plans_arrive_by_themselves(tab: Tab) -> None:
    tab.wait_for("document.querySelector('#connection').textContent === 'live'")
    before = tab.text("#clock")
    tab.wait_for(f"document.querySelector('#clock').textContent !== {before!r}", 10.0)
    tab.wait_for("document.querySelectorAll('#events li').length > 0")


def test_an_override_reaches_the_plan_and_is_lifted_again(tab: Tab, sidecar: Running) -> None:
    tab.wait_for("document.querySelector('#pins').innerText.startsWith('Nothing')")
    tab.value("document.querySelector('#pin-reason').value = 'a drill'; document.querySelector('#go-static').click()")
    tab.wait_for("document.querySelector('#stage').textContent === 'static'")
    assert "a drill" in tab.text("#reason")
    assert [(pin["lever"], pin["name"]) for pin in sidecar.get("/v1/overrides")["overrides"]] == [("stage", "static")]
    assert "static for 15 min more: a drill" in tab.text("#pins")
    tab.value("document.querySelector('#pins button').click()")
    tab.wait_for("document.querySelector('#stage').textContent !== 'static'")
    assert sidecar.get("/v1/overrides") == {"overrides": []}


def test_a_form_pins_one_lever_and_says_what_is_wrong_with_a_value(tab: Tab, sidecar: Running) -> None:
    tab.wait_for("document.querySelector('#pin-name').value === 'matching'")
    fill = "document.querySelector('#pin-value').value = '{}'; document.querySelector('#pin button').click()"
    tab.value(fill.format("20"))
    tab.wait_for("document.querySelector('#pins').innerText.includes('capacity matching at 20')")
    tab.wait_for("document.querySelector('#settings').innerText.includes('20 units')")
    tab.value(fill.format("2000"))
    tab.wait_for("document.querySelector('#pin-answer').className === 'bad'")
    assert "expected 2 to 60 units" in tab.text("#pin-answer")
    assert sidecar.get("/v1/overrides")["overrides"][0]["value"] == 20
    tab.complaints = [said for said in tab.complaints if "422" not in said]  # the refusal that was asked for


@pytest.mark.parametrize(("width", "height"), [(1440, 1400), (360, 740)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_screen_and_every_word_can_be_read(
    tab: Tab, tmp_path: Path, width: int, height: int, scheme: str
) -> None:
    tab.look(width, height, scheme)
    tab.wait_for(f"{DRAWN} === 3")
    tab.wait_for("document.querySelector('.plot canvas').getBoundingClientRect().width < innerWidth")
    assert tab.value("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    assert tab.value(f"{CHECKS} pale()") == []
    picture = Path(os.environ.get("SHAPER_PICTURES", str(tmp_path))) / f"dashboard-{width}-{scheme}.png"
    tab.shoot(picture)
    assert picture.stat().st_size > 20_000
