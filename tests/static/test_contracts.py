"""The files keep every contract."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from handbook import contracts
from handbook.findings import HandbookError
from tests import kept
from tests.kept import Read


@pytest.fixture(scope="module")
def read() -> Read | HandbookError:
    try:
        return kept.read()
    except HandbookError as error:
        return error


@pytest.fixture
def real(read: Read | HandbookError) -> Read:
    if isinstance(read, HandbookError):
        pytest.skip("there is nothing to judge: test_every_deployment_can_be_read says why")
    return read


def test_every_deployment_can_be_read(read: Read | HandbookError) -> None:
    if isinstance(read, HandbookError):
        pytest.fail(str(read), pytrace=False)


@pytest.mark.parametrize("name", contracts.names())
def test_the_files_keep(name: str, real: Read, proves: Callable[..., None]) -> None:
    kept.judge(name, real, proves)
