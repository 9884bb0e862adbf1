"""A cluster is made to show what its page of troubleshooting names, and what the page says against it helps.

Most of it is shown by objects beside the service, all with the label `app.kubernetes.io/name: probe`: pods as the API
has them, each with one mistake. They are made together, so that one waits for all.
"""

from __future__ import annotations

import copy
import fcntl
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from handbook.catalog import ROOT
from handbook.cluster import FOLDER, NODES
from handbook.proof import digest
from handbook.symptoms import headings
from tests.boot.client import wait_for
from tests.boot.symptoms import Symptom

from . import reader as readers
from .objects import Edit, Object, edited, find, give, pod, rendered, workload
from .reader import NAMESPACE, Reader

STACK = "kubernetes/try-out"
PAGE = ROOT / "docs" / "kubernetes" / "troubleshooting.md"

HERE = f"--namespace={NAMESPACE}"
NAME, COMPONENT = "app.kubernetes.io/name", "app.kubernetes.io/component"
OURS = f"--selector={NAME}=probe"
KINDS = (
    "horizontalpodautoscalers,deployments,jobs,pods,services,poddisruptionbudgets,persistentvolumeclaims,"
    "configmaps,secrets,rolebindings"
)
FILES = (__file__, *(str(ROOT / "tests" / name) for name in ("cluster/objects.py", "boot/symptoms.py")))
# Nobody has such an image.
AWAY = "registry.example.com/assistant:9.9.9"
METRICS = "v1beta1.metrics.k8s.io"
DEEP = (
    "from urllib.request import urlopen\n"
    "from urllib.error import HTTPError\n"
    "try: print(urlopen('http://127.0.0.1:8000/health/deep').read().decode())\n"
    "except HTTPError as error: print(error.read().decode())\n"
)


def inputs() -> str:
    """The digest of all that this module's result depends on."""
    return digest(readers.inputs(*FILES), *headings(PAGE))


# Mistakes, each an edit of a pod


def image(name: str) -> Edit:
    return lambda made: _container(made).update(image=name)


def memory(size: str) -> Edit:
    return lambda made: [_container(made)["resources"][part].update(memory=size) for part in ("requests", "limits")]


def cpu(number: str) -> Edit:
    return lambda made: _container(made)["resources"]["requests"].update(cpu=number)


def setting(**settings: str) -> Edit:
    return lambda made: _container(made).update(env=[{"name": key, "value": settings[key]} for key in settings])


def settings_from(name: str) -> Edit:
    return lambda made: _container(made).update(envFrom=[{"configMapRef": {"name": name}}])


def secret(name: str) -> Edit:
    return lambda made: _volume(made, "secrets")["secret"].update(secretName=name)


def claim(name: str) -> Edit:
    return lambda made: pod(made)["volumes"].append({"name": "data", "persistentVolumeClaim": {"claimName": name}})


def node(name: str) -> Edit:
    return lambda made: pod(made).update(nodeName=name)


def perhaps_root(made: Any) -> None:
    pod(made)["securityContext"].update(runAsNonRoot=False)


def idle(made: Any) -> None:
    """It does nothing, and is ready as soon as it runs."""
    container = _container(made)
    container.update(command=["python", "-c", "import signal; signal.pause()"])
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        container.pop(probe, None)


def impatient(made: Any) -> None:
    """What does not answer is noticed within seconds."""
    container = _container(made)
    container["readinessProbe"].update(periodSeconds=1, timeoutSeconds=1, failureThreshold=1)
    container["livenessProbe"].update(periodSeconds=2, timeoutSeconds=2, terminationGracePeriodSeconds=1)


def _container(made: Any) -> Object:
    found: Object = pod(made)["containers"][0]
    return found


def _volume(made: Any, name: str) -> Object:
    return next(each for each in pod(made)["volumes"] if each["name"] == name)


