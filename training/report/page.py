"""A report as a value: title, figures of merit, sections; and its one HTML file."""

import base64
import os
from dataclasses import dataclass
from pathlib import Path

import jinja2
import msgspec


@dataclass(frozen=True)
class Card:
    """One figure that a reader should take away."""

    figure: str
    text: str


@dataclass(frozen=True)
class Figure:
    """A drawing as SVG source, and the sentence that says what it shows."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Table:
    """Cells as text; `best` holds the indices of rows to set in bold."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Section:
    """One heading with what stands below it, in this order: paragraphs, figures, tables, points, code."""

    title: str
    paragraphs: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    points: tuple[str, ...] = ()
    code: str = ""


@dataclass(frozen=True)
class Page:
    """A whole report."""

    title: str
    subtitle: str
    cards: tuple[Card, ...] = ()
    sections: tuple[Section, ...] = ()


def picture(path: Path, caption: str) -> Figure:
    """A drawn file as a part of the page itself."""
    source = base64.b64encode(path.read_bytes()).decode()
    return Figure(f'<img alt="" style="max-width:100%" src="data:image/png;base64,{source}">', caption)


def write_page(page: Page, path: Path) -> Path:
    """Write the page as one self-contained file, whole or not at all, all text escaped; and its content beside it as JSON."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    html = environment.get_template("page.html").render(
        title=page.title, subtitle=page.subtitle, cards=page.cards, sections=page.sections
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    for target, content in ((path, html.encode()), (path.with_suffix(".json"), msgspec.json.encode(page))):
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        partial.write_bytes(content)
        partial.replace(target)
    return path


def read_page(path: Path) -> Page:
    """The content of a page that `write_page` wrote, to be part of another."""
    return msgspec.json.decode(path.read_bytes(), type=Page)
