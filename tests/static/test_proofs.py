"""What the built site says of proofs, to people and to programs, is the same, and names everything that there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from handbook import contracts
from handbook.catalog import ROOT, Catalog, kind_of
from handbook.checks._schema import judge_by
from handbook.proof import walked
from handbook.site.proofs_json import NAME
from handbook.stacks import names

SCHEMA = ROOT / "snippets" / "proof" / "proofs.schema.json"


@pytest.fixture(scope="module")
def proofs(site: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((site / NAME).read_text(encoding="utf-8"))
    return read


@pytest.fixture(scope="module")
def page(site: Path) -> str:
    return (site / "proof" / "index.html").read_text(encoding="utf-8")


def test_proofs_follow_the_schema_that_the_handbook_shows(site: Path, proofs: dict[str, Any]) -> None:
    assert judge_by(["--schemafile", str(SCHEMA)], site, [NAME]) == []
    assert proofs["snippets"]


def test_proofs_name_everything(proofs: dict[str, Any]) -> None:
    catalog = Catalog()
    assert [snippet["path"] for snippet in proofs["snippets"]] == list(catalog.snippets)
    assert [contract["name"] for contract in proofs["contracts"]] == contracts.names()
    used = {check for path in catalog.checked if (kind := kind_of(path)) for check in kind.checks}
    assert {check["name"] for check in proofs["checks"]} == used
    stacks = {stack["name"] for stack in proofs["stacks"]}
    assert stacks >= {*walked(ROOT), *names(catalog)}
    for stack in proofs["stacks"]:
        assert stack["modules"], stack["name"]


def test_proofs_have_the_states_of_the_page(proofs: dict[str, Any], page: str) -> None:
    found = re.findall(r'<tr id="proof-[^"]*" data-state="([^"]+)"><td>(?:<code>)?([^<]+)', page)
    shown = [(name, state) for state, name in found]
    snippets = [(row["path"].removeprefix("snippets/"), row["state"]) for row in proofs["snippets"]]
    others = [(row["name"], row["state"]) for part in ("contracts", "checks") for row in proofs[part]]
    assert shown == snippets + others
    stacks = re.findall(r'<section data-state="([^"]+)"><h3 id="[^"]+">([^<]+)', page)
    assert [(name, state) for state, name in stacks] == [(stack["name"], stack["state"]) for stack in proofs["stacks"]]
    modules = re.findall(r'<(?:details|p) data-state="([^"]+)">.*?<code>([^<]+)</code>', page)
    said = [(module["path"], module["state"]) for stack in proofs["stacks"] for module in stack["modules"]]
    assert [(name, state) for state, name in modules] == said


def test_a_state_is_the_same_to_the_filter_and_to_the_eye(page: str) -> None:
    """A check has a mark for each state of its files."""
    rows = re.findall(r'<(?:tr|section|details|p) [^>]*?data-state="([^"]+)">(.*?)(?:</tr>|</p>|</summary>)', page)
    assert rows
    for state, said in rows:
        marks = [mark.replace("-", " ") for mark in re.findall(r"proof--([a-z-]+)", said)]
        assert state in marks, said


def test_the_page_has_every_probe(proofs: dict[str, Any], page: str) -> None:
    boots = [module["boot"] for stack in proofs["stacks"] for module in stack["modules"] if module["boot"]]
    assert page.count("<li data-state=") == sum(len(boot["probes"]) for boot in boots)
