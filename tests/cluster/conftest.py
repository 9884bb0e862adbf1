"""The cluster that the tests share, a reader of the page in it, and the page's steps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from handbook.catalog import ROOT
from handbook.cluster import Cluster, prepare, version
from handbook.findings import HandbookError
from handbook.proof import modules
from handbook.pytest_plugin import RESULTS, clearly, module_name
from handbook.walkthroughs import Walkthrough
from tests.boot.load import new_clients

from .reader import NAMESPACE, PORT, STACK, Reader, reading, remove

CLUSTER = pytest.StashKey[Cluster]()
# It is for the whole cluster.
POLICY = "snippets/kubernetes/policy"
CLIENTS = 3


@clearly
def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what a cluster is made of before the clock of a test runs: on first use it takes minutes."""
    here = Path(__file__).parent
    if any(item.path.parent == here for item in session.items) and not session.config.option.collectonly:
        prepare()


@pytest.fixture(scope="package")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster of two nodes that are ready. One for all modules: each leaves it as it was."""
    with Cluster(ports=[PORT]) as made:
        request.config.stash[CLUSTER] = made
        yield made
        del request.config.stash[CLUSTER]


@pytest.fixture(scope="module")
def reader(cluster: Cluster) -> Iterator[Reader]:
    with reading(cluster) as one:
        try:
            yield one
        finally:
            remove(cluster, NAMESPACE)
            cluster.ask("delete", "--kustomize", str(ROOT / POLICY), "--ignore-not-found", "--timeout=60s")


@pytest.fixture(scope="module")
def walk(request: pytest.FixtureRequest, reader: Reader) -> Iterator[Walkthrough]:
    """The page's steps, which tests run one by one: `walk.until("start-it", timeout=900)`."""
    with reader.walk() as walkthrough:
        yield walkthrough
        # One module tells the whole story; others stop where they have what they need.
        name = module_name(request.node.nodeid)
        left = [step.name for step in walkthrough.steps if step.name not in walkthrough.results]
        results = request.config.stash[RESULTS]
        whole = name == modules(ROOT, STACK)[0] and results.ran_whole(results.modules[name])
        assert not (left and whole and not request.session.testsfailed), f"no test ran {', '.join(left)}"


@pytest.fixture(scope="module")
def keys(reader: Reader, walk: Walkthrough) -> list[str]:
    """API keys of clients, made before the service starts."""
    walk.until("prepare")
    made, lines = new_clients(CLIENTS)
    with (reader.folder / "secrets" / "api_keys").open("a") as file:
        file.write(lines)
    return made


@pytest.fixture(scope="module")
def started(reader: Reader, walk: Walkthrough, boots: Any) -> Reader:
    """The service as the page starts it; says in the proof what ran."""
    found = reader.pull()
    walk.until("start-it")
    boots(
        STACK,
        tool=f"Kubernetes {version()}",
        seconds=walk.results["start-it"].seconds,
        digest=reader.stack.digest(),
        files=reader.files,
        images={image.name: str(image) for image in found.values()},
    )
    return reader


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Say of a failure how the cluster was."""
    report: pytest.TestReport = yield
    made = item.config.stash.get(CLUSTER, None)
    if report.failed and made:
        try:
            report.sections.append(("the cluster", made.report()))
        except HandbookError as error:
            report.sections.append(("the cluster", str(error)))
    return report
