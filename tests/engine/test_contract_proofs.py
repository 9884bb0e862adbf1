"""A contract that is judged leaves a proof, and everything that decides about it is in there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from handbook import contracts
from handbook.catalog import ROOT, Catalog
from handbook.facts import targets
from handbook.facts.deployment import Facts
from handbook.proof import Judge, Proof, Record
from tests import kept

PORTS = "scripts/handbook/contracts/ports.py"


@pytest.fixture(scope="module")
def read() -> kept.Read:
    return kept.read()


@pytest.fixture(scope="module")
def facts(read: kept.Read) -> Facts:
    return read.facts


def test_it_is_proven_by_the_test_that_judges_it(read: kept.Read) -> None:
    left: list[Record] = []

    def proves(subject: str, name: str, *, tool: str, seconds: float, files: dict[str, str]) -> None:
        left.append(Record(subject, name, tool, True, seconds, "d", "none", "2026-11-20T10:00:00Z", files=files))

    kept.judge("ports.asked", read, proves)
    (record,) = left
    assert (record.subject, record.name) == (PORTS, "ports.asked")
    assert record.tool.startswith("Python 3.")
    (judged,) = Judge(Proof(ROOT / "proof.json", left), ROOT).contracts({"ports.asked": PORTS})
    assert (judged.state, judged.record) == ("proven", record)


def test_every_file_that_facts_are_read_from_goes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    read: set[str] = set()
    whole = Path.read_text

    def reading(path: Path, *arguments: Any, **named: Any) -> str:
        read.add(path.relative_to(ROOT).as_posix())
        return whole(path, *arguments, **named)

    monkeypatch.setattr(Path, "read_text", reading)
    facts = targets.read(Catalog())
    assert {"docs/index.md", "snippets/nginx/timeouts.conf", "snippets/measured/compose-production.json"} <= read
    assert read - set(contracts.inputs("snippets.shown", facts)) == set()


def test_pages_go_in_only_where_the_rule_may_read_them(facts: Facts) -> None:
    assert set(facts.pages) <= set(contracts.inputs("environment.documented", facts))
    assert not set(facts.pages) & set(contracts.inputs("ports.asked", facts))


def test_the_code_that_decides_goes_in(facts: Facts) -> None:
    for name, module in contracts.modules().items():
        code = {module, "scripts/handbook/contracts/__init__.py", "scripts/handbook/facts/nginx.py"}
        assert code <= set(contracts.inputs(name, facts)), name
        assert (ROOT / module).is_file(), name
