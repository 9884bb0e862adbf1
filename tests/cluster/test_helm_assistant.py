"""The chart in a cluster: installed, released, held up by what fails, taken back and removed, by the page's commands.

What stands around the service elsewhere stands in here. Its data stores and a provider run in a namespace of their own,
without TLS. No controller of the kinds that other projects add runs: in their place the Secret is made when the chart
has made the ExternalSecret, and the states that they report are written. Clients come by a port of the nodes, and a
policy of these tests lets them in, and the API out to the provider.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from handbook import go, helm, tools
from handbook.catalog import ROOT, Catalog
from handbook.cluster import Cluster
from handbook.walkthroughs import Walkthrough, steps
from tests.boot.client import wait_for
from tests.boot.load import Load, Result, stored_texts
from tests.boot.releases import version_file

from . import objects
from . import reader as readers
from .objects import Object, give
from .reader import NAMESPACE, PORT, Reader, remove

FOLDER = "snippets/helm"
CHART = f"{FOLDER}/assistant"
STORES = "data"

PACE = {"version": (6, 0.1), "search": (2, 0.5), "store": (2, 0.5), "stream": (3, 1.0)}
# Of a stream, in tenths of a second.
DROPS = 50
PARTS = ("release", "no image", "no answer", "rollback")
# A part takes longer than ten seconds.
REQUESTS = 300

# `mine.yaml` of these tests. What is not here is as the chart has it.
VALUES = {
    "image": {"repository": "assistant"},
    "host": "ask.example.org",
    "certificate": {"email": "operations@example.org"},
    # These tests are about releases, and compare pods by their names.
    "api": {"replicas": {"max": 2}},
    "network": {"data": ["10.244.0.0/16"]},
    "settings": {
        "DATABASE_HOST": f"postgres.{STORES}.svc",
        "PGSSLMODE": "disable",
        "CACHE_URL": f"redis://cache.{STORES}.svc:6379/0",
        "BROKER_URL": f"redis://broker.{STORES}.svc:6379/0",
        "PROVIDER_URL": f"http://provider.{STORES}.svc:9000/v1",
        "PROVIDER_MODEL": "stand-in",
    },
}
# Of each, a controller says whether it is ready.
CONTROLLED = (
    "issuer/certificates",
    "certificate/api",
    "secretstore/vault",
    "externalsecret/assistant",
    "scaledobject/worker",
)
LATER = "--timeout 10m"


def inputs() -> str:
    """The digest of all that this module's result depends on."""
    also = (*helm.files(Catalog(), FOLDER), *helm.pins(), *go.pins("schemas"))
    return readers.inputs(__file__, objects.__file__, *(str(ROOT / path) for path in also))


class Operator:
    """Who releases the chart: somebody in a copy of its folder, beside the reader's, with Helm and values of a file."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.folder = reader.folder.parent.parent / "helm"
        for path in helm.files(Catalog(), FOLDER):
            file = self.folder / Path(path).relative_to(FOLDER)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes((ROOT / path).read_bytes())
        (self.folder / "mine.yaml").write_text(yaml.safe_dump(VALUES), encoding="utf-8")
        homes = {f"HELM_{name}_HOME": str(self.folder / ".helm" / name) for name in ("CACHE", "CONFIG", "DATA")}
        program = helm.program(go.built)
        self.env = {**reader.env, **homes, "PATH": f"{program.parent}:{reader.env['PATH']}"}

    def run(self, name: str, edits: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run the page's paragraph of that name, with texts in it replaced, and return how it ended."""
        text = {step.name: step.text for step in steps(self.folder / "operate.sh")}[name]
        for old, new in (edits or {}).items():
            assert old in text, f"{name} has no {old!r}"
            text = text.replace(old, new)
        shell = ["bash", "--noprofile", "--norc", "-euo", "pipefail", "-c", text]
        return tools.run(["env", *shell], cwd=self.folder, env=self.env, timeout=800)

    def done(self, name: str) -> str:
        """Run the page's paragraph of that name and return what it prints. AssertionError when it fails."""
        ran = self.run(name)
        assert ran.returncode == 0, f"{name}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def history(self) -> list[tuple[int, str, str]]:
        """Each revision, with its state and the words about it."""
        told = tools.run(
            ["env", "helm", "history", "assistant", f"--namespace={NAMESPACE}", "--output=json"], env=self.env
        )
        assert told.returncode == 0, told.stderr
        return [(each["revision"], each["status"], each["description"]) for each in json.loads(told.stdout)]


