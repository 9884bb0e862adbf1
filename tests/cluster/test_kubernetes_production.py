"""What the API server takes of the overlays, who acts on it, and what the namespace and the policy refuse.

No pod of them runs: the nodes take no new ones as long as the overlays are in the cluster.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from handbook import cluster as clusters
from handbook import go, kustomize
from handbook.catalog import ROOT
from handbook.cluster import NODES, Cluster, version
from handbook.proof import ACTED, digest, digests
from handbook.stacks import engine
from handbook.tools import run
from tests.boot.client import wait_for

from . import controllers, objects
from .controllers import acted, label, settled
from .objects import FOLDER, Edit, Object, edited, files_of, find, give, pod, rendered, workload

NAMESPACE = "assistant"
pytestmark = pytest.mark.timeout(600)

OVERLAYS = ("try-out", "production", "internal-ca", "ingress")
ADDED = (
    *("Certificate", "ExternalSecret", "Gateway", "HTTPRoute", "Ingress", "Issuer"),
    *("ScaledObject", "SecretStore", "ServiceMonitor", "TriggerAuthentication"),
)
"""The kinds of the overlays that wait for a controller which the cluster of the tests has not."""

MANAGER, WAITS = "kube-controller-manager", "kube-controller-manager, kube-scheduler"
ACTS = {
    # No node takes a pod: so no kubelet gave it anything, and no packet of it was judged.
    **dict.fromkeys(("ConfigMap", "NetworkPolicy"), ""),
    **dict.fromkeys(("Namespace", "HorizontalPodAutoscaler", "PodDisruptionBudget"), MANAGER),
    **dict.fromkeys(("Deployment", "Job"), WAITS),
    "Service": f"{MANAGER}, kube-proxy",
    "ServiceAccount": "kube-apiserver",
    **dict.fromkeys(ADDED, ""),
    # The controller that reads the store would have it.
    "ServiceAccount/secrets": "",
}
"""Who acts on the objects of a kind, or on one of them, as long as no node takes a pod."""

KINDS = ("Deployment", "StatefulSet", "Job", "Pod")
PLACES = ("containers", "initContainers")
APPLY = ("--server-side", "--validate=strict")
TRY = ("--dry-run=server", "--validate=strict", f"--namespace={NAMESPACE}")


def inputs() -> str:
    """The digest of all that this module's result depends on."""
    return digest(*(part for item in sorted(_inputs().items()) for part in item))


def _inputs() -> dict[str, str]:
    read = files_of(*OVERLAYS, "policy")
    tests = (
        Path(__file__),
        *(Path(used.__file__) for used in (controllers, objects)),
        *(ROOT / "tests" / name for name in ("boot/client.py",)),
    )
    also = (*tests, *(ROOT / "tests" / "cluster" / name for name in ("conftest.py", "reader.py")))
    pins = (*go.pins("schemas"), *kustomize.pins())
    return {**engine(also), **clusters.inputs(), **digests(ROOT, sorted({*read, *pins}))}


@pytest.fixture(scope="module")
def production() -> list[Object]:
    return rendered("production")


@pytest.fixture(scope="module")
def template(production: list[Object]) -> Object:
    """What the pods of the API are made from; with a container that runs before the API, as others may have."""
    made: Object = find(production, "Deployment", "api")["spec"]["template"]
    first = {key: made["spec"]["containers"][0][key] for key in ("image", "resources", "securityContext")}
    made["spec"]["initContainers"] = [{"name": "first", **copy.deepcopy(first)}]
    return made


@pytest.fixture(scope="module")
def namespace(cluster: Cluster, production: list[Object]) -> Iterator[Cluster]:
    """The cluster with the namespace as the files make it, and the accounts that pods in it name."""
    made = [each for each in production if each["kind"] in ("Namespace", "ServiceAccount")]
    try:
        applied(cluster, made)
        yield cluster
    finally:
        cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=100s")


@pytest.fixture(scope="class")
def policy(namespace: Cluster, template: Object) -> Iterator[Cluster]:
    """The cluster with the policy, once it is in force."""
    made = rendered("policy")
    bad = edited(workload("Pod", template), image("assistant:latest"))
    try:
        applied(namespace, made)
        wait_for(lambda: "denied request" in give(namespace, "create", [bad], *TRY).stderr, "the policy is in force")
        yield namespace
    finally:
        give(namespace, "delete", made, "--ignore-not-found")


@pytest.fixture(scope="class")
def installed(namespace: Cluster) -> Iterator[Cluster]:
    """The cluster with the kinds of the overlays that other projects add."""
    made = objects.definitions(each for overlay in OVERLAYS for each in rendered(overlay))
    names = [f"customresourcedefinition/{each['metadata']['name']}" for each in made]
    try:
        applied(namespace, made)
        namespace.kubectl("wait", "--for=condition=Established", "--timeout=60s", *names)
        yield namespace
    finally:
        namespace.kubectl("delete", "--ignore-not-found", *names)


