"""The catalog's own rules: every snippet has a kind, every kind has checks, and every check is there and used."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from handbook import checks
from handbook.catalog import Kind, kind_of

MODULES = tuple(sorted(p.stem for p in Path(checks.__file__).parent.glob("*.py") if not p.stem.startswith("_")))


def without_kind(files: Iterable[str]) -> list[str]:
    return [f"{file}: no kind matches this path; add a row to KINDS" for file in files if kind_of(file) is None]


def without_check(kinds: Iterable[Kind]) -> list[str]:
    return [f"kind {kind.name}: no check judges it" for kind in kinds if not kind.checks]


def missing(kinds: Iterable[Kind], modules: Iterable[str]) -> list[str]:
    return [f"kind {k.name}: checks/{name}.py is not there" for k in kinds for name in k.checks if name not in modules]


def unused(kinds: Iterable[Kind], modules: Iterable[str]) -> list[str]:
    named = {name for kind in kinds for name in kind.checks}
    return [f"checks/{name}.py: no kind names this check" for name in modules if name not in named]


def hidden(kinds: Iterable[Kind]) -> list[str]:
    """A kind whose own patterns, read as paths, belong to a kind above it can match nothing."""
    found = []
    for kind in kinds:
        paths = [pattern.replace("*", "x") for pattern in kind.patterns]
        above = [other for path in paths if (other := kind_of(path)) and other != kind]
        if len(above) == len(paths):
            found.append(f"kind {kind.name}: kind {above[0].name} above it takes all its files")
    return found
