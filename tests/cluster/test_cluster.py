"""The cluster of the tests itself: it is what it says, nobody else reaches it, and nothing of it stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from handbook import catalog, cluster
from handbook.cluster import NODES, Cluster, leftovers, version
from handbook.findings import HandbookError
from handbook.proof import digest
from handbook.stacks import engine
from handbook.tools import run
from tests.boot.client import wait_for

from .reader import PORT

# Each starts a cluster of its own.
pytestmark = pytest.mark.timeout(600)

# Says its name, and when it is up.
OWN = """\
import time
from handbook.cluster import Cluster
made = Cluster()
print(made.name, flush=True)
with made:
    print("up", flush=True)
    time.sleep(600)
"""


def inputs() -> str:
    """The digest of all that this module's result depends on."""
    tests = catalog.ROOT / "tests"
    own = [tests / "cluster" / name for name in ("conftest.py", "reader.py")]
    also = [Path(__file__), *own, tests / "boot" / "client.py"]
    return digest(*(part for item in sorted({**engine(also), **cluster.inputs()}.items()) for part in item))


def found(containers: tuple[str, ...]) -> list[dict[str, Any]]:
    """What Docker says of those of the containers that are there."""
    said: list[dict[str, Any]] = json.loads(run(["docker", "container", "inspect", *containers]).stdout or "[]")
    return said


def volumes(containers: tuple[str, ...]) -> set[str]:
    """The names of the volumes that the containers have, also of those that nobody named."""
    mounts = (mount for each in found(containers) for mount in each["Mounts"])
    return {mount["Name"] for mount in mounts if mount["Type"] == "volume"}


def scratch(containers: tuple[str, ...]) -> set[Path]:
    """The folders with the keys of a cluster."""
    mounts = (mount for each in found(containers) for mount in each["Mounts"])
    return {Path(mount["Source"]).parent for mount in mounts if mount["Destination"] == "/cluster"}


def left(name: str) -> list[str]:
    return [each for each in leftovers() if each.partition(" ")[2].startswith(name)]


class TestItIsUp:
    def test_its_programs_are_of_the_version_that_is_pinned(self, cluster: Cluster) -> None:
        nodes = cluster.get("nodes")["items"]
        kubelets = {node["metadata"]["name"]: node["status"]["nodeInfo"]["kubeletVersion"] for node in nodes}
        assert kubelets == dict.fromkeys(NODES, version())
        assert json.loads(cluster.kubectl("get", "--raw", "/version"))["gitVersion"] == version()

    def test_its_nodes_are_ready(self, cluster: Cluster) -> None:
        for node in cluster.get("nodes")["items"]:
            conditions = {each["type"]: each["status"] for each in node["status"]["conditions"]}
            assert conditions["Ready"] == "True"
            assert "unschedulable" not in node["spec"]

    def test_it_measures_its_nodes(self, cluster: Cluster) -> None:
        def measured() -> bool:
            lines = cluster.kubectl("top", "nodes", "--no-headers").splitlines()
            return {line.split()[0] for line in lines if "<unknown>" not in line} == {*NODES}

        # The first measurement of a node comes after some seconds, and not of both at the same time.
        wait_for(lambda: cluster.ask("top", "nodes").returncode == 0, "the nodes are measured", 60, 1)
        wait_for(measured, "both nodes are measured", 60, 1)

    def test_its_ports_are_on_this_machine_alone(self, cluster: Cluster) -> None:
        published = [
            binding
            for each in found(cluster.containers)
            for bindings in each["NetworkSettings"]["Ports"].values()
            for binding in bindings or []
        ]
        assert {binding["HostIp"] for binding in published} == {"127.0.0.1"}
        # That of the API server is the second.
        assert str(cluster.ports[PORT]) in {binding["HostPort"] for binding in published}
        assert len(published) == 2

    def test_it_has_what_its_end_has_to_remove(self, cluster: Cluster) -> None:
        """So that the tests of its end can't pass by looking for nothing."""
        kinds = sorted(each.partition(" ")[0] for each in left(cluster.name))
        assert kinds == ["container"] * 3 + ["network", "volume"]
        # The shared one, and two a node.
        assert len(volumes(cluster.containers)) == 1 + 2 * len(NODES)
        assert [folder.is_dir() for folder in scratch(cluster.containers)] == [True]


