"""Tables that pages show of the engine itself and of the service, made from the code so that they can't lag behind."""

from __future__ import annotations

import inspect
import posixpath
import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib import import_module

from handbook import contracts
from handbook.catalog import KINDS, Catalog, kind_of
from handbook.checks import load
from handbook.facts import compose, settings
from handbook.facts.settings import Setting
from handbook.findings import HandbookError


def kinds(catalog: Catalog) -> str:
    """Each kind that a file here has: its paths, and what judges it, in the words of the check's module."""
    there = {kind.name for file in catalog.checked if (kind := kind_of(file))}
    rows = (
        (
            escape(kind.name),
            "<br>".join(f"<code>{escape(pattern)}</code>" for pattern in kind.patterns),
            "<br>".join(f"{escape(check)}: {_summary(load(check))}" for check in kind.checks),
        )
        for kind in KINDS
        if kind.name in there
    )
    return table(("Kind", "Paths", "Checks"), rows)


def contract_rules() -> str:
    """Each contract with the rule that its docstring states."""
    rows = []
    for name in contracts.names():
        module, _, function = name.rpartition(".")
        rule = getattr(import_module(f"handbook.contracts.{module}"), function)
        rows.append((f"<code>{escape(name)}</code>", _summary(rule)))
    return table(("Contract", "Rule"), rows)


def service_settings(catalog: Catalog) -> str:
    """Each setting of the service: its variable, what it takes, and its default."""
    rows = (
        (
            f"<code>{setting.name.value}</code>",
            " or ".join(f"<code>{escape(choice)}</code>" for choice in setting.choices) or escape(_words(setting.type)),
            _default(setting),
        )
        for setting in settings.read(catalog.root, "snippets/service/assistant/settings.py")
    )
    return table(("Variable", "Takes", "Default"), rows)


def stack_folders(catalog: Catalog, name: str) -> str:
    """The folders of `snippets/` that the stack called `name` needs, in words: what a reader copies.

    Raises HandbookError when there is no such stack.
    """
    path = f"snippets/{name}/compose.yaml"
    if path not in catalog.snippets:
        raise HandbookError(f"there is no stack {name!r}: {path} is missing")
    used = compose.closure(compose.read(catalog.root, path, catalog.snippets), catalog.snippets)
    folders = {posixpath.dirname(file) for file in used}
    # A folder that stands inside another one of them comes along with it.
    whole = sorted(f for f in folders if not any(f.startswith(f"{other}/") for other in folders))
    named = [f"<code>{escape(folder.removeprefix('snippets/'))}</code>" for folder in whole]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return an HTML table of cells that are HTML already."""
    cells = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    names = "".join(f"<th>{name}</th>" for name in head)
    return f"<table><thead><tr>{names}</tr></thead><tbody>{cells}</tbody></table>"


def _summary(documented: object) -> str:
    """The first paragraph of a docstring, as HTML."""
    text = (inspect.getdoc(documented) or "").partition("\n\n")[0].replace("\n", " ")
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _default(setting: Setting) -> str:
    if setting.default is None:
        return "required"
    if setting.default.value is None:
        return "not set"
    return f"<code>{escape(str(setting.default.value))}</code>"


_WORDS = {
    "Networks": "addresses and networks, with commas",
    "NonNegativeInt": "a whole number, 0 or more",
    "PositiveFloat": "a number above 0",
    "PositiveInt": "a whole number above 0",
    "Secret": "a secret",
    "str": "text",
}


def _words(annotation: str) -> str:
    """Say in words what a setting of this type takes; a type that is not known here stands as it is written."""
    return _WORDS.get(annotation.removesuffix(" | None"), annotation)
