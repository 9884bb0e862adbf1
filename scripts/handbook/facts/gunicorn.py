"""Reads `gunicorn.conf.py`: which of gunicorn's settings comes from which variable."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from handbook.facts import Fact, python
from handbook.facts.python import Module
from handbook.facts.values import Source, source

# https://gunicorn.org/reference/settings/
DEFAULTS: dict[str, Any] = {
    "bind": "127.0.0.1:8000",
    "workers": 1,
    "timeout": 30,
    "graceful_timeout": 30,
    "keepalive": 2,
}


def read(root: Path, path: str) -> dict[str, Fact[Source]]:
    """Return every name that the file gives a value to at its top level."""
    return of(python.read(root, path))


def of(module: Module) -> dict[str, Fact[Source]]:
    """Return what `read` returns, for a module that is read already."""
    found: dict[str, Fact[Source]] = {}
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = module.fact(node, source(module, node.value))
    return found
