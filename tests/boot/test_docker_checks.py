"""The checks that need Docker: what they say of this repository's files."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from handbook.catalog import ROOT, Catalog
from handbook.proof import digest
from tests.verdicts import Verdicts, cases

CATALOG = Catalog()


def inputs() -> str:
    """Everything that goes into the verdicts: the files, the checks and what the checks stand on."""
    folders = ("scripts/handbook/checks/", "scripts/images/", "requirements/")
    engine = [file for file in CATALOG.files if file.startswith(folders)]
    own = ["scripts/handbook/catalog.py", "scripts/handbook/images.py", "tests/boot/test_docker_checks.py"]
    own += ["tests/conftest.py", "tests/verdicts.py"]
    return digest(*((ROOT / file).read_bytes() for file in [*CATALOG.snippets, *engine, *own]))


@pytest.mark.parametrize(("check", "path"), cases("docker"), ids=lambda value: value)
def test_snippet(check: str, path: str, verdicts: Verdicts, proves: Callable[..., None]) -> None:
    verdict = verdicts.get(check)
    proves(path, check, tool=verdict.tool, seconds=verdict.seconds, digest=digest((ROOT / path).read_bytes()))
    found = verdict.of(path)
    assert not found, "\n" + "\n".join(map(str, found))
