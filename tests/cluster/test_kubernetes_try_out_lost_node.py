"""The service when a node is lost: what the cluster does by itself, and what somebody has to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from handbook.cluster import NODES, Cluster
from handbook.walkthroughs import Walkthrough
from tests.boot.client import wait_for

from . import reader as readers
from .conftest import CLUSTER
from .reader import NAMESPACE, PORT, Reader

STACK = "kubernetes/try-out"

# The door is a port of the first one.
STAYS, LOST = NODES
# The controller that watches nodes waits for `--node-monitor-grace-period`, which scripts/cluster/control.sh has.
NOTICED_SECONDS = 120


def inputs() -> str:
    """The digest of all that this module's result depends on."""
    return readers.inputs(__file__)


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster for this module alone: it does not become whole again."""
    shared = request.config.stash.get(CLUSTER, None)
    with Cluster(ports=[PORT]) as made:
        request.config.stash[CLUSTER] = made
        yield made
        del request.config.stash[CLUSTER]
    if shared:
        request.config.stash[CLUSTER] = shared


@pytest.fixture(scope="module")
def lost(started: Reader, walk: Walkthrough) -> Reader:
    """The service after the node of its database is off, as soon as the cluster has noticed."""
    walk.until("store-and-find-a-document")
    if node(started, "postgres-0") != LOST:
        started.cluster.kubectl("cordon", STAYS)
        started.cluster.kubectl("delete", "pod", "postgres-0", f"--namespace={NAMESPACE}")
        wait_for(lambda: started.ready("database"), "the database is on the other node", 120, 1)
        started.cluster.kubectl("uncordon", STAYS)
    wait_for(lambda: found(started, "when are backups made") == 200, "the document is found", 60, 1)
    wait_for(lambda: len(started.ready("api")) == 2, "two pods of the API")
    assert {node(started, pod) for pod in started.ready("api")} == {STAYS, LOST}
    started.cluster.kill(LOST)

    def noticed() -> bool:
        return len(started.ready("api")) == 1 and not started.ready("database")

    wait_for(noticed, "the pods of the lost node are not ready", NOTICED_SECONDS, 1)
    return started


@pytest.fixture(scope="module")
def moved(lost: Reader) -> Reader:
    """The service after somebody said that the node is off."""
    lost.operate("have-the-pods-of-a-lost-node-elsewhere", NODE=LOST)
    return lost


def node(reader: Reader, pod: str) -> str:
    name: str = reader.get("pod", pod)["spec"]["nodeName"]
    return name


def found(reader: Reader, question: str) -> int:
    """The status of a search for what was stored. What was asked before may be answered by the cache."""
    answer = reader.door.ask("GET", "/v1/search", params={"q": question})
    assert answer.status_code != 200 or "Backups are made every night" in answer.text
    return answer.status_code


def test_what_is_left_serves_on(lost: Reader) -> None:
    """Once the nodes know which pods are left: until then half of the connections lead to nobody."""

    def all_answered() -> bool:
        return all(lost.door.ask("GET", "/version").status_code == 200 for _ in range(30))

    wait_for(all_answered, "the pod that is left answers each request", 90)


def test_the_database_stays_away_by_itself(lost: Reader) -> None:
    """Nobody can know that it does not write on."""
    wait_for(lambda: lost.door.search().status_code == 503, "the database is missed", 60, 1)
    assert node(lost, "postgres-0") == LOST


def test_every_pod_is_on_the_node_that_is_left(moved: Reader) -> None:
    parts = ("api", "worker", "beat", "database", "cache", "broker", "provider")
    wait_for(lambda: all(moved.ready(part) for part in parts), "all are ready", 180, 1)
    assert {node(moved, pod) for part in parts for pod in moved.ready(part)} == {STAYS}
    assert len(moved.ready("api")) == 2


def test_the_data_is_there(moved: Reader) -> None:
    wait_for(lambda: found(moved, "at which time are backups made") == 200, "the document of before", 60, 1)


def test_a_job_is_done(moved: Reader, walk: Walkthrough) -> None:
    assert '"state":"done"' in walk.until("import-documents-in-the-background").stdout.replace(" ", "")


def test_the_digest_knows_this_file() -> None:
    assert str(Path(__file__).relative_to(readers.ROOT)) in readers._inputs((__file__,))
