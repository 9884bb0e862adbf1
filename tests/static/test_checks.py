"""The checks that need nothing: what they say of this repository's files."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.verdicts import Verdicts, cases, judge


@pytest.mark.parametrize(("check", "path"), cases("nothing"), ids=lambda value: value)
def test_snippet(check: str, path: str, verdicts: Verdicts, proves: Callable[..., None]) -> None:
    judge(check, path, verdicts, proves)