@contextmanager
def own() -> Iterator[tuple[subprocess.Popen[str], Cluster]]:
    """A process that starts a cluster, and the names of the cluster. The process has ended when this ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWN],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        names = Cluster()
        names.name = line(process)
        yield process, names
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=180)


def line(process: subprocess.Popen[str]) -> str:
    """The next line that a process prints; AssertionError with its last words when there is none."""
    assert process.stdout
    assert process.stderr
    said = process.stdout.readline().strip()
    assert said, process.stderr.read()
    return said


class TestItEnds:
    """As Ctrl-C in a terminal does: every process of the group gets the signal."""

    @pytest.mark.parametrize("part", range(3), ids=("its first", "its second", "its third"))
    def test_an_interrupt_while_it_starts_leaves_nothing(self, part: int) -> None:
        """That many of its containers are there."""
        with own() as (process, names):
            wait_for(lambda: len(found(names.containers)) > part, "a container of it")
            kept, keys = volumes(names.containers), scratch(names.containers)
            self.interrupt(process, names, kept, keys)

    def test_an_interrupt_when_it_is_up_leaves_nothing(self) -> None:
        with own() as (process, names):
            assert line(process) == "up"
            kept, keys = volumes(names.containers), scratch(names.containers)
            assert len(kept) == 1 + 2 * len(NODES)
            self.interrupt(process, names, kept, keys)

    def interrupt(self, process: subprocess.Popen[str], names: Cluster, kept: set[str], keys: set[Path]) -> None:
        os.killpg(process.pid, signal.SIGINT)
        said, errors = process.communicate(timeout=180)
        assert (process.returncode, said) == (-signal.SIGINT, "")
        assert errors.rstrip().endswith("KeyboardInterrupt")
        assert left(names.name) == []
        assert not kept & {*run(["docker", "volume", "ls", "--quiet"]).stdout.split()}
        assert [folder for folder in keys if folder.exists()] == []

    def test_one_that_does_not_come_up_says_why_and_leaves_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cluster, "_READY_SECONDS", 0.1)
        made = Cluster()
        with pytest.raises(HandbookError) as caught, made:
            pytest.fail("it came up")
        said = str(caught.value)
        assert said.startswith(f"{made.name}: the ")
        assert "not ready after 0.1 s\n" in said
        for container in made.containers:
            assert f"--- {container}\n" in said
        logs = said[said.index(f"--- {made.containers[0]}\n") :].splitlines()
        assert [text for text in logs if text and not text.startswith("--- ")]
        assert left(made.name) == []
        assert not made.scratch.exists()


class TestInputs:
    def test_they_change_with_each_file_that_a_cluster_is_made_of(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = ("scripts/cluster/node.sh", "scripts/cluster/system/dns.yaml", "tools/cluster/go.mod")
        for file in (*files, "scripts/host/other.sh"):
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text("before\n")
        run(["git", "init", "--quiet", str(tmp_path)])
        monkeypatch.setattr(catalog, "ROOT", tmp_path)
        here = catalog.Catalog(tmp_path)
        monkeypatch.setattr(catalog, "Catalog", lambda: here)
        before = cluster.inputs()
        assert {*before} == {*files}
        for file in files:
            (tmp_path / file).write_text("after\n")
            after = cluster.inputs()
            assert {name for name in files if before[name] != after[name]} == {file}
            before = after

    def test_they_are_those_of_this_repository(self) -> None:
        names = cluster.inputs()
        assert {"scripts/cluster/control.sh", "scripts/cluster/kubelet.yaml", "tools/cluster/go.sum"} <= {*names}
