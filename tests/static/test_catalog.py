"""Every snippet has a kind, every kind has checks, a finder and colours, and every check is there and used."""

from __future__ import annotations

from importlib import import_module

import pytest

from handbook import checks, regions
from handbook.catalog import KINDS, ROOT, Catalog, Kind
from handbook.findings import HandbookError
from handbook.site.shown import showable
from tests.catalog_rules import MODULES, hidden, missing, unused, without_check, without_kind


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_has_a_finder_and_colours(kind: Kind) -> None:
    try:
        showable(kind)
    except HandbookError as error:
        pytest.fail(str(error), pytrace=False)
    finder = import_module(f"handbook.regions.{kind.finder}")
    assert callable(finder.regions)
    assert callable(finder.entries)


def test_the_page_for_contributors_names_every_finder() -> None:
    page = (ROOT / "docs" / "contribute.md").read_text(encoding="utf-8")
    assert [name for name in regions.finders() if f"| `{name}` |" not in page] == []


def test_every_snippet_has_a_kind() -> None:
    assert without_kind(Catalog().snippets) == []


def test_every_kind_has_a_check() -> None:
    assert without_check(KINDS) == []


def test_every_check_of_a_kind_is_there() -> None:
    assert missing(KINDS, MODULES) == []


def test_every_check_is_used() -> None:
    assert unused(KINDS, MODULES) == []


def test_no_kind_is_hidden_by_another() -> None:
    assert hidden(KINDS) == []


@pytest.mark.parametrize("name", MODULES)
def test_a_check_keeps_the_protocol(name: str) -> None:
    module = checks.load(name)
    assert module.NEEDS in checks.READY
    assert callable(module.version)
    assert callable(module.run)
    assert module.__doc__
