"""Reads Python modules by their syntax tree; nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from handbook.facts import Fact, text_of, unreadable


@dataclass(frozen=True, eq=False)
class Module:
    """A module: its path, text and tree, and all nodes of the tree: walking it is what takes time.

    One text at one path is one module, so what is read of it can be remembered.
    """

    path: str
    text: str
    tree: ast.Module
    nodes: tuple[ast.AST, ...]

    def fact(self, node: ast.AST, value: Any) -> Fact[Any]:
        """Return a value that stands where a node begins."""
        return Fact(value, self.path, getattr(node, "lineno", 1))

    def constants(self) -> dict[str, Fact[Any]]:
        """Literal values that are given a name at the top of the module."""
        found = {}
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                try:
                    found[node.targets[0].id] = self.fact(node, ast.literal_eval(node.value))
                except ValueError:
                    continue
        return found


@dataclass(frozen=True)
class Lookup:
    """A look at the environment: the variable, and what is taken when it isn't there (None: nothing)."""

    name: str
    default: str | None


def read(root: Path, path: str) -> Module:
    """Return a module. Raises HandbookError, with the line, when it is not Python."""
    return _module(text_of(root, path), path)


@lru_cache(maxsize=512)
def _module(text: str, path: str) -> Module:
    try:
        tree = ast.parse(text, path)
    except SyntaxError as error:
        raise unreadable(path, error.lineno or 0, f"not Python: {error.msg}") from None
    return Module(path, text, tree, tuple(ast.walk(tree)))


@lru_cache(maxsize=2048)
def lookups(module: Module) -> tuple[Fact[Lookup], ...]:
    """Return every variable that the module takes from `os.environ` itself."""
    return tuple(_lookups(module))


def _lookups(module: Module) -> Iterator[Fact[Lookup]]:
    for node in module.nodes:
        found = _lookup(node)
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or) and len(node.values) == 2:
            first, other = _lookup(node.values[0]), node.values[1]
            if first and isinstance(other, ast.Constant):
                found = Lookup(first.name, str(other.value))
        if found:
            yield module.fact(node, found)


def _lookup(node: ast.AST) -> Lookup | None:
    """Read `os.environ["X"]`, `os.environ.get("X", "default")` and `os.getenv("X")`."""
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) in ("os.environ", "environ"):
        return Lookup(str(node.slice.value), None) if isinstance(node.slice, ast.Constant) else None
    if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
        return None
    if ast.unparse(node.func) not in ("os.environ.get", "environ.get", "os.getenv", "getenv"):
        return None
    default = node.args[1] if len(node.args) > 1 else None
    return Lookup(str(node.args[0].value), str(default.value) if isinstance(default, ast.Constant) else None)


@lru_cache(maxsize=512)
def attributes(module: Module) -> frozenset[str]:
    """Every name that is taken from an object, as in `settings.log_level`."""
    return frozenset({node.attr for node in module.nodes if isinstance(node, ast.Attribute)})


def last(node: ast.AST) -> str:
    """The last part of a name: `StreamingResponse` of `responses.StreamingResponse`. "" for what is no name."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


@lru_cache(maxsize=512)
def imports(module: Module) -> frozenset[str]:
    """Every module that is imported, by its dotted name, among the names that may be one."""
    found: set[str] = set()
    for node in module.nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


@dataclass(frozen=True)
class Check:
    """A module that a health check runs: the paths it asks, and how long it waits."""

    paths: tuple[Fact[str], ...]
    timeout_seconds: Fact[float] | None


def check(module: Module) -> Check:
    """Read a module that asks over HTTP: `connection.request("GET", path)`, `urlopen(url)`, and `timeout=`."""
    paths: list[Fact[str]] = []
    timeout: Fact[float] | None = None
    constants = module.constants()
    for node in module.nodes:
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute) and node.func.attr == "request" and len(node.args) > 1:
            paths += [module.fact(path, path.value) for path in node.args[1:2] if isinstance(path, ast.Constant)]
        for keyword in node.keywords:
            if keyword.arg != "timeout":
                continue
            if isinstance(keyword.value, ast.Constant):
                timeout = module.fact(keyword.value, float(str(keyword.value.value)))
            elif isinstance(keyword.value, ast.Name) and keyword.value.id in constants:
                constant = constants[keyword.value.id]
                timeout = constant.having(float(constant.value))
    return Check(tuple(paths), timeout)
