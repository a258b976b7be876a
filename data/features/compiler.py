"""From polars expressions to the steps of a program.

Decided here: an expression stays the one definition of a feature, for history and for a live tick alike; what it says is read
from polars' own serialised form. Equal parts become one step. A part that no kernel is known for is left to polars, over all
rows that are there, which costs time only. Means are taken of `grained` values alone, whose sums are exact.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from msgspec import msgpack

from data.features import kernels
from data.features.kernels import ROWWISE, Array, Kernel, newest, rowwise
from data.features.program import Program, Step, needs
from data.fixedpoint import grained
from data.timeline import TICK_TYPE

ALL = 2**40  # rows: more than there are
SUMS = {"grains": kernels.grains, "wholes": kernels.wholes}
Tree = Any  # a serialised expression, decoded


def compiled(exprs: Mapping[str, pl.Expr]) -> Program:
    """A program for some expressions by the names of their columns."""
    columns = tuple(sorted({name for expr in exprs.values() for name in expr.meta.root_names()}))
    compiler = Compiler({(name,): place for place, name in enumerate(columns)})
    asked = {name: compiler.place(serialised(expr)) for name, expr in exprs.items()}
    return Program(columns, tuple(compiler.steps), asked, *needs(len(columns), compiler.steps, asked.values()))


@dataclass
class Compiler:
    """Steps so far, and the place of each column and step by what it is."""

    places: dict[tuple[Any, ...], int]
    steps: list[Step] = field(default_factory=list)

    def add(self, key: tuple[Any, ...], run: Kernel, *inputs: int, reach: int = 0) -> int:
        """The place of a step, which is a new one unless there is one of its key and inputs."""
        if (*key, inputs) not in self.places:
            self.places[*key, inputs] = len(self.places)
            self.steps.append(Step(run, key, inputs, reach))
        return self.places[*key, inputs]

    def place(self, tree: Tree) -> int:
        """The place of an expression's column."""
        match tree:
            case {"Column": str(name)}:
                return self.places[(name,)]
            case {"Literal": literal} if (number := constant(literal)) is not None:
                return self.add(("number", number), lambda _: number)
            case {"BinaryExpr": {"left": left, "op": str(name), "right": right}} if name in ROWWISE:
                return self.rowwise(name, left, right)
            case {"Cast": {"expr": inner, "dtype": {"Literal": str(name)}}} if name in ROWWISE:
                return self.rowwise(name, inner)
            case {"Ternary": {"predicate": predicate, "truthy": truthy, "falsy": falsy}}:
                return self.rowwise("Ternary", predicate, truthy, falsy)
            case {"Gather": {"expr": {"Literal": {"Series": bytes(values)}} as table, "idx": index}}:
                look = rowwise(partial(kernels.looked_up, pl.select(expression(table)).to_series().to_numpy()))
                return self.add(("gather", values), look, self.place(index))
            case {"Function": {"input": inputs, "function": function}}:
                found = self.function(function, inputs)
                return self.foreign(tree) if found is None else found
        return self.foreign(tree)

    def rowwise(self, name: str, *inputs: Tree) -> int:
        """The place of what is computed row by row."""
        return self.add((name,), rowwise(ROWWISE[name]), *map(self.place, inputs))

    def function(self, function: Tree, inputs: list[Tree]) -> int | None:
        """The place of a function of other columns; None where no kernel is known."""
        name = plain(function)
        if name is not None:
            return self.rowwise(name, *inputs)
        match function, inputs:
            case "Log", [value, base] if base == E:
                return self.rowwise("Log", value)
            case {"TemporalExpr": {"TimeStamp": "Milliseconds"}}, [{"Column": "tick"} as value]:
                return self.place(value)
            case "Shift", [value, {"Literal": {"Dyn": {"Int": ticks}}}] if (count := integer(ticks)) >= 0:
                return (
                    self.place(value)
                    if count == 0
                    else self.add(("shift", count), partial(kernels.shift, ticks=count), self.place(value), reach=count)
                )
            case {"RollingExpr": {"function": str(name), "options": {"weights": None, "center": False} as options}}, [
                value
            ]:
                return self.rolling(name, options, value)
        return None

    def rolling(self, name: str, options: Tree, value: Tree) -> int | None:
        """The place of a measure of the ticks up to each; None where no kernel is known."""
        window, least, reach = options["window_size"], options["min_periods"], options["window_size"] - 1
        match name, options["fn_params"], value:
            case "Max", None, _:
                run = partial(kernels.window_most, window=window, least=least)
                return self.add(("most", window, least), run, self.place(value), reach=reach)
            case "Quantile", {"Quantile": {"prob": share, "method": "Linear"}}, _:
                run = partial(kernels.window_quantile, window=window, least=least, share=share)
                return self.add(("quantile", window, least, share), run, self.place(value), reach=reach)
            case "Mean", None, _ if (inner := ungrained(value)) is not None:
                run = partial(kernels.window_mean, window=window, least=least)
                return self.add(("mean", window, least), run, *self.sums("grains", inner), reach=reach)
            case "Sum", None, {"Cast": {"dtype": {"Literal": "Int64"}}}:
                run = partial(kernels.window_sum, window=window, least=least)
                return self.add(("sum", window, least), run, *self.sums("wholes", value), reach=reach)
        return None

    def sums(self, name: str, value: Tree) -> tuple[int, int]:
        """The places of the sums up to each row, and of the counts of what is known."""
        place = self.place(value)
        known = self.add(("known",), kernels.known, place)
        return self.add((name,), SUMS[name], place, known), self.add(("counts",), kernels.counts, known)

    def foreign(self, tree: Tree) -> int:
        """The place of what polars computes."""
        expr = expression(tree)
        names = sorted(set(expr.meta.root_names()))
        run = partial(by_polars, expr=expr, names=names)
        return self.add(("polars", msgpack.encode(tree)), run, *(self.places[(name,)] for name in names), reach=ALL)


