"""Tables that pages show of the engine itself and of the service, made from the code so that they can't lag behind."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib import import_module
from urllib.parse import urlsplit

from gunicorn.config import make_settings

from handbook import contracts, symptoms, versions
from handbook.catalog import KINDS, Catalog, kind_of
from handbook.checks import load
from handbook.facts import gunicorn, settings
from handbook.facts.settings import Setting
from handbook.facts.values import Source
from handbook.site.links import to_page
from handbook.support import Row


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


def gunicorn_names(catalog: Catalog) -> dict[str, Source]:
    """The settings of gunicorn that the service's gunicorn.conf.py gives a value to, in its order.

    Functions that gunicorn calls are none of them.
    """
    known = make_settings()
    found = gunicorn.read(catalog.root, "snippets/service/gunicorn.conf.py")
    return {name: fact.value for name, fact in found.items() if name in known}


def gunicorn_settings(catalog: Catalog) -> str:
    """Each setting of gunicorn that the service sets: from which variable, its value without that, and gunicorn's own.

    The name links to the heading of its own.
    """
    declared = {one.field: one for one in settings.read(catalog.root, "snippets/service/assistant/settings.py")}
    known = make_settings()
    rows = (
        (
            f'<a href="#{name}"><code>{name}</code></a>',
            "<br>".join(f"<code>{declared[field].name.value}</code>" for field in source.fields) or "none",
            _here(source, [declared[field] for field in source.fields]),
            _value(known[name].default),
        )
        for name, source in gunicorn_names(catalog).items()
    )
    return table(("Setting", "Variable", "Here", "gunicorn's own"), rows)


def errors(catalog: Catalog, up: str) -> str:
    """Every symptom of the handbook as a list, with links to its answers.

    `up` leads from the page to the site's own folder.
    """
    items = []
    for text, answers in symptoms.answers(catalog).items():
        links = ", ".join(
            f'<a href="{to_page(up, answer.page, answer.anchor)}">{escape(answer.title)}</a>' for answer in answers
        )
        items.append(f"<li><code>{escape(text)}</code> {links}</li>")
    return f'<ul class="errors">{"".join(items)}</ul>'


def supported(catalog: Catalog) -> str:
    """Each product that the handbook uses: its versions, the files that name them, and until when it is supported."""
    rows = (
        (
            escape(used.row.name),
            _until(used.row),
            "<br>".join(f"<code>{escape(version)}</code>" for version in used.versions),
            "<br>".join(f"<code>{escape(file)}</code>" for file in used.files),
            _source(used.row),
        )
        for used in versions.read(catalog)
    )
    return table(("Product", "Supported until", "Version", "Used in", "Source"), rows)


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


def _here(source: Source, fields: Sequence[Setting]) -> str:
    """What a setting of gunicorn is when no variable is set: the first default that there is, or what the file says."""
    if not fields:
        return _value(source.literal if source.expression == repr(source.literal) else source.expression)
    given = [field.default.value for field in fields if field.default and field.default.value is not None]
    return _value(given[0]) if given else "not set"


def _value(value: object) -> str:
    if value is None:
        return "not set"
    if isinstance(value, type):
        value = f"{value.__module__}.{value.__qualname__}"
    return f"<code>{escape(', '.join(map(str, value)) if isinstance(value, list) else str(value))}</code>"


def _until(row: Row) -> str:
    day = f"<time>{row.until}</time>" if row.until else "no day is published"
    return f"{day}<br>{escape(row.note)}" if row.note else day


def _source(row: Row) -> str:
    host = (urlsplit(row.source).hostname or "").removeprefix("www.")
    return f'<a href="{escape(row.source)}">{escape(host)}</a> on <time>{row.looked_up}</time>'


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