class Probes:
    """What is made beside the service, from the pods of the API as they run."""

    def __init__(self, started: Reader) -> None:
        self.cluster = started.cluster
        self._template: Object = started.get("deployment", "api")["spec"]["template"]

    def workload(self, kind: str, name: str, *edits: Edit) -> Object:
        """A Pod, or what makes pods, which ends at once, asks for little, and is no pod of the service."""
        labels = {NAME: "probe", COMPONENT: name}
        template = copy.deepcopy(self._template)
        template["metadata"] = {"labels": labels}
        template["spec"].update(topologySpreadConstraints=[], terminationGracePeriodSeconds=1)
        del template["spec"]["containers"][0]["lifecycle"]
        made = workload(kind, template)
        made["metadata"] = {"name": name, "labels": labels}
        for edit in (cpu("10m"), memory("192Mi"), *edits):
            edit(made)
        return made

    def create(self, *made: Object) -> None:
        """Make objects. AssertionError when one is refused."""
        result = give(self.cluster, "create", made, HERE)
        assert result.returncode == 0, result.stderr

    def replace(self, made: Object) -> None:
        """Make an object anew under its name."""
        self.delete(made["kind"], made["metadata"]["name"])
        self.create(made)

    def delete(self, kind: str, name: str) -> None:
        """Remove an object, and return when it is gone."""
        self.cluster.kubectl("delete", kind, name, HERE, "--ignore-not-found")

    def patch(self, kind: str, name: str, *changes: Object) -> None:
        """Change an object by operations of JSON Patch."""
        self.cluster.kubectl("patch", kind, name, HERE, "--type=json", f"--patch={json.dumps(changes)}")

    def kubectl(self, *arguments: str) -> str:
        """What a command in the namespace prints, its errors too, however it ends."""
        ran = self.cluster.ask(HERE, *arguments)
        return ran.stdout + ran.stderr

    def inside(self, name: str, code: str) -> str:
        """What Python prints in a pod, or in a pod of `deployment/NAME`."""
        return self.kubectl("exec", name, "--", "python", "-c", code)

    def copy(self, kind: str, name: str, new: str) -> None:
        """Copy a ConfigMap or a Secret of the namespace."""
        found = self.cluster.get(kind, name, HERE)
        made = {key: found[key] for key in ("apiVersion", "kind", "data")}
        self.create({**made, "metadata": {"name": new, "labels": {NAME: "probe"}}})

    def volume(self, name: str) -> Object:
        """One of the volumes of the pods of the API."""
        return next(each for each in self._template["spec"]["volumes"] if each["name"] == name)

    @property
    def settings(self) -> str:
        """The name of the ConfigMap of the pods of the API."""
        name: str = self._template["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"]
        return name

    def events(self, kind: str, name: str = "") -> str:
        """What `kubectl get events` shows of an object, or of all of its kind."""
        which = f"involvedObject.kind={kind}"
        if name:
            # One of this name may have been there before.
            which += f",involvedObject.uid={self.cluster.get(kind, name, HERE)['metadata']['uid']}"
        return self.kubectl("get", "events", f"--field-selector={which}")

    def pods(self, name: str) -> str:
        """What `kubectl get pods` shows of one component."""
        return self.kubectl("get", "pods", f"--selector={NAME}=probe,{COMPONENT}={name}")

    def ready(self, name: str) -> bool:
        """Whether a pod of a component is ready."""
        return " 1/1 " in self.pods(name)

    def wait_until_ready(self, name: str, seconds: float = 60) -> None:
        wait_for(lambda: self.ready(name), f"{name} is ready", seconds, 0.5)


@pytest.fixture(scope="module")
def probes(started: Reader) -> Iterator[Probes]:
    """All that is broken, and some pods that are not, just made."""
    made = Probes(started)
    try:
        made.create(*_objects(made))
        yield made
    finally:
        try:
            made.kubectl("delete", KINDS, OURS, "--ignore-not-found", "--timeout=90s")
        finally:
            _free_volumes(made)