@pytest.fixture(scope="class")
def quiet(cluster: Cluster) -> Iterator[None]:
    """Nodes that take no new pods."""
    try:
        cluster.kubectl("cordon", *NODES)
        yield
    finally:
        cluster.kubectl("uncordon", *NODES)


def applied(cluster: Cluster, made: list[Object]) -> None:
    """Give the cluster objects. AssertionError when it does not take one, or remarks something."""
    result = give(cluster, "apply", made, *APPLY)
    # kubectl's own remarks on a kind that was just added are none about the objects.
    said = [line for line in result.stderr.splitlines() if not re.match(r"[EWI]\d{4} ", line)]
    assert (result.returncode, said) == (0, []), result.stderr
    assert len(result.stdout.splitlines()) == len(made)


@contextmanager
def standing(cluster: Cluster, overlay: str) -> Iterator[list[Object]]:
    """The objects of an overlay, which are in the cluster with the pods that they want. AssertionError as `applied`."""
    made = rendered(overlay)
    try:
        applied(cluster, made)
        wanted = {
            each["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]
            for each in made
            if each["kind"] in KINDS
        }
        assert {"api", "worker", "beat", "migrations"} <= wanted
        wait_for(lambda: wanted <= components(cluster), f"pods of {', '.join(sorted(wanted))}", 90)
        yield made
    finally:
        inside = [each for each in made if each["kind"] != "Namespace"]
        give(cluster, "delete", inside, "--ignore-not-found", "--wait=false")
        wait_for(lambda: not components(cluster), "its pods are gone", 90)


@contextmanager
def stopped(cluster: Cluster, program: str) -> Iterator[None]:
    """A program of the control plane that does nothing. Its name is what the kernel has of it: 15 characters."""

    def send(signal: str) -> None:
        sent = run(["docker", "exec", cluster.containers[0], "pkill", f"--signal={signal}", "--exact", program[:15]])
        assert sent.returncode == 0, f"{program} got no {signal}: {sent.stderr}"

    send("STOP")
    try:
        yield
    finally:
        send("CONT")
        # It may have missed signs of life of the nodes meanwhile.
        cluster.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=60s")


def image(name: str, place: str = "containers") -> Edit:
    return lambda made: pod(made)[place][0].update(image=name)


def drop(path: str) -> Edit:
    """Take one field out of a pod: the part of the path is a key, or a place in a list."""
    *parents, last = path.split("/")

    def edit(made: Object) -> None:
        value: Any = pod(made)
        for key in parents:
            value = value[int(key) if key.isdigit() else key]
        del value[last]

    return edit


INSECURE: dict[str, tuple[Edit, str]] = {
    "perhaps root": (drop("securityContext/runAsNonRoot"), "runAsNonRoot != true"),
    "root": (lambda made: pod(made)["securityContext"].update(runAsUser=0), "runAsUser=0"),
    "no seccomp": (drop("securityContext/seccompProfile"), "seccompProfile"),
    "escalation": (drop("containers/0/securityContext/allowPrivilegeEscalation"), "allowPrivilegeEscalation != false"),
    "keeps capabilities": (drop("containers/0/securityContext/capabilities"), "unrestricted capabilities"),
    "keeps them in a first container": (
        drop("initContainers/0/securityContext/capabilities"),
        "unrestricted capabilities",
    ),
    "adds a capability": (
        lambda made: pod(made)["containers"][0]["securityContext"]["capabilities"].update(add=["NET_ADMIN"]),
        "unrestricted capabilities",
    ),
    "the node's files": (
        lambda made: pod(made)["volumes"].append({"name": "node", "hostPath": {"path": "/etc"}}),
        "restricted volume types",
    ),
    "the node's network": (lambda made: pod(made).update(hostNetwork=True), "host namespaces"),
    "the node's processes": (
        lambda made: pod(made).update(hostPID=True, shareProcessNamespace=False),
        "host namespaces",
    ),
}


class TestPodSecurity:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted."""

    def test_the_pod_of_the_api_is_taken(self, namespace: Cluster, template: Object) -> None:
        result = give(namespace, "create", [workload("Pod", template)], *TRY)
        assert (result.returncode, result.stderr) == (0, "")

    @pytest.mark.parametrize("fault", INSECURE)
    def test_a_pod_that_could_do_more_is_refused(self, namespace: Cluster, template: Object, fault: str) -> None:
        edit, why = INSECURE[fault]
        result = give(namespace, "create", [edited(workload("Pod", template), edit)], *TRY)
        assert result.returncode == 1
        assert 'violates PodSecurity "restricted' in result.stderr
        assert why in result.stderr

    @pytest.mark.negative
    def test_it_is_the_label_that_refuses(self, namespace: Cluster, template: Object) -> None:
        label = "pod-security.kubernetes.io/enforce"
        bad = [edited(workload("Pod", template), edit) for edit, _ in INSECURE.values()]
        for number, each in enumerate(bad):
            each["metadata"]["name"] = f"probe-{number}"
        namespace.kubectl("label", "namespace", NAMESPACE, f"{label}-")
        try:
            wait_for(lambda: give(namespace, "create", bad, *TRY).returncode == 0, "bad pods are taken", 10)
        finally:
            namespace.kubectl("label", "namespace", NAMESPACE, f"{label}=restricted")


UNPINNED = "the image needs a tag other than latest"
UNLIMITED = "resources.limits.memory is missing"
UNREQUESTED = "resources.requests needs cpu and memory"
# In place of PLACE: where the container stands.
CARELESS: dict[str, tuple[str, str]] = {
    "the tag latest": ("registry.example.com/assistant:latest", UNPINNED),
    "no tag": ("registry.example.com/assistant", UNPINNED),
    "a port and no tag": ("registry.example.com:5000/assistant", UNPINNED),
    "no limit of memory": ("resources/limits/memory", UNLIMITED),
    "no limits": ("resources/limits", UNLIMITED),
    "no request of CPU": ("resources/requests/cpu", UNREQUESTED),
    "no requests": ("resources/requests", UNREQUESTED),
}


def careless(fault: str, place: str) -> Edit:
    what, why = CARELESS[fault]
    return image(what, place) if why == UNPINNED else drop(f"{place}/0/{what}")


class TestPolicy:
    def test_these_are_the_kinds_that_it_covers(self) -> None:
        rules = find(rendered("policy"), "ValidatingAdmissionPolicy", "workloads")["spec"]["matchConstraints"]
        covered = {name for rule in rules["resourceRules"] for name in rule["resources"]}
        assert covered == {*(f"{kind.lower()}s" for kind in KINDS), "pods/ephemeralcontainers"}

    @pytest.mark.parametrize("kind", KINDS)
    def test_what_is_as_it_should_be_is_taken(self, policy: Cluster, template: Object, kind: str) -> None:
        for name in ("a:1.0.0", f"a@sha256:{'0' * 64}", "registry.example.com:5000/a:1.0.0"):
            result = give(policy, "create", [edited(workload(kind, template), image(name))], *TRY)
            assert (result.returncode, result.stderr) == (0, ""), name

    @pytest.mark.parametrize("fault", CARELESS)
    @pytest.mark.parametrize("place", PLACES)
    @pytest.mark.parametrize("kind", KINDS)
    def test_it_refuses(self, policy: Cluster, template: Object, kind: str, place: str, fault: str) -> None:
        made = edited(workload(kind, template), careless(fault, place))
        result = give(policy, "create", [made], *TRY)
        assert result.returncode == 1
        name = pod(made)[place][0]["name"]
        assert "ValidatingAdmissionPolicy 'workloads' with binding 'workloads' denied request" in result.stderr
        assert CARELESS[fault][1] in result.stderr
        assert result.stderr.rstrip().endswith(f": {name}")

    @pytest.mark.negative
    def test_it_is_the_binding_that_refuses(self, policy: Cluster, template: Object) -> None:
        """It goes last: the policy binds nobody after it."""
        policy.kubectl("delete", "validatingadmissionpolicybinding", "workloads")
        for fault in CARELESS:
            bad = [edited(workload(kind, template), careless(fault, place)) for kind in KINDS for place in PLACES]
            for number, each in enumerate(bad):
                each["metadata"]["name"] = f"probe-{number}"
            wait_for(lambda bad=bad: give(policy, "create", bad, *TRY).returncode == 0, f"{fault} is taken", 10)


@pytest.mark.usefixtures("quiet")
class TestOverlays:
    @pytest.mark.parametrize("overlay", OVERLAYS)
    def test_every_object_is_taken_without_a_remark(self, installed: Cluster, policy: Cluster, overlay: str) -> None:
        """And the pods that they want are made: neither the namespace nor the policy refuses them."""
        with standing(installed, overlay):
            pass

    @pytest.mark.parametrize("overlay", [each for each in OVERLAYS if each != "try-out"])
    def test_nobody_acts_on_what_other_projects_add(
        self, installed: Cluster, proves: Callable[..., None], overlay: str
    ) -> None:
        with standing(installed, overlay) as made:
            expected = {label(each): ACTS.get(label(each), ACTS.get(each["kind"])) for each in made}
            found = settled(installed, made, lambda name, who: who == expected[name])
        files = digests(ROOT, sorted(files_of(overlay)))
        proves(f"kubernetes/{overlay}", ACTED, tool=f"Kubernetes {version()}", seconds=0, files=files, acted=found)
        assert found == expected

    @pytest.mark.negative
    def test_who_is_stopped_has_not_acted(self, installed: Cluster) -> None:
        works = ("Deployment", "HorizontalPodAutoscaler", "Job", "PodDisruptionBudget", "ServiceAccount")
        acts = {**dict.fromkeys(works, ""), "Service": "kube-proxy"}
        made = [each for each in rendered("production") if each["kind"] in acts and label(each) not in ACTS]

        def found(then: dict[str, str]) -> set[str]:
            seen = settled(installed, made, lambda name, who: who == then[name.partition("/")[0]])
            return {f"{name.partition('/')[0]}: {who}" for name, who in seen.items()}

        try:
            with stopped(installed, MANAGER):
                applied(installed, made)
                assert found(acts) == {f"{kind}: {who}" for kind, who in acts.items()}
            assert found(ACTS) == {f"{kind}: {ACTS[kind]}" for kind in acts}
        finally:
            give(installed, "delete", made, "--ignore-not-found", "--wait=false")
            wait_for(lambda: not components(installed), "its pods are gone", 90)

    @pytest.mark.negative
    def test_a_controller_that_acts_is_seen(self, installed: Cluster) -> None:
        with standing(installed, "production") as made:
            certificate = find(made, "Certificate", "api")
            status = {
                **{key: certificate[key] for key in ("apiVersion", "kind", "metadata")},
                "status": {"revision": 1},
            }
            writes = ("--server-side", "--subresource=status", "--field-manager=cert-manager")
            said = give(installed, "apply", [status], *writes)
            assert said.returncode == 0, said.stderr
            assert acted(installed, [certificate]) == {"Certificate/api": "cert-manager"}

    @pytest.mark.negative
    @pytest.mark.parametrize(
        ("kind", "edit", "field"),
        [
            ("Deployment", lambda made: made["spec"].update(replica=2), "replica"),
            ("HTTPRoute", lambda made: made["spec"]["rules"][0].update(match=[]), "match"),
            ("Certificate", lambda made: made["spec"].update(secret="api-tls"), "secret"),
            ("SecretStore", lambda made: made["spec"].update(providers={}), "providers"),
            ("ServiceMonitor", lambda made: made["spec"]["endpoints"][0].update(ports="http"), "ports"),
            ("ScaledObject", lambda made: made["spec"].update(maxReplicas=2), "maxReplicas"),
        ],
    )
    def test_a_field_that_is_not_there_is_refused(self, installed: Cluster, kind: str, edit: Edit, field: str) -> None:
        good = next(each for each in rendered("production") if each["kind"] == kind)
        taken = give(installed, "apply", [good], *APPLY, "--dry-run=server")
        assert (taken.returncode, taken.stderr) == (0, "")
        refused = give(installed, "apply", [edited(good, edit)], *APPLY, "--dry-run=server")
        assert refused.returncode == 1
        assert "not declared in schema" in refused.stderr or "unknown field" in refused.stderr
        assert f".{field}" in refused.stderr

    @pytest.mark.negative
    def test_a_remark_is_seen(self, installed: Cluster) -> None:
        deployment = find(rendered("production"), "Deployment", "api")
        made = edited(deployment, drop("securityContext/runAsNonRoot"))
        with pytest.raises(AssertionError, match="would violate PodSecurity"):
            applied(installed, [made])
        give(installed, "delete", [made])


def components(cluster: Cluster) -> set[str]:
    """The components that there is a pod of."""
    found = cluster.get("pods", f"--namespace={NAMESPACE}")["items"]
    return {each["metadata"].get("labels", {}).get("app.kubernetes.io/component", "") for each in found}


def test_what_the_digest_is_made_of() -> None:
    """A file of an overlay and of what it is built upon, of the policy, of the cluster, the pins, and these tests."""
    names = _inputs()
    for name in (
        f"{FOLDER}/ingress/ingress.yaml",
        f"{FOLDER}/base/api.yaml",
        f"{FOLDER}/policy/workloads.yaml",
        "tools/cluster/go.mod",
        "tools/schemas/go.sum",
        "tests/cluster/controllers.py",
        "tests/cluster/objects.py",
        "tests/cluster/conftest.py",
        "scripts/handbook/schemas.py",
    ):
        assert name in names
    assert Path(__file__).relative_to(ROOT).as_posix() in names
