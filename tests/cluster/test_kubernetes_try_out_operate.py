"""What is done to the service in a cluster: releases under load, how many pods there are, and what an operator does."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from handbook.walkthroughs import Walkthrough
from tests.boot.client import wait_for
from tests.boot.load import Load, Result, stored_texts
from tests.boot.releases import changed, migration, version_file, watch

from . import reader as readers
from .reader import NAMESPACE, Door, Reader

STACK = "kubernetes/try-out"

REQUESTS = 10_000
# More at a time than elsewhere: so many requests are to come while a node is drained, which takes less than a minute.
PACE = {"version": (20, 0.05), "search": (4, 0.5), "store": (4, 0.5), "stream": (4, 1.0)}
PARTS = ("release", "rollback", "drain")
# Beside releases that fail: enough to notice, and little enough that many of them are quick.
LIGHT_PACE = {"version": (4, 0.1), "search": (2, 0.5), "store": (2, 0.5), "stream": (2, 1.0)}
# So many requests wait so long for the model at once: longer than the autoscaler takes to look twice.
WAITING, MODEL_SECONDS = 60, 25
# As it stands, pods stay for five quiet minutes. That is not waited for.
IMPATIENT = {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 15}}}
# What a pod of the API may use.
LIMIT = "384Mi"
# How long a decision of the autoscaler may take: a measurement, and the two intervals in which it looks.
DECISION_SECONDS = 120


def inputs() -> str:
    """The digest of all that this module's result depends on."""
    return readers.inputs(__file__)


@dataclass
class Story:
    """What was done under load: when each part began and ended, and how everything was after it."""

    load: Load
    ran: dict[str, tuple[float, float]] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    version: dict[str, str] = field(default_factory=dict)
    nodes: dict[str, list[str]] = field(default_factory=dict)

    def during(self, name: str) -> Result:
        """What the load saw of one part."""
        return self.load.result.between(*self.ran[name])


@pytest.fixture(scope="module")
def serving(keys: list[str], started: Reader, walk: Walkthrough) -> Reader:
    """The service with both of its pods, and the image of a version that it can be replaced by."""
    walk.until("import-documents-in-the-background")
    wait_for(lambda: len(started.ready("api")) == 2, "two pods of the API")
    started.build("1.1.0", {**version_file("1.1.0"), **newer(started)})
    return started


def nodes(reader: Reader) -> list[str]:
    """Where the pods of the API are. One that the autoscaler has just added is nowhere yet."""
    return sorted(pod["spec"]["nodeName"] for pod in reader.pods("api") if "nodeName" in pod["spec"])


def none_ends(reader: Reader) -> bool:
    """Whether all pods of the API are ready, and none beside them is still ending."""
    return len(reader.get("pods", "--selector=app.kubernetes.io/component=api")["items"]) == len(reader.ready("api"))


def newer(reader: Reader) -> dict[str, str]:
    """A migration that only the newer version has."""
    return migration(reader.service, "newer", "CREATE TABLE newer (id bigint)")


def version(reader: Reader) -> str:
    answer: str = reader.door.ask("GET", "/version").json()["version"]
    return answer


@pytest.fixture(scope="module")
def story(serving: Reader, keys: list[str]) -> Story:
    """A release, the way back, and a drained node, under load. Each goes on until enough people could notice."""
    with Load(serving.door, keys, 1500, pace=PACE) as load:
        story = Story(load)
        time.sleep(3)
        for name, paragraphs in {
            "release": ["release-a-version"],
            "rollback": ["roll-back"],
            "drain": ["drain-a-node", "let-a-drained-node-take-pods-again"],
        }.items():
            began = time.monotonic()
            story.said[name] = ""
            for paragraph in paragraphs:
                story.said[name] += serving.operate(paragraph)
                story.nodes.setdefault(name, nodes(serving))
            wait_for(lambda since=began: len(load.result.between(since, time.monotonic()).seen) > REQUESTS, name, 300)
            # Only now: pods of before take requests until every node knows that they end.
            wait_for(lambda: none_ends(serving), f"no pod of the API ends: {name}", 180, 1)
            story.version[name] = version(serving)
            if name == "rollback":
                story.said["migrations"] = serving.operate("see-what-the-migrations-say")
            story.ran[name] = (began, time.monotonic())
    return story


