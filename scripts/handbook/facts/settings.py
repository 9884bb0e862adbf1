"""Reads pydantic-settings classes: every setting with its variable, type and default."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from handbook.facts import Fact, python
from handbook.facts.python import Module


@dataclass(frozen=True)
class Setting:
    """One setting. `name` is its environment variable and stands where the field is declared."""

    name: Fact[str]
    field: str
    owner: str
    """The class that declares it."""
    type: str
    """The annotation as it is written, without `Annotated`."""
    choices: tuple[str, ...]
    """What a Literal allows; empty for every other type."""
    default: Fact[Any] | None
    """None when the setting is required."""
    comment: str
    """The comment above it, or the docstring below it."""
    classes: frozenset[str] = frozenset()
    """The class that declares it, and those built on that one."""

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is None

    @property
    def secret(self) -> bool:
        """Whether the type hides its value."""
        return "Secret" in self.type


def read(root: Path, path: str) -> list[Setting]:
    """Return the settings that a module declares, in its order."""
    return of(python.read(root, path))


def of(module: Module) -> list[Setting]:
    """Return the settings of a module: the annotated fields of `BaseSettings` and of classes built on it."""
    classes = [node for node in module.tree.body if isinstance(node, ast.ClassDef)]
    bases = {"BaseSettings"}
    above: dict[str, set[str]] = {}
    aliases = {
        node.targets[0].id: node.value
        for node in module.tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    found: list[Setting] = []
    prefixes: dict[str, str] = {}
    for definition in classes:
        parents = {ast.unparse(base).rpartition(".")[2] for base in definition.bases}
        if not parents & bases:
            continue
        bases.add(definition.name)
        above[definition.name] = {definition.name}.union(*(above.get(parent, set()) for parent in parents))
        inherited = next((prefixes[parent] for parent in parents if parent in prefixes), "")
        prefixes[definition.name] = _prefix(definition, inherited)
        for position, node in enumerate(definition.body):
            if (
                isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and node.target.id != "model_config"
            ):
                below = definition.body[position + 1] if position + 1 < len(definition.body) else None
                found.append(_setting(module, definition.name, node, node.target.id, prefixes, aliases, below))
    return [replace(x, classes=frozenset(name for name in above if x.owner in above[name])) for x in found]


@lru_cache(maxsize=512)
def loaded(module: Module) -> frozenset[str]:
    """Return the classes, settings or not, that a module makes or has made: `Settings()`, `load(Settings)`."""
    calls = [node for node in module.nodes if isinstance(node, ast.Call)]
    named = [*(call.func for call in calls), *(call.args[0] for call in calls if len(call.args) == 1)]
    return frozenset(map(python.last, named))


def _prefix(definition: ast.ClassDef, inherited: str) -> str:
    for node in ast.walk(definition):
        if isinstance(node, ast.keyword) and node.arg == "env_prefix" and isinstance(node.value, ast.Constant):
            return str(node.value.value)
    return inherited


def _setting(
    module: Module,
    owner: str,
    node: ast.AnnAssign,
    field: str,
    prefixes: dict[str, str],
    aliases: dict[str, ast.expr],
    below: ast.stmt | None,
) -> Setting:
    default, alias = _default(module, node.value)
    kind = _plain(node.annotation)
    return Setting(
        name=module.fact(node, (alias or prefixes[owner] + field).upper()),
        field=field,
        owner=owner,
        type=ast.unparse(kind),
        choices=_choices(kind, aliases),
        default=default,
        comment=_comment(module, node, below),
    )


def _default(module: Module, value: ast.expr | None) -> tuple[Fact[Any] | None, str | None]:
    """The default and the alias of a field: `= 5`, `= Field(5, validation_alias="PORT")`."""
    alias = None
    if isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] == "Field":
        keywords = {keyword.arg: keyword.value for keyword in value.keywords}
        given = keywords.get("validation_alias") or keywords.get("alias")
        if isinstance(given, ast.Constant):
            alias = str(given.value)
        value = value.args[0] if value.args else keywords.get("default") or keywords.get("default_factory")
    if value is None or (isinstance(value, ast.Constant) and value.value is ...):
        return None, alias
    try:
        return module.fact(value, ast.literal_eval(value)), alias
    except ValueError:
        return module.fact(value, ast.unparse(value)), alias


def _plain(annotation: ast.expr) -> ast.expr:
    """Take `Annotated` off."""
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value).endswith("Annotated"):
        return annotation.slice.elts[0] if isinstance(annotation.slice, ast.Tuple) else annotation.slice
    return annotation


def _choices(kind: ast.expr, aliases: dict[str, ast.expr]) -> tuple[str, ...]:
    for node in ast.walk(kind):
        if isinstance(node, ast.Name) and node.id in aliases:
            return _choices(_plain(aliases[node.id]), {})
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("Literal"):
            elements = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            return tuple(str(element.value) for element in elements if isinstance(element, ast.Constant))
    return ()


def _comment(module: Module, node: ast.AnnAssign, below: ast.stmt | None) -> str:
    if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
        return " ".join(below.value.value.split())
    lines: list[str] = []
    for line in reversed(module.text.splitlines()[: node.lineno - 1]):
        if not line.strip().startswith("#"):
            break
        lines.insert(0, line.strip().lstrip("#").strip())
    return " ".join(lines)
