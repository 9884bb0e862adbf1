"""The checks that need Docker: what they say of this repository's files."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.verdicts import Verdicts, cases, judge, one, with_docker


def inputs() -> str:
    return one(with_docker(__file__))


@pytest.mark.parametrize(("check", "path"), cases("docker"), ids=lambda value: value)
def test_snippet(check: str, path: str, verdicts: Verdicts, proves: Callable[..., None]) -> None:
    judge(check, path, verdicts, proves)