def say(cluster: Cluster, name: str, *, ready: bool = True) -> None:
    """Say of an object what its controller would."""
    condition = {"type": "Ready", "status": str(ready), "reason": "Test", "message": "so say the tests"}
    condition["lastTransitionTime"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    patch = f"--patch={json.dumps({'status': {'conditions': [condition]}})}"
    cluster.kubectl("patch", name, f"--namespace={NAMESPACE}", "--subresource=status", "--type=merge", patch)


@pytest.fixture(scope="module")
def loaded(keys: list[str], reader: Reader, walk: Walkthrough) -> Reader:
    """The nodes have the images of two versions, and those of what stands around the service."""
    reader.pull()
    walk.until("load-the-images", timeout=600)
    reader.build("1.1.0", version_file("1.1.0"))
    return reader


@pytest.fixture(scope="module")
def overlay(loaded: Reader) -> list[Object]:
    """The objects of the try-out, with the secrets that the reader has made."""
    ran = loaded.run("kubectl", "kustomize", ".")
    assert ran.returncode == 0, ran.stderr
    return list(yaml.safe_load_all(ran.stdout))


@pytest.fixture(scope="module")
def stores(cluster: Cluster, overlay: list[Object]) -> Iterator[None]:
    """Data stores and a provider, as the try-out has them, in a namespace of their own and with data that goes."""
    made = [each for each in overlay if around(each)]
    for each in made:
        each["metadata"]["namespace"] = STORES
        if each["kind"] == "StatefulSet":
            del each["spec"]["volumeClaimTemplates"]
            each["spec"]["template"]["spec"]["volumes"].append({"name": "data", "emptyDir": {}})
    try:
        cluster.kubectl("create", "namespace", STORES)
        taken(give(cluster, "apply", made, "--server-side"))
        for each in made:
            if each["kind"] in ("StatefulSet", "Deployment"):
                name = f"{each['kind']}/{each['metadata']['name']}"
                cluster.kubectl("rollout", "status", name, f"--namespace={STORES}", "--timeout=120s", timeout=130)
        yield
    finally:
        remove(cluster, STORES)


def around(each: Object) -> bool:
    """Whether an object of the try-out is one of those that the chart does not bring."""
    component = each["metadata"].get("labels", {}).get("app.kubernetes.io/component", "")
    if each["kind"] in ("ConfigMap", "Secret"):
        return each["metadata"]["name"].startswith(("postgres", "redis"))
    named = component in ("database", "cache", "broker", "provider")
    return each["kind"] in ("Service", "StatefulSet", "Deployment") and named


def taken(ran: subprocess.CompletedProcess[str]) -> None:
    assert ran.returncode == 0, ran.stderr


@pytest.fixture(scope="module")
def definitions(cluster: Cluster) -> Iterator[None]:
    """The kinds of the chart that other projects add."""
    made = objects.definitions(each.value for each in helm.render(ROOT, CHART).objects)
    names = [f"customresourcedefinition/{each['metadata']['name']}" for each in made]
    try:
        taken(give(cluster, "apply", made, "--server-side"))
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", *names)
        yield
    finally:
        cluster.kubectl("delete", "--ignore-not-found", *names)


@pytest.fixture(scope="module")
def operator(loaded: Reader) -> Operator:
    return Operator(loaded)


@pytest.fixture(scope="module")
def secret(overlay: list[Object]) -> Object:
    """What External Secrets would make."""
    (found,) = (each for each in overlay if each["kind"] == "Secret" and "api_keys" in each["data"])
    metadata = {"name": "assistant", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": found["data"]}


@pytest.fixture(scope="module")
def installed(operator: Operator, stores: None, definitions: None, secret: Object) -> Operator:
    """The chart, installed by the page's commands into nothing. Two pods of the API are ready."""
    cluster, reader = operator.reader.cluster, operator.reader
    with ThreadPoolExecutor(1) as threads:
        ends = threads.submit(operator.run, "install-it")
        wanted = ("get", "externalsecret", "assistant", f"--namespace={NAMESPACE}")
        wait_for(lambda: ends.done() or cluster.ask(*wanted).returncode == 0, "the ExternalSecret", 60, 0.5)
        taken(give(cluster, "apply", [secret], "--server-side"))
        ran = ends.result()
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "would violate PodSecurity" not in ran.stderr
    for name in CONTROLLED:
        say(cluster, name)
    taken(give(cluster, "apply", door(), "--server-side"))
    wait_for(lambda: len(reader.ready("api")) == 2, "two pods of the API", 120, 0.5)
    # The port leads there some moments after the Service is made.
    wait_for(lambda: version(reader), "the API answers at the port of the nodes", 30, 0.5)
    return operator


def door() -> list[Object]:
    """A port of the nodes that leads to the API, and a policy by which it is asked there and asks the provider."""
    labels = {"app.kubernetes.io/name": "assistant", "app.kubernetes.io/component": "api"}
    metadata = {"name": "door", "namespace": NAMESPACE}
    port = {"port": 80, "targetPort": "http", "nodePort": PORT}
    provider = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": STORES}}}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"type": "NodePort", "selector": labels, "ports": [port]},
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata,
            "spec": {
                "podSelector": {"matchLabels": labels},
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{"ports": [{"port": 8000}]}],
                "egress": [{"to": [provider], "ports": [{"port": 9000}]}],
            },
        },
    ]


