"""The cluster that the tests share, a reader of the page in it, and the page's steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from handbook.catalog import ROOT
from handbook.cluster import Cluster, prepare, version
from handbook.findings import HandbookError
from handbook.proof import modules
from handbook.pytest_plugin import RESULTS, module_name
from handbook.walkthroughs import Walkthrough
from tests.boot.load import new_clients

from .beforehand import built
from .reader import NAMESPACE, PORT, STACK, Reader, reading, remove

CLUSTER = pytest.StashKey[Cluster]()
# Waits for what is built while other levels run.
WAIT = pytest.StashKey[Callable[[], str]]()
# Why there is no cluster.
UNABLE = pytest.StashKey[str]()
# It is for the whole cluster.
POLICY = "snippets/kubernetes/policy"
CLIENTS = 3


def is_here(item: pytest.Item) -> bool:
    """Whether a test is one of this level."""
    return item.path.parent == Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin to build what a cluster is made of, which takes minutes on first use.

    Before anybody asks what has changed since its proof: that makes images, which takes minutes on first use, too. So
    it begins also when no test of the cluster is left in the end.
    """
    if any(map(is_here, items)) and not config.option.collectonly:
        beforehand = ExitStack()
        config.stash[WAIT] = beforehand.enter_context(built())
        config.add_cleanup(beforehand.close)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Any:
    """Wait for what is built, before the clock of the first test here runs."""
    config = item.config
    # Pytest asks this of every test of the session.
    if is_here(item) and (wait := config.stash.get(WAIT, None)):
        del config.stash[WAIT]
        if said := wait():
            config.get_terminal_writer().write(f"\n{said}")
        try:
            prepare()
        except HandbookError as error:
            config.stash[UNABLE] = str(error)
    return (yield)


@pytest.fixture(scope="package")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster of two nodes that are ready. One for all modules: each leaves it as it was."""
    if unable := request.config.stash.get(UNABLE, ""):
        pytest.fail(unable, pytrace=False)
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
