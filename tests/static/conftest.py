"""The handbook, built while the checks run."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from handbook.catalog import ROOT
from tests.built_site import mkdocs


@dataclass(frozen=True)
class Build:
    """A build of the site that has begun, and the folder that it writes."""

    folder: Path
    process: Future[subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session", autouse=True)
def build(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Build | None]:
    """The strict build of the handbook. It begins with the first test, beside the checks, if any asks for it."""
    if not any("site" in getattr(item, "fixturenames", ()) for item in request.session.items):
        yield None
        return
    folder = tmp_path_factory.mktemp("site")
    with ThreadPoolExecutor(1) as thread:
        yield Build(folder, thread.submit(mkdocs, ROOT, "build", "--strict", "--site-dir", str(folder)))


@pytest.fixture(scope="session")
def site(build: Build) -> Path:
    """The folder of the built handbook."""
    result = build.process.result()
    if result.returncode:
        said = "\n".join(line for line in result.stderr.splitlines() if line and not line.startswith("INFO"))
        pytest.fail(f"the site can't be built:\n{said}", pytrace=False)
    return build.folder
