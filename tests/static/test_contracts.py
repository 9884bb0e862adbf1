"""The files keep every contract."""

from __future__ import annotations

import pytest

from handbook import contracts
from handbook.catalog import Catalog
from handbook.facts import targets
from handbook.facts.deployment import Facts
from handbook.findings import HandbookError


@pytest.fixture(scope="module")
def read() -> Facts | HandbookError:
    try:
        return targets.read(Catalog())
    except HandbookError as error:
        return error


@pytest.fixture
def real(read: Facts | HandbookError) -> Facts:
    if isinstance(read, HandbookError):
        pytest.skip("there is nothing to judge: test_every_deployment_can_be_read says why")
    return read


def test_every_deployment_can_be_read(read: Facts | HandbookError) -> None:
    if isinstance(read, HandbookError):
        pytest.fail(str(read), pytrace=False)


@pytest.mark.parametrize("name", contracts.names())
def test_the_files_keep(name: str, real: Facts) -> None:
    findings = contracts.load()[name](real)
    assert not findings, "\n" + "\n".join(map(str, findings))
