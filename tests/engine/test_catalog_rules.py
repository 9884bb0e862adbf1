"""The catalog's own rules are seen failing."""

from __future__ import annotations

import pytest

from handbook.catalog import Kind
from handbook.checks import load
from handbook.findings import HandbookError
from handbook.site.shown import showable
from tests.catalog_rules import MODULES, hidden, missing, unused, without_check, without_kind

BAD = Kind("bad", ("*.bad",), "headed", (), "text")
ODD = Kind("odd", ("*.odd",), "headed", ("nowhere",), "text")


def test_the_rules_can_fail() -> None:
    assert without_kind(["snippets/a.unheard-of"]) == [
        "snippets/a.unheard-of: no kind matches this path; add a row to KINDS"
    ]
    assert without_check([BAD]) == ["kind bad: no check judges it"]
    assert missing([ODD], MODULES) == ["kind odd: checks/nowhere.py is not there"]
    assert unused([ODD], ["ruff"]) == ["checks/ruff.py: no kind names this check"]
    assert hidden([Kind("late", ("snippets/*/Dockerfile",), "dockerfile", ("hadolint",), "docker")]) == [
        "kind late: kind dockerfile above it takes all its files"
    ]


@pytest.mark.parametrize(
    ("finder", "lexer", "message"),
    [
        ("_text", "text", r"^kind odd: there is no finder '_text'; there are: dockerfile, env, .*; mend its row"),
        ("headed", "pyhton", r"^kind odd: Pygments has no lexer 'pyhton'; there are, among others: .*\bpython\b"),
        ("headed", "???", r"^kind odd: Pygments has no lexer '\?\?\?'; there are, among others: .*\bdocker, .*; mend"),
    ],
)
def test_a_kind_that_can_not_be_shown_is_told(finder: str, lexer: str, message: str) -> None:
    with pytest.raises(HandbookError, match=message):
        showable(Kind("odd", ("*.odd",), finder, ("ruff",), lexer))


def test_a_check_that_is_not_written_yet_is_told() -> None:
    with pytest.raises(HandbookError, match=r"no scripts/handbook/checks/nowhere\.py; write it"):
        load("nowhere")