def version(reader: Reader) -> str:
    answer: str = reader.door.ask("GET", "/version").json()["version"]
    return answer


@dataclass(frozen=True)
class State:
    """How all was after a part: the version that serves, the Job, settings and pods of the service, and the history."""

    version: str
    job: Object
    settings: dict[str, str]
    pods: dict[str, list[Object]]
    history: list[tuple[int, str, str]]

    @property
    def images(self) -> set[str]:
        return {pod["spec"]["containers"][0]["image"] for pods in self.pods.values() for pod in pods}


@dataclass
class Story:
    """What was done under load: when each part began and ended, how it ended, and how all was after it."""

    load: Load
    times: dict[str, tuple[float, float]] = field(default_factory=dict)
    ran: dict[str, subprocess.CompletedProcess[str]] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)

    def during(self, part: str) -> Result:
        """What the load saw of one part."""
        return self.load.result.between(*self.times[part])


def state(operator: Operator) -> State:
    reader = operator.reader
    pods = {name: reader.pods(name) for name in ("api", "worker", "beat")}
    job, settings = reader.get("job", "migrations"), reader.get("configmap", "settings")
    return State(version(reader), job, settings["data"], pods, operator.history())


def settled(reader: Reader) -> bool:
    """Whether no pod of the API is ending or not ready: who ends still answers what comes by its connections."""
    found = reader.get("pods", "--selector=app.kubernetes.io/component=api")["items"]
    return len(found) == len(reader.ready("api")) == 2