def serialised(expr: pl.Expr) -> Tree:
    """An expression as polars writes it."""
    return msgpack.decode(expr.meta.serialize())


E, HOLE = serialised(pl.lit(math.e)), serialised(pl.col("hole"))
GRAINED = serialised(grained(pl.col("hole")))


def plain(function: Tree) -> str | None:
    """Name of the kernel of a function that is computed row by row from all its inputs; None for any other function."""
    match function:
        case "Exp" | "Abs" | "MinHorizontal" | "MaxHorizontal":
            return str(function)
        case {"Pow": "Sqrt"}:
            return "Sqrt"
        case {"Round": {"decimals": 0, "mode": "HalfToEven"}}:
            return "Round"
        case {"Clip": {"has_min": True, "has_max": False}}:
            return "Clip"
        case {"MeanHorizontal": {"ignore_nulls": True}}:
            return "MeanHorizontal"
    return None


def integer(digits: bytes) -> int:
    """A whole number as polars writes it."""
    return int.from_bytes(digits, "big", signed=True)


def expression(tree: Tree) -> pl.Expr:
    """The expression of a serialised form."""
    return pl.Expr.deserialize(msgpack.encode(tree))


def constant(literal: Tree) -> float | None:
    """The number that a literal is, NaN for null; None for any other literal."""
    match literal:
        case {"Dyn": {"Float": float(number)}} | {"Scalar": {"Float64": float(number)} | {"Int64": int(number)}}:
            return number
        case {"Dyn": {"Int": bytes(digits)}}:
            return integer(digits)
        case {"Scalar": {"Null": _}}:
            return math.nan
    return None


def ungrained(tree: Tree) -> Tree | None:
    """The value of which an expression is the `grained` one; None for any other expression."""
    match tree:
        case {
            "BinaryExpr": {
                "left": {"Function": {"input": [{"BinaryExpr": {"left": value} as scaled}]} as rounded}
            } as whole
        }:
            emptied = {**rounded, "input": [{"BinaryExpr": {**scaled, "left": HOLE}}]}
            return value if {"BinaryExpr": {**whole, "left": {"Function": emptied}}} == GRAINED else None
    return None


def by_polars(rows: int, *columns: Array, expr: pl.Expr, names: list[str]) -> Array:
    """The newest rows of an expression over columns of these names."""
    length = min(map(len, columns), default=rows)
    table = {
        name: pl.Series(newest(values, length), nan_to_null=True) for name, values in zip(names, columns, strict=True)
    }
    frame = pl.DataFrame(table).with_columns(pl.col("^tick$").cast(TICK_TYPE))
    return newest(frame.select(expr.cast(pl.Float64)).to_series().fill_null(np.nan).to_numpy(), rows)
