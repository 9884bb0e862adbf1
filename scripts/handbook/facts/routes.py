"""Reads the routes of a FastAPI application from its decorators."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

from handbook.facts import Fact, python
from handbook.facts.python import Module

_METHODS = ("get", "post", "put", "patch", "delete", "head", "options", "api_route", "websocket")

_STREAMED = ("StreamingResponse", "EventSourceResponse")

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Route:
    """The path of a route, and whether its answer is a stream: then its function names a class of such answers."""

    path: Fact[str]
    streams: bool


def read(modules: Sequence[Module]) -> Sequence[Route]:
    """Return every route of the applications and of the routers that some module includes."""
    return _read(tuple(modules))


@lru_cache(maxsize=512)
def _read(modules: tuple[Module, ...]) -> tuple[Route, ...]:
    streamed = set(_STREAMED)
    for node in (node for module in modules for node in module.nodes if isinstance(node, ast.ClassDef)):
        if {python.last(base) for base in node.bases} & streamed:
            streamed.add(node.name)
    found = []
    for path, function in _routes(modules):
        named = {python.last(node) for node in ast.walk(function)}
        found.append(Route(path, bool(named & streamed)))
    return tuple(found)


def _routes(modules: Sequence[Module]) -> Iterator[tuple[Fact[str], ast.AST]]:
    """Yield every route with its function."""
    included: dict[str, str] = {}
    for module in modules:
        for node in module.nodes:
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
                continue
            if node.func.attr == "include_router":
                included[ast.unparse(node.args[0])] = _keyword(node, "prefix")
    for module in modules:
        stem = PurePosixPath(module.path).stem
        prefixes = _routers(module, included, stem)
        for node in module.nodes:
            if isinstance(node, _FUNCTIONS):
                for decorator in node.decorator_list:
                    path = _path(decorator, prefixes)
                    if path is not None:
                        yield module.fact(decorator, path), node


def _routers(module: Module, included: dict[str, str], stem: str) -> dict[str, str]:
    """The applications and routers that a module makes -> what stands before their routes' paths."""
    found = {}
    for node in module.nodes:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
            continue
        name, kind = ast.unparse(node.targets[0]), ast.unparse(node.value.func).rpartition(".")[2]
        if kind == "FastAPI":
            found[name] = ""
        elif kind == "APIRouter":
            for reference in (name, f"{stem}.{name}"):
                if reference in included:
                    found[name] = included[reference] + _keyword(node.value, "prefix")
    return found


def _keyword(call: ast.Call, name: str) -> str:
    for keyword in call.keywords:
        if keyword.arg == name and isinstance(keyword.value, ast.Constant):
            return str(keyword.value.value)
    return ""


def _path(decorator: ast.expr, prefixes: dict[str, str]) -> str | None:
    if not isinstance(decorator, ast.Call) or not isinstance(decorator.func, ast.Attribute):
        return None
    owner = ast.unparse(decorator.func.value)
    if owner not in prefixes or decorator.func.attr not in _METHODS or not decorator.args:
        return None
    path = decorator.args[0]
    return prefixes[owner] + str(path.value) if isinstance(path, ast.Constant) else None
