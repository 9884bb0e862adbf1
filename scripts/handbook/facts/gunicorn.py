"""Reads `gunicorn.conf.py`: which of gunicorn's settings comes from which variable."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handbook.facts import Fact, python
from handbook.facts.python import Lookup, Module

# https://gunicorn.org/reference/settings/
DEFAULTS: dict[str, Any] = {
    "bind": "127.0.0.1:8000",
    "workers": 1,
    "timeout": 30,
    "graceful_timeout": 30,
    "keepalive": 2,
}


@dataclass(frozen=True)
class Source:
    """Where a value comes from: fields of the settings or variables, in the order they are tried, or a literal."""

    fields: tuple[str, ...] = ()
    lookups: tuple[Lookup, ...] = ()
    literal: Any = None
    expression: str = ""


def read(root: Path, path: str) -> dict[str, Fact[Source]]:
    """Return every name that the file gives a value to at its top level."""
    return of(python.read(root, path))


def of(module: Module) -> dict[str, Fact[Source]]:
    """Return what `read` returns, for a module that is read already."""
    found: dict[str, Fact[Source]] = {}
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = module.fact(node, _source(module, node.value))
    return found


def _source(module: Module, value: ast.expr) -> Source:
    expression = ast.unparse(value)
    try:
        return Source(literal=ast.literal_eval(value), expression=expression)
    except ValueError:
        pass
    if any(isinstance(node, ast.BinOp | ast.IfExp) for node in ast.walk(value)):
        return Source(expression=expression)
    fields = tuple(
        node.attr
        for node in ast.walk(value)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "settings"
    )
    inner = Module(module.path, module.text, module.tree, tuple(ast.walk(value)))
    return Source(fields, tuple(fact.value for fact in python.lookups(inner)), expression=expression)
