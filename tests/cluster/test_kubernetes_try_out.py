"""The service in a cluster, from nothing to served and back, by the commands of its page."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from handbook.cluster import version
from handbook.proof import ACTED
from handbook.walkthroughs import Walkthrough
from tests.boot.client import wait_for

from . import controllers, objects
from . import reader as readers
from .controllers import settled
from .reader import NAMESPACE, Reader

STACK = "kubernetes/try-out"

DOWN_SECONDS = 60


def inputs() -> str:
    """The digest of all that this module's result depends on."""
    return readers.inputs(__file__, controllers.__file__, objects.__file__)


def inside(component: str) -> list[str]:
    """The command that runs Python in a pod of a component; a program comes behind it."""
    return ["kubectl", f"--namespace={NAMESPACE}", "exec", f"deployment/{component}", "--", "python", "-c"]


def restarts(reader: Reader, component: str) -> int:
    statuses = (pod["status"].get("containerStatuses", []) for pod in reader.pods(component))
    return sum(status["restartCount"] for each in statuses for status in each)


class TestItStarts:
    def test_every_pod_is_ready(self, started: Reader) -> None:
        for component in ("api", "worker", "beat", "database", "cache", "broker", "provider"):
            assert started.ready(component), component
        wait_for(lambda: len(started.ready("api")) == 2, "two pods of the API")

    def test_the_pods_of_the_api_are_on_both_nodes(self, started: Reader) -> None:
        assert {pod["spec"]["nodeName"] for pod in started.pods("api")} == {"node-1", "node-2"}

    def test_the_migration_ended_before_a_pod_of_the_service_began(self, started: Reader) -> None:
        job = started.get("job", "migrations")
        assert job["status"]["succeeded"] == 1
        ended = job["status"]["completionTime"]
        made = [
            pod["metadata"]["creationTimestamp"] for name in ("api", "worker", "beat") for pod in started.pods(name)
        ]
        assert min(made) >= ended

    def test_nobody_restarted(self, started: Reader) -> None:
        assert {name: restarts(started, name) for name in ("api", "worker", "beat")} == {
            "api": 0,
            "worker": 0,
            "beat": 0,
        }

    def test_a_pod_does_as_pod_security_and_its_files_say(self, started: Reader) -> None:
        said = started.run(
            *("kubectl", f"--namespace={NAMESPACE}", "exec", "deployment/api", "--", "python", "-c"),
            "import os; print(os.getuid(), oct(os.stat('/run/secrets/database_password').st_mode & 0o777));"
            "print(os.path.exists('/var/run/secrets/kubernetes.io'));"
            "open('/app/here', 'w')",
        )
        assert "10001 0o440\nFalse\n" in said.stdout
        assert "Read-only file system" in said.stderr


class TestItServes:
    def test_check_it(self, started: Reader, walk: Walkthrough) -> None:
        lines = walk.until("check-it").stdout.splitlines()
        assert json.loads(lines[0]) == {"state": "up"}
        assert json.loads(lines[1])["version"]

    def test_a_document_is_found(self, walk: Walkthrough) -> None:
        stored, found = walk.until("store-and-find-a-document").stdout.splitlines()
        assert json.loads(stored)["id"] in [match["id"] for match in json.loads(found)["matches"]]

    def test_a_question_is_answered_as_a_stream(self, walk: Walkthrough) -> None:
        events = walk.until("ask-a-question").stdout
        assert [line for line in events.splitlines() if line.startswith("event: ")][-1] == "event: done"

    def test_a_job_is_done_by_the_worker(self, walk: Walkthrough) -> None:
        assert '"state":"done"' in walk.until("import-documents-in-the-background").stdout.replace(" ", "")

    def test_look_inside(self, started: Reader, walk: Walkthrough) -> None:
        # The first measurement of a pod comes after some seconds.
        wait_for(lambda: "<unknown>" not in started.operate("see-what-it-uses"), "CPU of the pods", 120, 2)
        shown = walk.until("look-inside").stdout
        assert "<unknown>" not in shown
        assert "node-1" in shown
        assert "node-2" in shown
        for part in ("pgvector", "cache", "broker", "provider"):
            assert f'"{part}":{{"state":' in shown