def _objects(probes: Probes) -> Iterator[Object]:
    yield probes.workload("Pod", "mount", idle, secret("not-there"))
    yield probes.workload("Pod", "settings", idle, settings_from("not-there"))
    yield edited(probes.workload("Deployment", "image", idle, image(AWAY)), _impatient_rollout)
    yield _scaler("image")
    yield probes.workload("Pod", "refuses", setting(LOG_LEVEL="loud"))
    yield probes.workload("Pod", "memory", memory("40Mi"))
    yield probes.workload("Pod", "large", idle, memory("900Gi"), cpu("900"))
    yield probes.workload("Pod", "claim", idle, claim("claim"))
    # Without a default class in the cluster, a claim that names none is such a claim.
    yield _claim(storageClassName="")
    yield probes.workload("Deployment", "root", idle, perhaps_root)
    yield probes.workload("Pod", "alone", setting(GUNICORN_BIND="127.0.0.1:8000"))
    yield probes.workload("Pod", "hangs", impatient)
    yield probes.workload("Pod", "good")
    yield probes.workload("Deployment", "kept", idle)
    yield _budget("kept")
    yield _service("no-such-pods", {COMPONENT: "databases"}, "postgres")
    yield _service("no-such-port", {COMPONENT: "database"}, "postgresql")


def _impatient_rollout(made: Any) -> None:
    made["spec"].update(progressDeadlineSeconds=5)


def _scaler(name: str) -> Object:
    made = find(rendered("try-out"), "HorizontalPodAutoscaler", "api")
    made["spec"]["scaleTargetRef"]["name"] = name
    made["spec"]["minReplicas"] = 1
    return {**made, "metadata": {"name": name, "labels": {NAME: "probe"}}}


def _budget(name: str) -> Object:
    made = find(rendered("try-out"), "PodDisruptionBudget", "api")
    selector = {"matchLabels": {NAME: "probe", COMPONENT: name}}
    return {
        **made,
        "metadata": {"name": name, "labels": {NAME: "probe"}},
        "spec": {"minAvailable": 1, "selector": selector},
    }