@pytest.mark.parametrize("part", PARTS)
def test_nobody_notices(part: str, story: Story) -> None:
    seen = story.during(part)
    assert seen.failed == [], seen
    assert seen.cut == [], seen
    # At most once for each connection and each pod that stopped.
    assert len(seen.again) <= 2 * sum(many for many, _ in PACE.values()), seen


@pytest.mark.parametrize("part", PARTS)
def test_many_were_there_to_notice(part: str, story: Story) -> None:
    seen = story.during(part)
    assert len(seen.seen) >= REQUESTS, seen
    assert {one.kind for one in seen.seen} == {"version", "search", "store", "stream"}, seen


def test_nothing_is_stored_twice(story: Story, serving: Reader) -> None:
    stored = story.load.result.stored
    assert len(stored) > 100, story.load.result
    assert stored_texts(serving.sql, story.load) == sorted(stored)


def test_what_served(story: Story) -> None:
    assert story.version == {"release": "1.1.0", "rollback": "1.0.0", "drain": "1.0.0"}
    assert "1.1.0 serves; back to the version before: ./release.sh 1.0.0" in story.said["release"]


def test_a_drained_node_has_no_pod_of_the_api(story: Story) -> None:
    """Both were on one node until the other took pods again."""
    assert set(story.nodes["rollback"]) == {"node-1", "node-2"}
    assert len(set(story.nodes["drain"])) == 1


def end_gunicorn(reader: Reader, pod: str, number: str) -> None:
    """Send a signal to the first process of the server in a pod."""
    code = (
        "import contextlib, os, signal\n"
        "pids = [int(pid) for pid in os.listdir('/proc') if pid.isdigit() and int(pid) != os.getpid()]\n"
        "lines = {}\n"
        "for pid in pids:\n"
        "    with contextlib.suppress(OSError): lines[pid] = open(f'/proc/{pid}/cmdline').read()\n"
        f"os.kill(min(pid for pid, line in lines.items() if 'gunicorn' in line), signal.{number})\n"
    )
    ended = reader.run("kubectl", f"--namespace={NAMESPACE}", "exec", pod, "--", "python", "-c", code)
    assert ended.returncode in (0, 137), ended.stderr


def restarts(reader: Reader, pod: str) -> int:
    """How often the container of a pod was restarted, and is ready again; -1 while it is not."""
    (status,) = reader.get("pod", pod)["status"]["containerStatuses"]
    return status["restartCount"] if status["ready"] else -1


class TestAReleaseThatFails:
    """The old version serves all the while."""

    @pytest.fixture
    def before(self, serving: Reader, keys: list[str]) -> Iterator[list[str]]:
        """The pods of the API that serve while nobody may notice anything."""
        # On a slow machine the load of before has made it add pods, which it would keep for five quiet minutes.
        most = at_most(serving, 2)
        wait_for(lambda: settled(serving), "two pods of the API", 120, 1)
        with Load(serving.door, keys, 300, drops=20, pace=LIGHT_PACE) as load:
            time.sleep(1)
            yield sorted(serving.ready("api"))
            # A release sets it back.
            at_most(serving, 2)
            wait_for(lambda: settled(serving), "two pods of the API", 120, 1)
        at_most(serving, most)
        # A pod of the version that failed may have been ready, and takes requests until every node knows that it ends.
        wait_for(lambda: version(serving) == "1.0.0", "the version of before", 60, 1)
        assert {one.kind for one in load.result.seen} == set(LIGHT_PACE)
        assert (load.result.failed, load.result.cut) == ([], []), load.result

    def test_its_pods_do_not_become_ready(self, serving: Reader, before: list[str]) -> None:
        """It listens where no probe asks. As it stands it would have two minutes to become ready."""
        server = (serving.service / "gunicorn.conf.py").read_text(encoding="utf-8")
        serving.build("1.2.0", {"gunicorn.conf.py": f"{server}\nbind = '127.0.0.1:8001'\n"})
        base = serving.folder.parent / "base"
        patience = "\n  progressDeadlineSeconds: "
        manifest = (base / "api.yaml").read_text(encoding="utf-8")
        assert f"{patience}120\n" in manifest
        with changed(base, {"api.yaml": manifest.replace(f"{patience}120\n", f"{patience}15\n")}):
            ran = serving.run("./release.sh", "1.2.0", timeout=400)
        assert ran.returncode == 1, ran.stdout + ran.stderr
        assert 'deployment "api" exceeded its progress deadline' in ran.stderr
        assert "the pods of 1.2.0 do not become ready" in ran.stderr
        assert ran.stderr.endswith("1.0.0 serves; mend what is said above and run this again\n")
        wait_for(lambda: {*before} <= {*serving.ready("api")}, "the pods of before", 60, 1)

    def test_its_migration_fails(self, serving: Reader, before: list[str]) -> None:
        with changed(serving.service, newer(serving)):
            serving.build("1.3.0", migration(serving.service, "bad", "SELECT 1 / 0"))
        ran = serving.run("./release.sh", "1.3.0", timeout=400)
        assert ran.returncode == 1, ran.stdout + ran.stderr
        assert "division by zero" in ran.stderr
        assert re.search(r"the migrations of 1\.3\.0 failed \(.*Failed\); 1\.0\.0 serves on\n$", ran.stderr)
        assert {*before} <= {*serving.ready("api")}

    @pytest.mark.usefixtures("before")
    @pytest.mark.parametrize(
        ("line", "after"), [("migrating the database", 0.5), ("replacing the pods", 0.1), ("replacing the pods", 4)]
    )
    def test_it_is_broken_off(self, line: str, after: float, serving: Reader) -> None:
        ran = watch(["./release.sh", "1.1.0"], serving.folder, serving.env, interrupt_at=line, after=after)
        assert ran.code == 130, ran.said
        if line == "replacing the pods":
            assert ran.said.endswith("1.0.0 serves; mend what is said above and run this again\n")
        jobs = serving.get("jobs")["items"]
        assert all("succeeded" in job["status"] or job["spec"]["suspend"] for job in jobs), jobs