class TestControllers:
    def test_somebody_acts_on_every_object(self, started: Reader, proves: Callable[..., None]) -> None:
        built = [started.run("kubectl", "kustomize", folder).stdout for folder in (".", "../policy")]
        given = [each for text in built for each in yaml.safe_load_all(text)]
        found = settled(started.cluster, given, lambda name, who: bool(who))
        files = {path: started.files[path] for path in objects.files_of("try-out", "policy")}
        proves(STACK, ACTED, tool=f"Kubernetes {version()}", seconds=0, files=files, acted=found)
        assert [name for name, who in found.items() if not who] == []
        assert {"Deployment/api", "NetworkPolicy/nobody", "ValidatingAdmissionPolicyBinding/workloads"} <= {*found}


class TestPolicies:
    def test_what_is_not_allowed_does_not_come_through(self, started: Reader) -> None:
        """The beat needs no provider and nobody outside asks a database; the API needs both of the first."""

        def reaches(source: str, host: str, port: int) -> bool:
            code = (
                f"import socket, sys\ntry: socket.create_connection((socket.gethostbyname('{host}'), {port}), 3)\n"
                "except (TimeoutError, ConnectionRefusedError): sys.exit(7)\n"
            )
            ended = started.run(*inside(source), code)
            # Any other end says nothing about the way.
            assert ended.returncode in (0, 7), ended.stderr
            return ended.returncode == 0

        wait_for(lambda: reaches("api", "provider", 9000), "the API reaches the provider")
        assert reaches("api", "postgres", 5432)
        assert reaches("worker", "broker", 6379)
        assert reaches("beat", "broker", 6379)
        assert not reaches("beat", "provider", 9000)
        assert not reaches("worker", "api", 80)
        assert not reaches("provider", "postgres", 5432)

    def test_a_container_that_is_added_to_a_pod_needs_a_tag_as_well(self, started: Reader) -> None:
        pod = started.pods("beat")[0]["metadata"]["name"]

        def add(name: str, image: str) -> tuple[int, str]:
            options = [f"--image={image}", f"--container={name}", "--profile=restricted"]
            command = ["kubectl", f"--namespace={NAMESPACE}", "debug", pod, *options, "--", "true"]
            ended = started.run(*command)
            return ended.returncode, ended.stderr

        code, said = add("newest", "assistant:latest")
        assert code == 1
        assert said.endswith("denied request: the image needs a tag other than latest, or a digest: newest\n")
        assert add("pinned", "assistant:1.0.0")[0] == 0


class TestTheDatabaseIsAway:
    @pytest.fixture(scope="class")
    @classmethod
    def seen(cls, started: Reader) -> dict[str, Any]:
        """What was seen while the database was away for a minute, and after it."""
        before = restarts(started, "api")
        scale = ["kubectl", f"--namespace={NAMESPACE}", "scale", "statefulset", "postgres"]
        assert started.run(*scale, "--replicas=0").returncode == 0
        began = time.monotonic()
        wait_for(lambda: started.door.search().status_code == 503, "503")
        codes = set()
        while time.monotonic() < began + DOWN_SECONDS:
            codes.add(started.door.ask("GET", "/health/ready").status_code)
            codes.add(started.door.ask("GET", "/version").status_code)
            time.sleep(1)
        answer = started.door.search()
        found = {
            "codes": codes,
            "retry": answer.headers.get("Retry-After"),
            "ready": len(started.ready("api")),
            "restarts": restarts(started, "api") - before,
        }
        assert started.run(*scale, "--replicas=1").returncode == 0
        return found

    def test_it_stays_ready_and_nobody_restarts_it(self, seen: dict[str, Any]) -> None:
        assert seen["codes"] == {200}
        assert seen["ready"] == 2
        assert seen["restarts"] == 0

    def test_what_needs_it_says_when_to_come_back(self, seen: dict[str, Any]) -> None:
        assert int(seen["retry"]) > 0

    def test_the_data_is_there_when_it_comes_back(self, started: Reader, seen: dict[str, Any]) -> None:
        def found() -> bool:
            answer = started.door.ask("GET", "/v1/search", params={"q": "when are backups made"})
            return answer.status_code == 200 and "Backups are made every night" in answer.text

        wait_for(found, "the document of before")


