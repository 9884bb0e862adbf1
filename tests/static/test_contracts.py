"""The files keep every contract."""

from __future__ import annotations

import pytest

from handbook import contracts
from handbook.catalog import Catalog
from handbook.facts import targets
from handbook.facts.deployment import Facts


@pytest.fixture(scope="module")
def real() -> Facts:
    return targets.read(Catalog())


@pytest.mark.parametrize("name", contracts.names())
def test_the_files_keep(name: str, real: Facts) -> None:
    findings = contracts.load()[name](real)
    assert not findings, "\n" + "\n".join(map(str, findings))