@pytest.mark.negative
def test_servers_that_are_killed_are_noticed(serving: Reader, keys: list[str]) -> None:
    """What counts failures sees them."""
    with Load(serving.door, keys, 120, drops=20, pace=PACE) as load:
        time.sleep(3)
        pods = serving.ready("api")
        before = {pod: restarts(serving, pod) for pod in pods}
        for pod in pods:
            end_gunicorn(serving, pod, "SIGKILL")
        wait_for(lambda: all(restarts(serving, pod) > before[pod] for pod in pods), "all are restarted")
    assert load.result.failed


def replicas(reader: Reader) -> int:
    """How many pods of the API there shall be."""
    count: int = reader.get("deployment", "api")["spec"]["replicas"]
    return count


def settled(reader: Reader) -> bool:
    """Whether there are to be two pods of the API, and are two, which are ready."""
    return replicas(reader) == len(reader.pods("api")) == len(reader.ready("api")) == 2


def change(reader: Reader, what: dict[str, Any]) -> None:
    """Change the autoscaler for the time of these tests."""
    patch = f"--patch={json.dumps({'spec': what})}"
    reader.cluster.kubectl("patch", "horizontalpodautoscaler", "api", f"--namespace={NAMESPACE}", patch)


def at_most(reader: Reader, pods: int) -> int:
    """Let the autoscaler make no more pods of the API; return how many it could make before."""
    before: int = reader.get("horizontalpodautoscaler", "api")["spec"]["maxReplicas"]
    change(reader, {"maxReplicas": pods})
    return before


def utilization(reader: Reader) -> tuple[int, int]:
    """The share of CPU that the autoscaler aims at, and the one that it saw last. AssertionError before it saw one."""
    scaler = reader.get("horizontalpodautoscaler", "api")
    (target,), (current,) = scaler["spec"]["metrics"], scaler["status"].get("currentMetrics") or [{}]
    assert "resource" in current, scaler["status"]
    return target["resource"]["target"]["averageUtilization"], current["resource"]["current"]["averageUtilization"]


def in_progress(reader: Reader) -> int:
    """How many requests the pods of the API are at work on, also those that only wait."""
    code = "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:8000/metrics').read().decode())"
    ask = ["kubectl", f"--namespace={NAMESPACE}", "exec"]
    told = [reader.run(*ask, pod, "--", "python", "-c", code).stdout for pod in reader.ready("api")]
    return sum(
        int(float(number)) for text in told for number in re.findall(r"^http_requests_in_progress.* (\S+)$", text, re.M)
    )


def hold(reader: Reader, pod: str, memory: str) -> subprocess.CompletedProcess[str]:
    """Let a process in a pod take so much memory, such as `384Mi`, and say that it has it."""
    size = f"{memory.removesuffix('Mi')} * 2**20"
    code = f"held = bytearray({size}); held[::4096] = b'x' * len(held[::4096]); print('held')"
    return reader.run("kubectl", f"--namespace={NAMESPACE}", "exec", pod, "--", "python", "-c", code)


