"""Reads where a value in Python code comes from: a literal, the settings, or the environment."""

from __future__ import annotations

import ast
import operator
from dataclasses import dataclass
from typing import Any

from handbook.facts import python, quantities
from handbook.facts.python import Lookup, Module


@dataclass(frozen=True)
class Source:
    """Where a value comes from: fields of the settings or variables, in the order they are tried, or a literal.

    `factor` and `offset` are what the code multiplies it by, and then adds to it. Without any of the three sources the
    value is worked out in a way that is not read.
    """

    fields: tuple[str, ...] = ()
    lookups: tuple[Lookup, ...] = ()
    literal: Any = None
    expression: str = ""
    factor: float = 1
    offset: float = 0

    @property
    def is_plain(self) -> bool:
        """Whether the code takes the value as it is."""
        return (self.factor, self.offset) == (1, 0)

    def work_out(self, value: object) -> float:
        """Return what the code makes of a value. Raises ValueError when it is no number."""
        return quantities.number(value) * self.factor + self.offset


def source(module: Module, value: ast.expr) -> Source:
    """Return where an expression of `module` takes its value from."""
    expression = ast.unparse(value)
    try:
        return Source(literal=ast.literal_eval(value), expression=expression)
    except ValueError:
        pass
    if (number := _number(module, value)) is not None:
        return Source(literal=number, expression=expression)
    factor, offset = 1.0, 0.0
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add | ast.Sub):
        number = _number(module, value.right)
        if number is not None:
            offset, value = number if isinstance(value.op, ast.Add) else -number, value.left
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mult | ast.Div):
        number = _number(module, value.right)
        if number:
            factor, value = number if isinstance(value.op, ast.Mult) else 1 / number, value.left
    if any(isinstance(node, ast.BinOp | ast.IfExp) for node in ast.walk(value)):
        return Source(expression=expression)
    fields = tuple(
        node.attr
        for node in ast.walk(value)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value).rpartition(".")[2] == "settings"
    )
    inner = Module(module.path, module.text, module.tree, tuple(ast.walk(value)))
    lookups = tuple(fact.value for fact in python.lookups(inner))
    return Source(fields, lookups, expression=expression, factor=factor, offset=offset)


def _number(module: Module, value: ast.expr) -> float | None:
    """The number that an expression of literals and of the module's own constants stands for."""
    if isinstance(value, ast.Constant):
        return value.value if isinstance(value.value, int | float) else None
    if isinstance(value, ast.Name):
        given = (node for node in module.tree.body if isinstance(node, ast.Assign))
        own = (node.value for node in given if ast.unparse(node.targets[0]) == value.id)
        return next((_number(module, one) for one in own), None)
    if isinstance(value, ast.BinOp):
        left, right = _number(module, value.left), _number(module, value.right)
        work = next((work for kind, work in _WORK.items() if isinstance(value.op, kind)), None)
        return float(work(left, right)) if work and left is not None and right else None
    return None


_WORK = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
