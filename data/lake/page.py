"""A self-contained HTML page: no script, no font and no picture from elsewhere, light and dark.

Decided here: the look of the pages that `shaper data status` and `shaper data check` write.
"""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

STYLE = """
:root { color-scheme: light dark; --ink: #1b2530; --soft: #5b6875; --paper: #f5f7f9; --card: #fff; --line: #dde3e9;
  --here: #2a8f6b; --gap: #d9802e; --bad: #bf4a3a; --bed: #e9eef2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --soft: #9aa7b4; --paper: #12171d; --card: #1b222a;
  --line: #2d3742; --here: #3fae88; --gap: #e7a052; --bad: #ee8a76; --bed: #27313b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 2.2rem 1.2rem 4rem; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
p { margin: .3rem 0; } .soft { color: var(--soft); } .bad { color: var(--bad); } .good { color: var(--here); }
section, figure { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  margin: 1rem 0; padding: 1rem; overflow-x: auto; }
section > h2:first-child { margin-top: 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--soft); font-weight: 500; font-size: .85rem; }
th, td { padding: .3rem .7rem .3rem 0; vertical-align: top; }
tr + tr td { border-top: 1px solid var(--line); } td.number, th.number { text-align: right; white-space: nowrap; }
svg { width: 100%; min-width: 640px; height: auto; display: block; }
svg text { font: 12px system-ui, sans-serif; fill: var(--ink); }
svg .soft { fill: var(--soft); font-size: 11px; } .bed { fill: var(--bed); } .here { fill: var(--here); } .gap { fill: var(--gap); }
.grid { stroke: var(--line); }
"""


def page(title: str, lead: str, parts: Iterable[str]) -> str:
    """A whole page; `title` and `lead` are text, `parts` markup."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>\n'
        f'<body><main><h1>{escape(title)}</h1><p class="soft">{escape(lead)}</p>\n'
        + "\n".join(parts)
        + "\n</main></body></html>\n"
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: frozenset[int] = frozenset()) -> str:
    """A table of text; columns in `numbers` stand to the right."""
    mark = ['class="number"' if place in numbers else "" for place in range(len(heads))]
    head = "".join(f"<th {mark[place]}>{escape(text)}</th>" for place, text in enumerate(heads))
    body = "".join(
        "<tr>" + "".join(f"<td {mark[place]}>{escape(text)}</td>" for place, text in enumerate(row)) + "</tr>\n"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"


def write(path: Path, content: str) -> None:
    """Write a page, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(content, "utf-8")
    partial.replace(path)