class TestHowManyPods:
    def test_more_pods_come_under_load_and_go_after_it(self, serving: Reader, keys: list[str]) -> None:
        # How fast this machine is decides how much CPU a request takes: with a low target, each is fast enough.
        cpu = {
            "type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 20}},
        }
        before = serving.get("horizontalpodautoscaler", "api")["spec"]["metrics"]
        change(serving, {"metrics": [cpu]})
        with Load(serving.door, keys, 300, drops=20, pace=PACE) as load:
            wait_for(lambda: replicas(serving) > 2, "more than two pods", DECISION_SECONDS, 1)
            wait_for(lambda: len(serving.ready("api")) > 2, "they are ready", 60, 1)
        events = serving.run("kubectl", f"--namespace={NAMESPACE}", "get", "events").stdout
        assert "above target" in events
        change(serving, {"metrics": before, **IMPATIENT})
        wait_for(lambda: replicas(serving) == 2, "two pods again", DECISION_SECONDS + 60, 1)
        assert load.result.seen
        assert load.result.failed == [], load.result

    def test_requests_that_wait_for_the_model_add_no_pod(self, serving: Reader) -> None:
        """They use next to no CPU, and that is all that the autoscaler looks at."""
        wait_for(lambda: settled(serving), "two pods of the API", 120, 1)
        # Those that end take requests until every node knows, and would not be asked what they are at work on.
        wait_for(lambda: none_ends(serving), "no pod of the API ends", 120, 1)
        wait_for(lambda: utilization(serving), "the autoscaler has looked", DECISION_SECONDS, 1)
        question = {"question": f"be slow {MODEL_SECONDS}"}
        with ThreadPoolExecutor(WAITING) as threads:
            asked = [threads.submit(serving.door.ask, "POST", "/v1/answers", json=question) for _ in range(WAITING)]
            wait_for(lambda: in_progress(serving) >= WAITING, "all of them wait", MODEL_SECONDS, 1)
            seen = set()
            while not all(one.done() for one in asked):
                seen.add(replicas(serving))
                time.sleep(1)
        assert {one.result().status_code for one in asked} == {200}
        assert seen == {2}
        wait_for(lambda: utilization(serving), "the autoscaler has looked", DECISION_SECONDS, 1)
        target, seen_last = utilization(serving)
        assert seen_last < target

    @pytest.mark.parametrize("wanted", [1, 4])
    def test_a_number_that_is_set_by_hand_is_set_back(self, wanted: int, serving: Reader) -> None:
        wait_for(lambda: settled(serving), "two pods of the API")
        change(serving, IMPATIENT)
        scale = ["scale", "deployment", "api", f"--namespace={NAMESPACE}", f"--replicas={wanted}", "--output=json"]
        assert json.loads(serving.cluster.kubectl(*scale))["spec"]["replicas"] == wanted
        wait_for(lambda: replicas(serving) == 2, "the autoscaler's number", DECISION_SECONDS, 1)

    def test_a_budget_holds_a_drain(self, serving: Reader) -> None:
        """While one pod is not ready, the node of the other one can't be emptied."""
        # A third pod would make up for the one that is not ready.
        most = at_most(serving, 2)
        # After a drain both may be on one node. There the one that is not ready would go first and come back elsewhere.
        serving.operate("restart-the-pods-one-after-another")
        wait_for(lambda: settled(serving), "two pods of the API")
        away, stays = serving.ready("api")
        assert len({serving.get("pod", pod)["spec"]["nodeName"] for pod in (away, stays)}) == 2
        serving.freeze(away)
        wait_for(lambda: len(serving.ready("api")) == 1, "a pod that is not ready", 60, 1)
        budget = ("poddisruptionbudget", "api")
        wait_for(lambda: serving.get(*budget)["status"]["disruptionsAllowed"] == 0, "the budget knows of it", 60, 0.5)
        node = serving.get("pod", stays)["spec"]["nodeName"]
        drain = ["drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=12s"]
        select = ["--pod-selector=app.kubernetes.io/component=api"]
        held = serving.cluster.ask(*drain, *select)
        serving.cluster.kubectl("uncordon", node)
        at_most(serving, most)
        assert held.returncode == 1
        assert "Cannot evict pod as it would violate the pod's disruption budget" in held.stderr
        assert stays in serving.ready("api")
        wait_for(lambda: len(serving.ready("api")) == 2, "two pods of the API", 120, 1)

    def test_who_asks_for_more_memory_than_the_limit_is_killed(self, serving: Reader) -> None:
        pod = serving.ready("api")[0]
        limit = serving.get("pod", pod)["spec"]["containers"][0]["resources"]["limits"]["memory"]
        assert limit == LIMIT
        ran = hold(serving, pod, limit)
        assert ran.returncode == 137, ran.stdout + ran.stderr
        assert "held" not in ran.stdout
        wait_for(lambda: serving.door.ask("GET", "/version").status_code == 200, "the service answers", 60, 1)

    def test_a_pod_that_gets_more_has_it_without_a_restart(self, serving: Reader) -> None:
        """What it holds in the end it was killed for before."""
        wait_for(lambda: settled(serving), "two pods of the API", 120, 1)
        pod = serving.ready("api")[1]
        before = restarts(serving, pod)
        serving.operate("resize-a-pod-in-place", POD=pod)
        ran = hold(serving, pod, LIMIT)
        assert ran.stdout == "held\n", ran.stderr
        assert restarts(serving, pod) == before


