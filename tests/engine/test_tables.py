"""The tables of the pages hold what the code holds."""

from __future__ import annotations

import re

import pytest

from handbook import contracts, symptoms
from handbook.catalog import Catalog, kind_of
from handbook.facts import settings
from handbook.site import tables


def test_kinds_names_every_kind_that_a_file_here_has_with_its_checks() -> None:
    catalog = Catalog()
    table = tables.kinds(catalog)
    for kind in {kind for file in catalog.checked if (kind := kind_of(file))}:
        row = next(row for row in table.split("<tr>") if row.startswith(f"<td>{kind.name}</td>"))
        for check in kind.checks:
            assert f"{check}: " in row
    assert ": <" not in table, "a check without a docstring"


def test_contract_rules_names_every_contract_with_its_rule() -> None:
    table = tables.contract_rules()
    assert all(f"<code>{name}</code>" in table for name in contracts.names())
    assert "<td></td>" not in table, "a contract without a docstring"


def test_service_settings_names_every_setting() -> None:
    table = tables.service_settings(Catalog())
    read = settings.read(Catalog().root, "snippets/service/assistant/settings.py")
    assert read
    assert all(f"<code>{setting.name.value}</code>" in table for setting in read)
    assert table.count("<td>required</td>") == sum(setting.required for setting in read) > 0


def test_gunicorn_settings_names_what_the_file_sets_with_its_variables() -> None:
    table = tables.gunicorn_settings(Catalog())
    rows = {name: row for row in table.split("<tr>") for name in tables.gunicorn_names(Catalog()) if f'#{name}"' in row}
    cells = {name: re.findall(r"<td>(.*?)</td>", row)[1:] for name, row in rows.items()}
    assert list(rows) == list(tables.gunicorn_names(Catalog()))
    assert cells["graceful_timeout"] == [f"<code>{text}</code>" for text in ("GUNICORN_GRACEFUL_TIMEOUT", "65", "30")]
    assert cells["workers"][0] == "<code>GUNICORN_WORKERS</code><br><code>WEB_CONCURRENCY</code>"
    assert cells["workers"][1] == "<code>1</code>", "the first of the two has no default"
    assert cells["keepalive"] == ["none", "<code>5</code>", "<code>2</code>"]
    assert cells["accesslog"] == ["none", "not set", "not set"]


@pytest.mark.parametrize(
    ("page", "text", "link"),
    [
        ("docs/compose/troubleshooting.md", "unrecognized name", "../compose/troubleshooting/#unrecognized-name"),
        ("docs/local.md", "DATABASE_PASSWORD: missing", "../local/#database_password-missing"),
    ],
)
def test_errors_lists_each_text_once_with_all_its_answers(page: str, text: str, link: str) -> None:
    listed = tables.errors(Catalog(), "../")
    (item,) = [item for item in listed.split("<li>") if f"<code>{text}</code>" in item]
    assert f'<a href="{link}">' in item
    answers = symptoms.answers(Catalog())
    assert page in {answer.page for answer in answers[text]}
    assert len(answers["address already in use"]) == 3
    assert listed.count("<a ") == sum(map(len, answers.values()))
    # Neither quotes nor capitals decide where one looks.
    texts = [text.strip('("').casefold() for text in answers]
    assert texts == sorted(texts)