@pytest.fixture(scope="module")
def story(installed: Operator, keys: list[str]) -> Story:
    """A release, two that fail, and the way back, under load."""
    reader = installed.reader
    said = {"diff": installed.done("see-what-a-release-would-change")}
    with Load(reader.door, keys, 700, drops=DROPS, pace=PACE) as load:
        story = Story(load, said=said)
        time.sleep(3)
        for part, paragraph, edits in (
            ("release", "release-a-version", {}),
            ("no image", "release-a-version", {"1.1.0": "9.9.9", LATER: "--timeout 15s"}),
            # The migrations run, and the pods answer where nobody asks.
            (
                "no answer",
                "release-a-version",
                {LATER: "--set-string settings.GUNICORN_BIND=0.0.0.0:8001 --timeout 45s"},
            ),
            ("rollback", "roll-back", {}),
        ):
            began = time.monotonic()
            story.ran[part] = installed.run(paragraph, edits)
            told = f"two pods of the API after: {part}; Helm said: {story.ran[part].stderr}"
            wait_for(lambda: settled(reader), told, 120, 0.5)
            story.times[part] = (began, time.monotonic())
            story.states[part] = state(installed)
            if part == "release":
                story.said["migrations"] = installed.done("see-what-the-migrations-say")
            if part == "no image":
                story.said["why"] = installed.done("see-why-a-pod-does-not-start")
        story.said["history"] = installed.done("see-what-was-released")
    return story


def test_what_it_makes_is_shown_before_a_cluster_is_asked(operator: Operator) -> None:
    shown = operator.done("look-at-what-it-makes")
    assert "image: assistant:1.0.0" in shown
    assert f'value: "postgres.{STORES}.svc"' in shown


class TestItIsInstalled:
    def test_the_migrations_have_run(self, installed: Operator) -> None:
        job = installed.reader.get("job", "migrations")
        assert job["status"]["succeeded"] == 1
        assert installed.history() == [(1, "deployed", "Install complete")]

    def test_every_pod_becomes_ready(self, installed: Operator) -> None:
        reader = installed.reader
        for component, count in {"api": 2, "worker": 1, "beat": 1}.items():
            wait_for(lambda name=component, many=count: len(reader.ready(name)) == many, component, 60, 0.5)

    def test_it_serves(self, installed: Operator) -> None:
        ask = installed.reader.door.ask
        assert version(installed.reader) == "1.0.0"
        stored = ask("POST", "/v1/documents", json={"text": "Charts are tried out before they are released."})
        assert stored.status_code == 201, stored.text
        found = ask("GET", "/v1/search", params={"q": "are charts tried out"}).json()["matches"]
        assert stored.json()["id"] in [match["id"] for match in found]

    def test_a_job_is_done_by_the_worker(self, installed: Operator) -> None:
        ask = installed.reader.door.ask
        answer = ask("POST", "/v1/jobs", json={"texts": ["One more text."]})
        assert answer.status_code == 202, answer.text
        where = answer.headers["Location"]
        wait_for(lambda: ask("GET", where).json()["state"] == "done", "the job is done", 60, 0.5)

    def test_the_namespace_refuses_a_pod_that_could_do_more(self, installed: Operator) -> None:
        pods = installed.reader.get("deployment", "api")["spec"]["template"]
        good = objects.workload("Pod", pods)
        bad = objects.edited(good, lambda made: made["spec"]["securityContext"].update(runAsNonRoot=False))
        dry = ("create", "--dry-run=server", f"--namespace={NAMESPACE}")
        cluster = installed.reader.cluster
        taken(give(cluster, dry[0], [good], *dry[1:]))
        refused = give(cluster, dry[0], [bad], *dry[1:])
        assert refused.returncode == 1
        assert 'violates PodSecurity "restricted' in refused.stderr

    def test_its_policies_count(self, installed: Operator) -> None:
        """The beat asks the broker and no database."""

        def reaches(host: str, port: int) -> bool:
            code = (
                f"import socket, sys\ntry: socket.create_connection((socket.gethostbyname('{host}'), {port}), 3)\n"
                "except (TimeoutError, ConnectionRefusedError): sys.exit(7)\n"
            )
            command = ("exec", "deployment/beat", f"--namespace={NAMESPACE}", "--", "python", "-c", code)
            ended = installed.reader.cluster.ask(*command)
            # Any other end says nothing about the way.
            assert ended.returncode in (0, 7), ended.stderr
            return ended.returncode == 0

        wait_for(lambda: reaches(f"broker.{STORES}.svc", 6379), "the beat reaches the broker")
        assert not reaches(f"postgres.{STORES}.svc", 5432)