def answers(door: Door, code: int) -> None:
    """Wait until a search is answered so: for seconds after a release the old pods are still asked."""
    wait_for(lambda: door.search().status_code == code, f"answer {code}", 30, 0.5)


class TestAnOperator:
    def test_sees_what_the_migrations_did(self, story: Story, serving: Reader) -> None:
        """The version that serves again does not know the newest one, and has left it there."""
        assert story.version["rollback"] == "1.0.0"
        assert "the database is ahead, at newer; it stays as it is" in story.said["migrations"]
        assert serving.operate("see-which-migration-the-database-has") == "newer\n"

    def test_sees_what_a_release_would_change(self, serving: Reader) -> None:
        shown = serving.operate("see-what-a-release-would-change")
        assert "replicas" not in shown

    def test_looks_at_logs(self, serving: Reader) -> None:
        version(serving)
        assert '"path": "/version"' in serving.operate("look-at-the-logs")

    def test_looks_at_the_logs_of_a_container_that_was_restarted(self, serving: Reader) -> None:
        pod = serving.ready("api")[0]
        before = restarts(serving, pod)
        end_gunicorn(serving, pod, "SIGTERM")
        wait_for(lambda: restarts(serving, pod) > before, f"{pod} is restarted", 90, 1)
        said = serving.operate("look-at-the-logs-of-a-container-that-was-restarted", POD=pod)
        assert "Handling signal: term" in said

    def test_sees_what_goes_wrong_and_what_is_used(self, serving: Reader) -> None:
        assert "Unhealthy" in serving.operate("see-what-goes-wrong")
        wait_for(lambda: "<unknown>" not in serving.operate("see-what-it-uses"), "CPU of the pods", 120, 2)
        assert "http_requests_total" in serving.operate("see-its-metrics")
        assert "state" in serving.operate("ask-the-database")

    def test_adds_and_revokes_an_api_key(self, serving: Reader) -> None:
        serving.operate("add-an-api-key")
        key = (serving.folder / "secrets" / "api_key_of_another").read_text().strip()
        other = Door(serving.door.port, key)
        answers(other, 200)
        serving.operate("revoke-an-api-key")
        answers(other, 401)

    def test_changes_passwords(self, serving: Reader) -> None:
        serving.operate("change-the-password-of-the-database")
        answers(serving.door, 200)
        serving.operate("change-the-passwords-of-cache-and-broker")
        serving.operate("use-changed-settings-and-secrets")
        answer = serving.door.ask("POST", "/v1/jobs", json={"texts": ["One more text."]})
        assert answer.status_code == 202, answer.text
        done = answer.headers["Location"]
        wait_for(lambda: serving.door.ask("GET", done).json()["state"] == "done", "the job is done", 180, 0.5)

    def test_has_more_pods_and_restarts_them(self, serving: Reader) -> None:
        serving.operate("have-at-least-three-pods")
        assert len(serving.ready("api")) >= 3
        serving.operate("add-a-worker")
        assert len(serving.pods("worker")) == 2
        before = set(serving.ready("api"))
        serving.operate("restart-the-pods-one-after-another")
        assert not before & set(serving.ready("api"))


def test_the_digest_knows_this_file() -> None:
    assert str(Path(__file__).relative_to(readers.ROOT)) in readers._inputs((__file__,))