def _claim(**spec: str) -> Object:
    made = copy.deepcopy(find(rendered("try-out"), "StatefulSet", "broker")["spec"]["volumeClaimTemplates"][0])
    made["spec"].update(spec)
    labels = {"metadata": {"name": "claim", "labels": {NAME: "probe"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **made, **labels}


def _service(name: str, selector: dict[str, str], port: str) -> Object:
    made = find(rendered("try-out"), "Service", "postgres")
    made["spec"]["selector"] = selector
    made["spec"]["ports"][0]["targetPort"] = port
    return {**made, "metadata": {"name": name, "labels": {NAME: "probe"}}}


def _free_volumes(probes: Probes) -> None:
    """Let others claim again what was claimed here: a volume of a claim that is gone is kept for nobody."""
    for each in probes.cluster.get("persistentvolumes")["items"]:
        held = each["spec"].get("claimRef", {})
        if (held.get("namespace"), held.get("name")) == (NAMESPACE, "claim"):
            probes.patch("persistentvolume", each["metadata"]["name"], {"op": "remove", "path": "/spec/claimRef"})


def _is_in_the_end(symptom: Symptom, show: Callable[..., str], *arguments: str, seconds: float = 60) -> None:
    """Look again and again at what `show` returns until the symptom is in it: it may be gone at the next look."""

    def is_seen() -> bool:
        symptom.is_in(show(*arguments))
        return True

    wait_for(is_seen, symptom.text, seconds, 0.5)


class TestAPodDoesNotStart:
    @pytest.mark.shows("MountVolume.SetUp failed for volume")
    def test_a_secret_that_is_not_there(self, probes: Probes, symptom: Symptom) -> None:
        _is_in_the_end(symptom, probes.events, "Pod", "mount")
        assert 'secret "not-there" not found' in probes.events("Pod", "mount")
        assert "ContainerCreating" in probes.pods("mount")
        probes.copy("secret", probes.volume("secrets")["secret"]["secretName"], "not-there")
        # It tries again after a time that doubles.
        probes.wait_until_ready("mount", 150)

    @pytest.mark.shows("CreateContainerConfigError")
    def test_settings_that_are_not_there(self, probes: Probes, symptom: Symptom) -> None:
        _is_in_the_end(symptom, probes.pods, "settings")
        assert 'configmap "not-there" not found' in probes.events("Pod", "settings")
        probes.copy("configmap", probes.settings, "not-there")
        probes.wait_until_ready("settings")

    @pytest.mark.shows("ImagePullBackOff")
    def test_an_image_that_is_not_there(self, probes: Probes, symptom: Symptom) -> None:
        _is_in_the_end(symptom, probes.pods, "image")
        assert f'Failed to pull image "{AWAY}"' in probes.events("Pod")

    @pytest.mark.shows("<unknown>")
    def test_its_use_is_not_known(self, probes: Probes, symptom: Symptom) -> None:
        symptom.is_in(probes.kubectl("get", "horizontalpodautoscaler", "image"))

    @pytest.mark.shows("exceeded its progress deadline")
    def test_a_rollout_that_comes_to_nothing(self, probes: Probes, symptom: Symptom) -> None:
        symptom.is_in(probes.kubectl("rollout", "status", "deployment", "image", "--timeout=60s"))
        patience = {"op": "replace", "path": "/spec/progressDeadlineSeconds", "value": 60}
        probes.patch("deployment", "image", patience)
        probes.kubectl("set", "image", "deployment/image", "api=assistant:1.0.0")
        assert "successfully rolled out" in probes.kubectl("rollout", "status", "deployment", "image", "--timeout=60s")

    @pytest.mark.shows("CrashLoopBackOff")
    def test_a_setting_that_the_service_refuses(self, probes: Probes, symptom: Symptom) -> None:
        _is_in_the_end(symptom, probes.pods, "refuses")
        assert "LOG_LEVEL: Input should be" in probes.kubectl("logs", "refuses", "--previous")
        probes.replace(probes.workload("Pod", "refuses", setting(LOG_LEVEL="warning")))
        probes.wait_until_ready("refuses")

    @pytest.mark.shows("OOMKilled")
    def test_a_limit_that_is_too_low(self, probes: Probes, symptom: Symptom) -> None:
        _is_in_the_end(symptom, probes.kubectl, "describe", "pod", "memory")
        limit = find(rendered("try-out"), "Deployment", "api")
        enough = _container(limit)["resources"]["limits"]["memory"]
        probes.replace(probes.workload("Pod", "memory", memory(enough)))
        probes.wait_until_ready("memory")
        assert symptom.text not in probes.kubectl("describe", "pod", "memory")

    @pytest.mark.parametrize(
        "asks",
        [
            pytest.param((memory("900Gi"),), marks=pytest.mark.shows("Insufficient memory"), id="memory"),
            pytest.param((cpu("900"),), marks=pytest.mark.shows("Insufficient cpu"), id="cpu"),
        ],
    )
    def test_a_request_that_no_node_has(self, asks: tuple[Edit], probes: Probes, symptom: Symptom) -> None:
        probes.replace(probes.workload("Pod", "large", idle, *asks))
        _is_in_the_end(symptom, probes.kubectl, "describe", "pod", "large")
        assert "Pending" in probes.pods("large")
        probes.replace(probes.workload("Pod", "large", idle))
        probes.wait_until_ready("large")

    @pytest.mark.shows("pod has unbound immediate PersistentVolumeClaims")
    def test_a_claim_that_nobody_meets(self, probes: Probes, symptom: Symptom) -> None:
        _is_in_the_end(symptom, probes.events, "Pod", "claim")
        wait_for(lambda: "no storage class is set" in probes.events("PersistentVolumeClaim", "claim"), "why", 60, 0.5)
        probes.delete("pod", "claim")
        probes.replace(_claim())
        probes.create(probes.workload("Pod", "claim", idle, claim("claim")))
        probes.wait_until_ready("claim")

    @pytest.mark.shows("didn't match pod topology spread constraints")
    def test_a_node_that_is_full(self, probes: Probes, symptom: Symptom) -> None:
        free = _free_cpu(probes, NODES[1])
        full = probes.workload("Pod", "full", idle, cpu(f"{free - 20}m"), node(NODES[1]))
        first = probes.workload("Pod", "first", idle, _spread, node(NODES[0]))
        try:
            probes.create(full, first, probes.workload("Pod", "second", idle, _spread, cpu("50m")))
            _is_in_the_end(symptom, probes.events, "Pod", "second")
        finally:
            probes.delete("pod", "full")
        wait_for(lambda: probes.ready("spread") and "Pending" not in probes.pods("spread"), "there is room", 60, 0.5)
        assert probes.cluster.get("pod", "second", HERE)["spec"]["nodeName"] == NODES[1]

    @pytest.mark.shows("violates PodSecurity")
    def test_a_pod_that_could_do_more(self, probes: Probes, symptom: Symptom) -> None:
        _is_in_the_end(symptom, probes.events, "ReplicaSet")
        assert "No resources found" in probes.pods("root")
        path = "/spec/template/spec/securityContext/runAsNonRoot"
        probes.patch("deployment", "root", {"op": "replace", "path": path, "value": True})
        probes.wait_until_ready("root")

    @pytest.mark.shows("denied request")
    def test_an_image_that_can_change(self, probes: Probes, symptom: Symptom) -> None:
        bad, good = (
            probes.workload("Deployment", "tag", idle, image(f"assistant:{tag}")) for tag in ("latest", "1.0.0")
        )
        refused = give(probes.cluster, "create", [bad], HERE, "--dry-run=server")
        symptom.is_in(refused.stderr)
        assert "the image needs a tag other than latest" in refused.stderr
        assert give(probes.cluster, "create", [good], HERE, "--dry-run=server").returncode == 0


def _spread(made: Any) -> None:
    """The constraint of the API's pods, for pods of the component `spread`."""
    constraint = find(rendered("try-out"), "Deployment", "api")["spec"]["template"]["spec"]["topologySpreadConstraints"]
    labels = {NAME: "probe", COMPONENT: "spread"}
    made["metadata"]["labels"] = labels
    changed = {"labelSelector": {"matchLabels": labels}, "matchLabelKeys": []}
    pod(made)["topologySpreadConstraints"] = [{**constraint[0], **changed}]


def _free_cpu(probes: Probes, name: str) -> int:
    """How many thousandths of a CPU of a node nobody has requested."""
    running = "status.phase!=Succeeded,status.phase!=Failed"
    found = probes.cluster.get("pods", "--all-namespaces", f"--field-selector=spec.nodeName={name},{running}")["items"]
    asked = [
        container.get("resources", {}).get("requests", {}).get("cpu", "0")
        for each in found
        for container in each["spec"]["containers"]
    ]
    return _thousandths(probes.cluster.get("node", name)["status"]["allocatable"]["cpu"]) - sum(
        map(_thousandths, asked)
    )


def _thousandths(number: str) -> int:
    return int(number.removesuffix("m")) if number.endswith("m") else int(float(number) * 1000)


class TestProbes:
    @pytest.mark.shows("Startup probe failed")
    def test_a_service_that_only_its_own_pod_reaches(self, probes: Probes, symptom: Symptom) -> None:
        _is_in_the_end(symptom, probes.events, "Pod", "alone")
        assert "connection refused" in probes.events("Pod", "alone")
        # It is restarted, and begins a new log.
        wait_for(lambda: "Listening at: http://127.0.0.1:8000" in probes.kubectl("logs", "alone"), "its log", 60, 0.5)
        probes.replace(probes.workload("Pod", "alone"))
        probes.wait_until_ready("alone")

    @pytest.mark.shows("Readiness probe failed")
    def test_a_process_that_hangs(self, probes: Probes, started: Reader, symptom: Symptom) -> None:
        probes.wait_until_ready("hangs")
        started.freeze("hangs")
        wait_for(lambda: not probes.ready("hangs"), "it is not ready", 30, 0.2)
        _is_in_the_end(symptom, probes.events, "Pod", "hangs")
        wait_for(lambda: "context deadline exceeded" in probes.events("Pod", "hangs"), "it does not answer", 30, 0.5)

    @pytest.mark.shows("Liveness probe failed")
    def test_it_is_restarted(self, probes: Probes, symptom: Symptom) -> None:
        _is_in_the_end(symptom, probes.events, "Pod", "hangs")
        wait_for(
            lambda: probes.cluster.get("pod", "hangs", HERE)["status"]["containerStatuses"][0]["restartCount"],
            "it is restarted",
        )
        probes.wait_until_ready("hangs")


def _connects(probes: Probes, service: str) -> str:
    """What a pod of the API sees that connects to a Service in front of the database."""
    code = f"import socket; socket.create_connection(('{service}', 5432), 5); print('connected')"
    return probes.inside("deployment/api", code)


class TestNobodyAnswers:
    @pytest.mark.shows("<unset>")
    def test_a_port_that_no_pod_names(self, probes: Probes, symptom: Symptom) -> None:
        show = ["get", "endpointslices", "--selector=kubernetes.io/service-name=no-such-port"]
        symptom.is_in(probes.kubectl(*show))
        probes.patch(
            "service", "no-such-port", {"op": "replace", "path": "/spec/ports/0/targetPort", "value": "postgres"}
        )
        wait_for(lambda: "5432" in probes.kubectl(*show), "a port", 30, 0.2)
        assert symptom.text not in probes.kubectl(*show)

    @pytest.mark.shows("Connection refused")
    def test_a_service_that_selects_no_pod(self, probes: Probes, symptom: Symptom) -> None:
        symptom.is_in(_connects(probes, "no-such-pods"))
        assert "<unset>" in probes.kubectl(
            "get", "endpointslices", "--selector=kubernetes.io/service-name=no-such-pods"
        )
        path = f"/spec/selector/{COMPONENT.replace('/', '~1')}"
        probes.patch("service", "no-such-pods", {"op": "replace", "path": path, "value": "database"})
        wait_for(lambda: "connected" in _connects(probes, "no-such-pods"), "it connects", 30, 0.5)

    @pytest.mark.shows('"postgresql":{"state":"down"')
    def test_a_way_that_no_policy_opens(self, probes: Probes, symptom: Symptom) -> None:
        probes.wait_until_ready("good")
        symptom.is_in(probes.inside("good", DEEP))
        # A component that may ask the database, and no Service's.
        probes.kubectl("label", "pod", "good", f"{COMPONENT}=worker", "--overwrite")
        wait_for(lambda: '"postgresql":{"state":"up"' in probes.inside("good", DEEP), "the way is open", 30, 0.5)

    @pytest.mark.shows("Temporary failure in name resolution")
    def test_nobody_may_ask_for_names(self, probes: Probes, symptom: Symptom) -> None:
        code = "import socket; print(socket.getaddrinfo('postgres', 5432))"
        probes.delete("networkpolicy", "names")
        try:
            _is_in_the_end(symptom, probes.inside, "good", code)
        finally:
            names = find(rendered("try-out"), "NetworkPolicy", "names")
            give(probes.cluster, "apply", [names], "--server-side", "--field-manager=release.sh")
        wait_for(lambda: "SOCK_STREAM" in probes.inside("good", code), "the name is found", 30, 0.5)


class TestScalesAndDrains:
    @pytest.mark.shows("FailedGetResourceMetric")
    def test_pods_that_are_not_measured(self, probes: Probes, symptom: Symptom) -> None:
        _is_in_the_end(symptom, probes.events, "HorizontalPodAutoscaler", "image")
        # Its pods run since their image is there.
        show = ["get", "horizontalpodautoscaler", "image"]
        wait_for(lambda: "<unknown>" not in probes.kubectl(*show), "it is measured", 120, 1)

    @pytest.mark.shows("Metrics API not available")
    def test_nobody_measures(self, probes: Probes, symptom: Symptom) -> None:
        probes.cluster.kubectl("delete", "apiservice", METRICS)
        try:
            _is_in_the_end(symptom, probes.kubectl, "top", "pods", seconds=30)
        finally:
            measures = yaml.safe_load_all((ROOT / FOLDER / "system" / "metrics.yaml").read_text())
            give(probes.cluster, "apply", [find(measures, "APIService", METRICS)], "--server-side")
        wait_for(lambda: "MEMORY" in probes.kubectl("top", "pods"), "it is measured", 60, 0.5)

    @pytest.mark.shows("Cannot evict pod as it would violate the pod's disruption budget")
    def test_a_budget_that_lets_none_go(self, probes: Probes, symptom: Symptom) -> None:
        probes.wait_until_ready("kept")
        (held,) = probes.cluster.get("pods", f"--selector={COMPONENT}=kept", HERE)["items"]
        where = held["spec"]["nodeName"]
        drain = ["drain", where, "--ignore-daemonsets", "--delete-emptydir-data", f"--pod-selector={COMPONENT}=kept"]
        try:
            symptom.is_in(probes.kubectl(*drain, "--timeout=2s"))
            changes = [
                {"op": "remove", "path": "/spec/minAvailable"},
                {"op": "add", "path": "/spec/maxUnavailable", "value": 1},
            ]
            probes.patch("poddisruptionbudget", "kept", *changes)
            assert f"node/{where} drained" in probes.kubectl(*drain, "--timeout=60s")
        finally:
            probes.cluster.kubectl("uncordon", where)


def _elsewhere(started: Reader, folder: Path) -> Path:
    """A kubeconfig that names a server that is not there."""
    known = yaml.safe_load(Path(started.env["KUBECONFIG"]).read_text())
    known["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(known))
    return file


class TestKubectl:
    @pytest.mark.shows("did you specify the right host or port?")
    def test_a_server_that_is_not_there(self, started: Reader, symptom: Symptom, tmp_path: Path) -> None:
        asked = ("kubectl", HERE, "get", "pods")
        symptom.is_in(started.run(*asked, KUBECONFIG=str(_elsewhere(started, tmp_path))).stderr)
        assert started.run(*asked).returncode == 0

    @pytest.mark.shows("You must be logged in to the server")
    def test_a_token_that_is_not_known(self, probes: Probes, symptom: Symptom) -> None:
        symptom.is_in(probes.kubectl("get", "pods", "--token=not-known"))

    @pytest.mark.shows("is forbidden: User")
    def test_who_may_not(self, probes: Probes, symptom: Symptom) -> None:
        asks = ["get", "pods", "--as=somebody"]
        symptom.is_in(probes.kubectl(*asks))
        assert probes.kubectl("auth", "can-i", "list", "pods", "--as=somebody").strip() == "no"
        probes.kubectl("create", "rolebinding", "probe", "--clusterrole=view", "--user=somebody")
        probes.kubectl("label", "rolebinding", "probe", f"{NAME}=probe")
        wait_for(lambda: "READY" in probes.kubectl(*asks), "somebody may look", 10)


@contextmanager
def overlay(started: Reader, *changes: Object, name: str = "try-out") -> Iterator[str]:
    """The try-out with patches, as a folder elsewhere; by its name release.sh knows an overlay."""
    folder = started.folder.parent / "changed" / name
    folder.mkdir(parents=True)
    base = str(Path("..") / ".." / started.folder.name)
    made = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": [base]}
    patches = [{"patch": yaml.safe_dump(change)} for change in changes]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({**made, "namespace": NAMESPACE, "patches": patches}))
    try:
        yield str(Path("..") / folder.relative_to(started.folder.parent))
    finally:
        shutil.rmtree(folder.parent)


def broken(name: str, seconds: int = 8, **container: Any) -> Object:
    """A patch of a Deployment: its container is other than it was, and that is noticed after so many seconds."""
    spec = {"progressDeadlineSeconds": seconds, "template": {"spec": {"containers": [{"name": name, **container}]}}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def release(started: Reader, *arguments: str, **env: str) -> str:
    """What release.sh says, which must fail."""
    ran = started.run("./release.sh", *arguments, timeout=300, **env)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    return ran.stderr


def works(started: Reader) -> None:
    """The release that helps."""
    ran = started.run("./release.sh", "1.0.0", timeout=300)
    assert (ran.returncode, "1.0.0 serves" in ran.stdout) == (0, True), ran.stdout + ran.stderr


class TestARelease:
    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def quiet(cls, probes: Probes) -> None:
        """No Deployments beside the service: release.sh waits for each that it finds, as for a data store."""
        probes.cluster.kubectl("delete", "deployments", HERE, OURS)

    @pytest.mark.shows("there are no secrets; run: ./prepare.sh")
    def test_without_secrets(self, started: Reader, symptom: Symptom) -> None:
        kept = (started.folder / "secrets").rename(started.folder / "kept")
        try:
            symptom.is_in(release(started, "1.0.0"))
        finally:
            kept.rename(started.folder / "secrets")

    @pytest.mark.shows("another release is running; wait for its end")
    def test_two_at_a_time(self, started: Reader, symptom: Symptom) -> None:
        with (started.folder / "kustomization.yaml").open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            symptom.is_in(release(started, "1.0.0"))

    @pytest.mark.shows("the cluster does not answer; look at:")
    def test_a_cluster_that_does_not_answer(self, started: Reader, symptom: Symptom, tmp_path: Path) -> None:
        symptom.is_in(release(started, "1.0.0", KUBECONFIG=str(_elsewhere(started, tmp_path))))

    @pytest.mark.shows("this namespace was released from the overlay")
    def test_another_overlay(self, started: Reader, symptom: Symptom) -> None:
        with overlay(started, name="other") as folder:
            symptom.is_in(release(started, "1.0.0", folder))

    @pytest.mark.shows("a data store does not become ready")
    def test_a_data_store_that_does_not_start(self, started: Reader, symptom: Symptom) -> None:
        with overlay(started, broken("provider", image=AWAY)) as folder:
            said = release(started, "1.0.0", folder)
        symptom.is_in(said)
        assert "ImagePull" in said
        assert len(started.ready("provider")) == 2
        works(started)

    @pytest.mark.shows("the migrations of")
    def test_migrations_that_fail(self, started: Reader, symptom: Symptom) -> None:
        said = release(started, "9.9.9")
        symptom.is_in(said)
        assert "1.0.0 serves on" in said

    @pytest.mark.shows("do not become ready; what they say stands above")
    def test_pods_that_do_not_start(self, started: Reader, symptom: Symptom) -> None:
        before = set(started.ready("api"))
        # By then it has ended twice and waits: one that was just started again has said nothing yet.
        refused = broken("api", 30, env=[{"name": "LOG_LEVEL", "value": "loud"}])
        with overlay(started, refused) as folder:
            said = release(started, "1.0.0", folder)
        symptom.is_in(said)
        assert "LOG_LEVEL: Input should be" in said
        assert before <= set(started.ready("api"))
        works(started)

    @pytest.mark.shows("field is immutable")
    def test_a_job_that_is_changed(self, probes: Probes, symptom: Symptom) -> None:
        made, changed = (
            edited(
                probes.workload("Job", "job", idle, image(f"assistant:{tag}")),
                lambda job: job["spec"].update(suspend=True),
            )
            for tag in ("1.0.0", "1.1.0")
        )
        apply = ("apply", [changed], HERE, "--server-side", "--force-conflicts")
        probes.create(made)
        refused = give(probes.cluster, *apply)
        symptom.is_in(refused.stderr)
        probes.delete("job", "job")
        assert give(probes.cluster, *apply).returncode == 0

    @pytest.mark.shows("Apply failed with")
    def test_what_somebody_else_has_written(self, probes: Probes, symptom: Symptom) -> None:
        scaler = find(rendered("try-out"), "HorizontalPodAutoscaler", "api")
        changed = edited(scaler, lambda made: made["spec"].update(maxReplicas=5))
        apply = ("apply", [changed], "--server-side", "--dry-run=server")
        refused = give(probes.cluster, *apply)
        symptom.is_in(refused.stderr)
        assert 'with "release.sh": .spec.maxReplicas' in refused.stderr
        assert give(probes.cluster, *apply, "--field-manager=release.sh", "--force-conflicts").returncode == 0


def test_what_the_digest_is_made_of() -> None:
    """These tests and their helpers, the stack, and the texts of the page."""
    names = readers._inputs(FILES)
    for name in ("snippets/kubernetes/base/api.yaml", "tests/cluster/objects.py", "tests/boot/symptoms.py"):
        assert name in names
    assert Path(__file__).relative_to(ROOT).as_posix() in names
    assert inputs() != readers.inputs(*FILES)