class TestAVersionIsReleased:
    def test_only_the_images_would_change(self, story: Story) -> None:
        lines = [
            line for line in story.said["diff"].splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")
        ]
        assert {line.replace(" ", "") for line in lines} == {"-image:assistant:1.0.0", "+image:assistant:1.1.0"}

    def test_it_serves(self, story: Story) -> None:
        assert story.ran["release"].returncode == 0, story.ran["release"].stderr
        now = story.states["release"]
        assert now.version == "1.1.0"
        assert now.images == {"assistant:1.1.0"}

    def test_the_migrations_ended_before_a_pod_of_it_began(self, story: Story) -> None:
        now = story.states["release"]
        assert now.job["spec"]["template"]["spec"]["containers"][0]["image"] == "assistant:1.1.0"
        made = [pod["metadata"]["creationTimestamp"] for pods in now.pods.values() for pod in pods]
        assert len(made) == 4
        assert min(made) >= now.job["status"]["completionTime"]

    def test_the_migrations_say_what_they_did(self, story: Story) -> None:
        assert "alembic.runtime.migration" in story.said["migrations"]


class TestAReleaseFails:
    """What served before serves on, and its pods are the same, or the same again."""

    @pytest.mark.parametrize("part", ["no image", "no answer"])
    def test_it_is_told_and_the_version_before_serves(self, part: str, story: Story) -> None:
        ran, now = story.ran[part], story.states[part]
        assert ran.returncode == 1
        assert "UPGRADE FAILED: release assistant failed, and has been rolled back" in ran.stderr
        why = {
            "no image": f"pre-upgrade hooks failed: resource Job/{NAMESPACE}/migrations not ready",
            "no answer": f"resource Deployment/{NAMESPACE}/api not ready",
        }
        assert why[part] in ran.stderr
        assert now.version == "1.1.0"
        assert now.images == {"assistant:1.1.0"}

    def test_without_an_image_no_pod_was_replaced(self, story: Story) -> None:
        assert names(story.states["no image"]) == names(story.states["release"])

    def test_what_answers_nobody_replaced_no_pod_of_the_api(self, story: Story) -> None:
        """It replaced the beat, of which there is never a second one."""
        before, now = names(story.states["no image"]), names(story.states["no answer"])
        assert now["api"] == before["api"]
        assert now["beat"] != before["beat"]
        assert story.states["no answer"].job["status"]["succeeded"] == 1

    def test_the_settings_before_are_back(self, story: Story) -> None:
        assert story.states["no answer"].settings == story.states["release"].settings

    def test_the_cluster_says_why(self, story: Story) -> None:
        assert 'Failed to pull image "assistant:9.9.9"' in story.said["why"]


def names(found: State) -> dict[str, set[str]]:
    return {part: {pod["metadata"]["name"] for pod in pods} for part, pods in found.pods.items()}


class TestItIsTakenBack:
    def test_the_version_before_serves(self, story: Story) -> None:
        """Although the releases between them have failed."""
        assert story.ran["rollback"].returncode == 0, story.ran["rollback"].stderr
        now = story.states["rollback"]
        assert now.version == "1.0.0"
        assert now.images == {"assistant:1.0.0"}

    def test_no_migrations_ran(self, story: Story) -> None:
        before, now = (story.states[part].job for part in ("no answer", "rollback"))
        assert now["metadata"]["uid"] == before["metadata"]["uid"]

    def test_the_history_tells_all_of_it(self, story: Story) -> None:
        told = [(number, state) for number, state, _ in story.states["rollback"].history]
        assert told == [
            (1, "superseded"),
            (2, "superseded"),
            (3, "failed"),
            (4, "superseded"),
            (5, "failed"),
            (6, "superseded"),
            (7, "deployed"),
        ]
        words = {number: words for number, _, words in story.states["rollback"].history}
        assert [words[number] for number in (2, 4, 6, 7)] == [
            "release 1.1.0",
            "Rollback to 2",
            "Rollback to 4",
            "Rollback to 1",
        ]
        assert "release 1.1.0" in story.said["history"]