class TestAProcessHangs:
    def test_the_pod_is_restarted(self, started: Reader) -> None:
        """Its worker is stopped, so nothing answers; gunicorn itself or the liveness probe ends that."""
        pod = started.pods("api")[0]["metadata"]["name"]
        started.freeze(pod)

        def restarted() -> bool:
            return any(
                status["restartCount"] > 0
                for each in started.pods("api")
                if each["metadata"]["name"] == pod
                for status in each["status"]["containerStatuses"]
            )

        # Three failed probes, ten seconds apart, then the grace of that probe.
        wait_for(restarted, f"a restart of {pod}", 180, 1)
        events = started.run(
            "kubectl", f"--namespace={NAMESPACE}", "get", "events", f"--field-selector=involvedObject.name={pod}"
        )
        assert "Liveness probe failed" in events.stdout
        wait_for(lambda: pod in started.ready("api"), "the pod is ready again", 90, 1)


class TestReleases:
    def test_a_version_that_does_not_start_takes_no_request(self, started: Reader) -> None:
        wait_for(lambda: len(started.ready("api")) == 2, "two pods of the API", 90, 1)
        before = sorted(started.ready("api"))
        ran = started.run("./release.sh", "9.9.9", timeout=400)
        assert ran.returncode == 1, ran.stdout + ran.stderr
        assert "the migrations of 9.9.9 failed" in ran.stderr
        assert "1.0.0 serves on" in ran.stderr
        assert sorted(started.ready("api")) == before

    def test_another_overlay_is_refused(self, started: Reader) -> None:
        """It would bring its own settings and its own database into the namespace."""
        shutil.copytree(started.folder, started.folder.parent / "other")
        ran = started.run("./release.sh", "1.0.0", "../other")
        assert ran.returncode == 1
        why = "this namespace was released from the overlay try-out; run: ./release.sh 1.0.0 ../try-out"
        assert why in ran.stderr

    def test_a_version_is_released(self, started: Reader, walk: Walkthrough) -> None:
        assert (
            "1.1.0 serves; back to the version before: ./release.sh 1.0.0"
            in walk.until("release-a-version", timeout=600).stdout
        )
        images = {container["image"] for pod in started.pods("api") for container in pod["spec"]["containers"]}
        assert images == {"assistant:1.1.0"}

    def test_back_to_the_version_before(self, started: Reader, walk: Walkthrough) -> None:
        assert "1.0.0 serves" in walk.until("go-back-to-the-version-before", timeout=600).stdout
        images = {container["image"] for pod in started.pods("api") for container in pod["spec"]["containers"]}
        assert images == {"assistant:1.0.0"}


class TestItIsRemoved:
    def test_nothing_is_left(self, started: Reader, walk: Walkthrough) -> None:
        walk.until("remove-the-cluster", timeout=600)
        left = started.cluster.ask("get", "namespace", NAMESPACE)
        assert "NotFound" in left.stderr
        policies = started.cluster.get("validatingadmissionpolicies,validatingadmissionpolicybindings")["items"]
        assert not policies


def test_what_the_digest_is_made_of() -> None:
    """A file of the stack, of the cluster and of these tests."""
    names = readers._inputs((__file__,))
    for name in ("snippets/kubernetes/base/api.yaml", "tools/cluster/go.mod", "tests/cluster/reader.py"):
        assert name in names
    assert str(Path(__file__).relative_to(readers.ROOT)) in names
