"""The checks that need nothing: what they say of this repository's files."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from handbook.catalog import ROOT
from handbook.proof import digest
from tests.verdicts import Verdicts, cases


@pytest.mark.parametrize(("check", "path"), cases("nothing"), ids=lambda value: value)
def test_snippet(check: str, path: str, verdicts: Verdicts, proves: Callable[..., None]) -> None:
    verdict = verdicts.get(check)
    proves(path, check, tool=verdict.tool, seconds=verdict.seconds, digest=digest((ROOT / path).read_bytes()))
    found = verdict.of(path)
    assert not found, "\n" + "\n".join(map(str, found))