class TestNobodyNotices:
    @pytest.mark.parametrize("part", PARTS)
    def test_nothing_fails(self, part: str, story: Story) -> None:
        seen = story.during(part)
        assert seen.failed == [], f"{seen}; {story.times}"
        assert seen.cut == [], f"{seen}; {story.times}"

    @pytest.mark.parametrize("part", PARTS)
    def test_many_were_there_to_notice(self, part: str, story: Story) -> None:
        seen = story.during(part)
        assert len(seen.seen) >= REQUESTS, f"{seen}"
        assert {one.kind for one in seen.seen} == set(PACE), f"{seen}"

    def test_nothing_is_stored_twice(self, story: Story, installed: Operator) -> None:
        def sql(statement: str) -> str:
            psql = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--username=postgres"]
            command = ["exec", "postgres-0", f"--namespace={STORES}", "--", *psql, "--dbname=assistant"]
            return installed.reader.cluster.kubectl(*command, f"--command={statement}").strip()

        stored = story.load.result.stored
        assert len(stored) > 50, story.load.result
        assert stored_texts(sql, story.load) == sorted(stored)


class TestTheCertificateIsNotReady:
    def test_no_release_is_taken_for_good_until_it_is(self, story: Story, installed: Operator) -> None:
        """Helm waits for it, and going back waits for it, too. The pods stay what they are."""
        cluster = installed.reader.cluster
        before = names(story.states["rollback"])
        same = {"1.1.0": "1.0.0", LATER: "--no-hooks --timeout 60s"}
        say(cluster, "certificate/api", ready=False)
        ran = installed.run("release-a-version", {**same, LATER: "--no-hooks --timeout 5s"})
        assert ran.returncode == 1
        assert f"resource Certificate/{NAMESPACE}/api not ready" in ran.stderr
        assert "an error occurred while rolling back the release" in ran.stderr
        say(cluster, "certificate/api")
        ran = installed.run("release-a-version", same)
        assert ran.returncode == 0, ran.stderr
        assert names(state(installed)) == before


class TestItIsRemoved:
    """It goes last."""

    def test_nothing_of_it_is_left(self, story: Story, installed: Operator) -> None:
        cluster = installed.reader.cluster
        assert {"deployment.apps/api", "job.batch/migrations", "certificate.cert-manager.io/api"} <= there(cluster)
        installed.done("remove-it")
        give(cluster, "delete", door())
        # Both are of every namespace; and the Secret goes with the ExternalSecret where External Secrets made it.
        wanted = {"configmap/kube-root-ca.crt", "serviceaccount/default", "secret/assistant"}
        wait_for(lambda: there(cluster) == wanted, "all is gone", 120, 1)


def there(cluster: Cluster) -> set[str]:
    """The names of all that is in the namespace, but for what tells of it."""
    listed = cluster.kubectl("api-resources", "--namespaced", "--verbs=list,delete", "--output=name").split()
    kinds = ",".join(kind for kind in listed if not kind.startswith(("events", "endpoints")))
    return set(cluster.kubectl("get", kinds, f"--namespace={NAMESPACE}", "--output=name").split())


def test_the_digest_knows_the_chart_and_these_tests() -> None:
    mine = {str(Path(__file__).relative_to(ROOT)), f"{CHART}/templates/migrations.yaml", "tools/helm/go.mod"}
    files = (__file__, *(str(ROOT / path) for path in (*helm.files(Catalog(), FOLDER), *helm.pins())))
    assert mine <= readers._inputs(files).keys()
