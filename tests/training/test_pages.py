from pathlib import Path

import numpy as np

from training import plots
from training.pages.demo import largest
from training.pages.replay import steepest
from training.report import figures
from training.report.page import Card, Figure, Page, Section, Table, read_page, write_page

PAGE = Page(
    "A <title>",
    "below",
    (Card("1.00", "of something"),),
    (
        Section(
            "One & only",
            ("A paragraph with <b>no</b> markup.",),
            (Figure("<svg id='drawn'></svg>", "What it shows."),),
            (Table(("a", "b"), (("x", "1"), ("y", "2")), frozenset({1})),),
            ("a point",),
            "shaper demo",
        ),
    ),
)


def test_text_is_escaped_and_drawings_are_not(tmp_path: Path) -> None:
    html = write_page(PAGE, tmp_path / "page.html").read_text("utf-8")
    assert "A &lt;title&gt;" in html
    assert "&lt;b&gt;no&lt;/b&gt;" in html
    assert "<svg id='drawn'></svg>" in html
    assert html.count('class="best"') == 1


def test_a_page_can_be_read_back_to_be_part_of_another(tmp_path: Path) -> None:
    write_page(PAGE, tmp_path / "page.html")
    assert read_page(tmp_path / "page.json") == PAGE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "page.json"]


def test_equal_figures_have_equal_bytes() -> None:
    hours = np.linspace(-1, 1, 25)
    fan = figures.Fan(0.0, hours[12:], np.sort(np.random.default_rng(0).normal(size=(13, 7)), axis=1))
    drawn = [figures.forecast_fan(hours, np.sin(hours), [fan], np.ones(25), ("title", "unit")) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert drawn[0].startswith("<svg")


def test_a_fan_of_three_bands_names_each() -> None:
    hours = np.linspace(0, 1, 5)
    fan = figures.Fan(0.0, hours, np.sort(np.random.default_rng(0).normal(size=(5, 7)), axis=1))
    drawn = figures.forecast_fan(hours, hours, [fan], hours, ("title", "unit"))
    assert all(name in drawn for name in ("5-95 %", "10-90 %", "25-75 %", "spike threshold", "what came"))


def test_the_steepest_surge_is_where_demand_steps_up() -> None:
    demand = np.concatenate([np.full(300, 50.0), np.full(100, 250.0), np.full(300, 50.0)])
    assert steepest(demand, ahead=12, behind=120) == 300


def test_the_largest_surge_keeps_away_from_the_ends_and_from_unknown_values() -> None:
    value = np.zeros(100)
    value[[2, 60, 98]] = 9, 5, 9
    value[70] = np.nan
    assert largest(value, np.ones(100), margin=10) == 60


def test_a_first_step_that_is_arithmetic_does_not_flatten_the_skill_of_the_others() -> None:
    assert plots.towering([[(1, 0.96), (2, 0.24)], [(1, 0.0), (2, 0.2)]]) == (0.96, 0.3)
    assert plots.towering([[(1, 0.4), (2, 0.24)]]) == (0.4, None)
    assert plots.towering([[(1, 0.4)]]) == (0.4, None)
    assert plots.towering([]) == (0.0, None)
