"""How many features are evaluated at once: what several of them need is computed once.

Decided here: equal parts of expressions become columns of their own, stage by stage, before the features are selected. The
parts are found in polars' own serialised form of the expressions and stay polars expressions, so a feature has the same
bits with and without a plan. (The optimiser of lazy frames looks for equal parts too, but anew at every evaluation.)
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from msgspec import msgpack

# Expressions with inputs, by their names in the serialised form. One that is missing here is not shared, which costs time only.
NODES = frozenset({"Alias", "BinaryExpr", "Cast", "Function", "Gather", "Ternary"})
PART = "part "  # prefix of the columns that hold parts


@dataclass(frozen=True)
class Plan:
    """Parts, stage by stage, each made of columns and the stages before it; then the columns that are asked for."""

    stages: tuple[tuple[pl.Expr, ...], ...]
    columns: tuple[pl.Expr, ...]

    def evaluate(self, ticks: pl.DataFrame) -> pl.DataFrame:
        """The columns, one row for each row of a tick table."""
        for stage in self.stages:
            ticks = ticks.with_columns(stage)
        return ticks.select(self.columns)


@dataclass(frozen=True)
class Parts:
    """Every part of some expressions: `trees` by name, made of columns and of parts before it, and how often each is used."""

    trees: dict[str, Any] = field(default_factory=dict)
    names: dict[bytes, str] = field(default_factory=dict)
    uses: Counter[str] = field(default_factory=Counter)

    def fold(self, value: Any) -> Any:
        """A serialised value in which the outermost expressions have become the columns of parts."""
        if isinstance(value, list):
            return [self.fold(item) for item in value]
        if not isinstance(value, dict):
            return value
        folded = {key: self.fold(item) for key, item in value.items()}
        return folded if NODES.isdisjoint(folded) else {"Column": self.part(folded)}

    def part(self, tree: dict[str, Any]) -> str:
        """Name of the part that is such an expression, which is a new one unless it was met before."""
        name = self.names.setdefault(msgpack.encode(tree), f"{PART}{len(self.names)}")
        if name not in self.trees:
            self.trees[name] = tree
            self.uses.update(columns_in(tree))
        return name

    def unfold(self, value: Any) -> Any:
        """A folded value in which only the parts that are used more than once are still columns."""
        if isinstance(value, list):
            return [self.unfold(item) for item in value]
        if not isinstance(value, dict):
            return value
        name = value.get("Column")
        if name in self.trees and self.uses[name] == 1:
            return self.unfold(self.trees[name])
        return {key: self.unfold(item) for key, item in value.items()}


def plan(columns: Mapping[str, pl.Expr]) -> Plan:
    """A plan for some expressions by the names of their columns."""
    parts = Parts()
    roots = {name: parts.fold(msgpack.decode(expr.meta.serialize())) for name, expr in columns.items()}
    parts.uses.update(columns_in(list(roots.values())))
    asked = tuple(expression(parts.unfold(root)).alias(name) for name, root in roots.items())
    return Plan(stages(parts), asked)


def stages(parts: Parts) -> tuple[tuple[pl.Expr, ...], ...]:
    """The parts that are used more than once, each in the first stage in which all that it is made of is there."""
    found: list[list[pl.Expr]] = []
    place: dict[str, int] = {}
    for name in parts.trees:
        if parts.uses[name] > 1:
            tree = parts.unfold(parts.trees[name])
            place[name] = max((place[part] + 1 for part in columns_in(tree) if part in place), default=0)
            if place[name] == len(found):
                found.append([])
            found[place[name]].append(expression(tree).alias(name))
    return tuple(tuple(stage) for stage in found)


def columns_in(value: Any) -> Iterator[str]:
    """Names of the columns that a serialised value reads, each as often as it does."""
    if isinstance(value, list):
        for item in value:
            yield from columns_in(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from (item,) if key == "Column" else columns_in(item)


def expression(tree: Any) -> pl.Expr:
    """The expression of a serialised form."""
    return pl.Expr.deserialize(msgpack.encode(tree))
