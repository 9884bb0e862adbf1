"""What the levels share: the built handbook, and the verdicts of checks, each asked for once, two at a time."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

import pytest

from handbook.catalog import ROOT, Catalog
from handbook.proof import Proof
from tests.boot.symptoms import Symptom, marked
from tests.built_site import Build, made
from tests.verdicts import Verdicts, asked, slowest_first, write


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "removes: takes the stack away; left out with KEEP=1")
    config.addinivalue_line("markers", "fills: fills the memory of a container on purpose, so it is not measured then")
    config.addinivalue_line("markers", "shows(text): makes the stack show a symptom that its page names")

    # A cancelled CI job gets SIGTERM: what was booted is to be taken down then as after Ctrl-C. Whoever started it may
    # pass on the same signal, and a second one would break the taking down off.
    def interrupt(number: int, frame: FrameType | None) -> None:
        # To be ignored would be passed on to what is started from now on.
        signal.signal(signal.SIGTERM, lambda *_: None)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    # What a shell starts in the background ignores Ctrl-C, and so would every command that a test sends it to.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    """Two checks run at a time."""
    with ThreadPoolExecutor(2) as threads:
        yield threads
        threads.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def verdicts(request: pytest.FixtureRequest, pool: ThreadPoolExecutor) -> Verdicts:
    """The verdicts about this repository. The checks that the module's tests `test_snippet` ask for begin at once."""
    catalog = Catalog()
    checks = slowest_first(asked(request, "test_snippet"), Proof.read())
    found = Verdicts(ROOT, {name: catalog.of_check(name) for name in checks}, pool)
    found.start(checks)
    return found


@pytest.fixture(scope="module")
def examples(
    request: pytest.FixtureRequest, pool: ThreadPoolExecutor, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Verdicts]:
    """The verdicts about the module's `EXAMPLES`, for each check in a checkout of its own."""
    found = {}
    for name in asked(request, "test_example"):
        root = tmp_path_factory.mktemp(name)
        subprocess.run(["git", "init", "--quiet", root], check=True)
        shutil.copy(ROOT / ".editorconfig", root)
        found[name] = Verdicts(root, {name: write(root, request.module.EXAMPLES[name])}, pool)
        found[name].start([name])
    return found


@pytest.fixture(scope="session", autouse=True)
def build(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Build | None]:
    """The site as it is published. It is made from the first test on, beside the others, if any asks for it."""
    if not any("site" in getattr(item, "fixturenames", ()) for item in request.session.items):
        yield None
        return
    folder = tmp_path_factory.mktemp("site")
    proof = ROOT / ".cache" / "proof.json"
    told = proof.read_bytes() if proof.exists() else None
    with ThreadPoolExecutor(1) as thread:
        yield Build(folder, thread.submit(made, ROOT, folder), told)


@pytest.fixture(scope="session")
def site(build: Build) -> Path:
    """The folder of the site as it is published."""
    result = build.process.result()
    if result.returncode:
        pytest.fail(result.stderr, pytrace=False)
    return build.folder


@pytest.fixture
def symptom(request: pytest.FixtureRequest) -> Iterator[Symptom]:
    """The symptom that the test is marked with (`@pytest.mark.shows`), which it must have seen when it ends."""
    yield from marked(request)
