"""Judges one contract over this repository's files, and says what that proves."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from handbook import contracts
from handbook.catalog import ROOT, Catalog
from handbook.facts import targets
from handbook.facts.deployment import Facts
from handbook.proof import digests


@dataclass(frozen=True)
class Read:
    """What contracts compare. `files` are the digests of all files, as they were before they were read."""

    facts: Facts
    files: Mapping[str, str]


def read() -> Read:
    """Read everything, once for all contracts. Raises HandbookError when a deployment can't be read."""
    catalog = Catalog()
    files = digests(ROOT, catalog.files)
    return Read(targets.read(catalog), files)


def judge(name: str, read: Read, proves: Callable[..., None]) -> None:
    """The test of one contract: say what it proves, and fail with what the contract found."""
    start = time.monotonic()
    found = contracts.load()[name](read.facts)
    seconds = round(time.monotonic() - start, 3)
    files = {path: read.files[path] for path in contracts.inputs(name, read.facts)}
    tool = f"Python {sys.version.partition(' ')[0]}"
    proves(contracts.modules()[name], name, tool=tool, seconds=seconds, files=files)
    assert not found, "\n" + "\n".join(map(str, found))
