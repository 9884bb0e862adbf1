"""The tables of the pages hold what the code holds."""

from __future__ import annotations

import pytest

from handbook import contracts
from handbook.catalog import Catalog, kind_of
from handbook.facts import settings
from handbook.findings import HandbookError
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


def test_stack_folders_names_what_a_reader_copies() -> None:
    said = tables.stack_folders(Catalog(), "compose/production")
    folders = ("backup", "compose/production", "nginx", "postgres/init", "provider", "redis")
    assert said == f"{', '.join(f'<code>{folder}</code>' for folder in folders)} and <code>service</code>"
    with pytest.raises(HandbookError, match="no stack 'compose/gone'"):
        tables.stack_folders(Catalog(), "compose/gone")
