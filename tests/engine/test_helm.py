"""The chart renders what the overlay `production` is, and what it is given stands where it belongs."""

from __future__ import annotations

import copy
import re
import subprocess
from collections.abc import Iterable
from functools import cache, reduce
from pathlib import Path
from typing import Any

import pytest
import yaml

from handbook import checks, go, helm, kustomize, schemas
from handbook.catalog import ROOT, Catalog
from handbook.facts import code
from handbook.findings import HandbookError

CHART = "snippets/helm/assistant"
OVERLAY = "snippets/kubernetes/production"
SERVICE = "snippets/service"

Key = tuple[str, str, str, str]
Objects = dict[Key, dict[str, Any]]

PARTS = ("api", "worker", "beat")
HOOK = {
    "helm.sh/hook": "post-install,pre-upgrade",
    "helm.sh/hook-delete-policy": "before-hook-creation",
    "helm.sh/hook-output-log-policy": "hook-failed",
}
# Settings that libraries read, and the one that says where the rest is.
NOT_OF_THE_CODE = {"PGSSLMODE", "PGSSLROOTCERT", "SSL_CERT_FILE", "SECRETS_DIR"}


def keyed(values: Iterable[dict[str, Any]]) -> Objects:
    found: Objects = {}
    for value in values:
        metadata = value["metadata"]
        key = (value["apiVersion"], value["kind"], metadata.get("namespace", ""), metadata["name"])
        assert key not in found, f"{key} comes out twice"
        found[key] = value
    return found


@cache
def rendered(*options: str) -> Objects:
    """The chart's objects, each by what it is called."""
    found = helm.render(ROOT, CHART, *options)
    assert found.warnings == ()
    return keyed(copy.deepcopy(one.value) for one in found.objects)


def one(objects: Objects, name: str) -> dict[str, Any]:
    """The object that people call `Deployment/api`."""
    (found,) = (value for key, value in objects.items() if f"{key[1]}/{key[3]}" == name)
    return found


def at(value: Any, path: str) -> Any:
    """What stands in an object at `spec.rules.0.path`."""
    steps = (int(step) if step.isdigit() else step for step in path.split("."))
    return reduce(lambda inner, step: inner[step], steps, value)


def container(objects: Objects, name: str) -> dict[str, Any]:
    (found,) = at(one(objects, name), "spec.template.spec.containers")
    return dict(found)


def test_the_chart_is_the_overlay_but_for_what_is_named_here() -> None:
    overlay = keyed(copy.deepcopy(found.value) for found in kustomize.render(ROOT, OVERLAY).objects)
    chart = copy.deepcopy(rendered())

    # Helm makes the namespace, if asked to, and nobody can tell it with which labels.
    del overlay["v1", "Namespace", "", "assistant"]

    # The ConfigMap has one name for ever, so what is in it is an annotation of the pods.
    (hashed,) = (key for key in overlay if key[1] == "ConfigMap")
    assert re.fullmatch(r"settings-[a-z0-9]{10}", hashed[3])
    settings = overlay.pop(hashed)
    settings["metadata"]["name"] = "settings"
    overlay[*hashed[:3], "settings"] = settings
    for part in PARTS:
        container(overlay, f"Deployment/{part}")["envFrom"][0]["configMapRef"]["name"] = "settings"
        annotations = at(one(chart, f"Deployment/{part}"), "spec.template.metadata").pop("annotations")
        assert re.fullmatch(r"[0-9a-f]{64}", annotations.pop("checksum/settings"))
        assert annotations == {}

    # The Job is a hook, and comes before the ConfigMap of its version.
    assert one(chart, "Job/migrations")["metadata"].pop("annotations") == HOOK
    of_overlay, of_chart = (at(one(x, "Job/migrations"), "spec.template.spec.containers.0") for x in (overlay, chart))
    assert of_overlay.pop("envFrom") == [{"configMapRef": {"name": hashed[3]}}]
    assert {variable["name"]: variable["value"] for variable in of_chart.pop("env")} == settings["data"]

    assert chart.keys() == overlay.keys()
    for key, value in overlay.items():
        assert chart[key] == value, key


# What is refused, and the words that say why.
REFUSED = {
    "nobody=1": "at '': additional properties 'nobody' not allowed",
    "api.replica=1": "at '/api': additional properties 'replica' not allowed",
    "settings.DATABASE_HOTS=a": "at '/settings': additional properties 'DATABASE_HOTS' not allowed",
    "settings.DATABASE_PASSWORD=a": "at '/settings': additional properties 'DATABASE_PASSWORD' not allowed",
    "settings.MAX_BODY_BYTES=1048576": "at '/settings/MAX_BODY_BYTES': got number, want string",
    "settings.DATABASE_HOST=null": "at '/settings': missing property 'DATABASE_HOST'",
    "settings.LOG_FORMAT=xml": "at '/settings/LOG_FORMAT': value must be one of 'json', 'text'",
    "settings.BROKER_URL=rediss://user:key@broker:6379/0": "at '/settings/BROKER_URL': ",
    "image.tag=latest": "image.tag: latest is moved, and then nodes run different code under one name; name a version",
    "image.tag=a b": "at '/image/tag': 'a b' does not match pattern",
    "image.digest=sha256:1": "at '/image/digest': 'sha256:1' does not match pattern",
    "image.repository=https://registry.example.com/assistant": "at '/image/repository': ",
    "image.repository=registry.example.com/assistant:1.0.0": "at '/image/repository': ",
    "image.repository=assistant:1.0.0": "at '/image/repository': ",
    "image=assistant": "at '/image': got string, want object",
    "host=https://api.example.com": "at '/host': 'https://api.example.com' does not match pattern",
    "host=API.example.com": "at '/host': 'API.example.com' does not match pattern",
    "host=api": "at '/host': 'api' does not match pattern",
    "host=10.0.0.1": "at '/host': '10.0.0.1' does not match pattern",
    "api.replicas.min=0": "at '/api/replicas/min': minimum: got 0, want 1",
    "api.replicas.max=many": "at '/api/replicas/max': got string, want integer",
    "api.replicas.min=5": "api.replicas: min is 5 and above max, which is 4",
    "worker.replicas.min=5": "worker.replicas: min is 5 and above max, which is 4",
    "api.resources.memory=384": "at '/api/resources/memory': got number, want string",
    "api.resources.memory=384m": "at '/api/resources/memory': '384m' does not match pattern",
    "gateway.enabled=false": "certificate.enabled: without gateway.enabled nothing answers the question that proves",
    "gateway.enabled=yes": "at '/gateway/enabled': got string, want boolean",
    "secrets.name=My_Secret": "at '/secrets/name': 'My_Secret' does not match pattern",
    "secrets.vault.server=http://vault.example.com": "at '/secrets/vault/server': ",
    "network.data=10.20.0.0/16": "at '/network/data': got string, want array",
    "network.data[0]=10.20.0.1": "at '/network/data/0': '10.20.0.1' does not match pattern",
    "certificate.email=operator": "at '/certificate/email': 'operator' does not match pattern",
}

# As a file has them: `--set` would make texts of these.
WRITTEN = {
    "image.tag=1.1": "at '/image/tag': got number, want string",
    "api.replicas.min=2.5": "at '/api/replicas/min': got number, want integer",
    "gateway=[]": "at '/gateway': got array, want object",
}


@pytest.mark.parametrize("given", [*REFUSED, *WRITTEN])
def test_a_bad_value_is_refused(given: str) -> None:
    with pytest.raises(HandbookError) as caught:
        helm.render(ROOT, CHART, "--set-json" if given in WRITTEN else "--set", given)
    assert str(caught.value).startswith(f"{CHART}/Chart.yaml: it can't be rendered: ")
    assert {**REFUSED, **WRITTEN}[given] in str(caught.value)


DIGEST = f"sha256:{'0a' * 32}"
IMAGE = "spec.template.spec.containers.0.image"
POLICY = "spec.egress.0.to.0.ipBlock.cidr"
CHANGED: dict[str, dict[str, Any]] = {
    "image.tag=1.1.0": {
        f"{name}#{IMAGE}": "registry.example.com/assistant:1.1.0"
        for name in (*(f"Deployment/{part}" for part in PARTS), "Job/migrations")
    },
    f"image.digest={DIGEST}": {
        f"{name}#{IMAGE}": f"registry.example.com/assistant@{DIGEST}"
        for name in (*(f"Deployment/{part}" for part in PARTS), "Job/migrations")
    },
    "image.repository=localhost:5000/a/b": {f"Deployment/api#{IMAGE}": "localhost:5000/a/b:1.0.0"},
    "host=ask.example.org": {
        "Gateway/api#spec.listeners.0.hostname": "ask.example.org",
        "Gateway/api#spec.listeners.1.hostname": "ask.example.org",
        "HTTPRoute/api#spec.hostnames": ["ask.example.org"],
        "HTTPRoute/redirect#spec.hostnames": ["ask.example.org"],
        "Certificate/api#spec.dnsNames": ["ask.example.org"],
    },
    "api.replicas.min=3,api.replicas.max=12": {
        "HorizontalPodAutoscaler/api#spec.minReplicas": 3,
        "HorizontalPodAutoscaler/api#spec.maxReplicas": 12,
    },
    "worker.replicas.min=2,worker.replicas.max=9,worker.jobs=20": {
        "ScaledObject/worker#spec.minReplicaCount": 2,
        "ScaledObject/worker#spec.maxReplicaCount": 9,
        "ScaledObject/worker#spec.triggers.0.metadata.listLength": "20",
    },
    "api.resources.memory=1Gi,api.resources.cpu=1500m": {
        "Deployment/api#spec.template.spec.containers.0.resources": {
            "requests": {"cpu": "1500m", "memory": "1Gi"},
            "limits": {"memory": "1Gi"},
        }
    },
    "secrets.name=of-mine": {
        "ExternalSecret/of-mine#spec.target.name": "of-mine",
        "TriggerAuthentication/broker#spec.secretTargetRef.0.name": "of-mine",
        **{
            f"{name}#spec.template.spec.volumes.1.secret.secretName": "of-mine"
            for name in (*(f"Deployment/{part}" for part in PARTS), "Job/migrations")
        },
    },
    "settings.BROKER_URL=redis://queue:6380/3": {
        "ConfigMap/settings#data.BROKER_URL": "redis://queue:6380/3",
        "ScaledObject/worker#spec.triggers.0.metadata.address": "queue:6380",
        "ScaledObject/worker#spec.triggers.0.metadata.enableTLS": "false",
        "ScaledObject/worker#spec.triggers.0.metadata.databaseIndex": "3",
        "NetworkPolicy/to-redis#spec.egress.0.ports": [{"port": 6379}, {"port": 6380}],
    },
    "network.data={10.1.0.0/16,fd00::/8}": {
        f"NetworkPolicy/to-database#{POLICY}": "10.1.0.0/16",
        f"NetworkPolicy/to-redis#{POLICY.replace('to.0', 'to.1')}": "fd00::/8",
    },
    "network.gateway=edge,network.monitoring=watch": {
        f"NetworkPolicy/api#spec.ingress.0.from.{number}.namespaceSelector.matchLabels": {
            "kubernetes.io/metadata.name": name
        }
        for number, name in enumerate(("edge", "watch"))
    },
    "gateway.className=cilium": {"Gateway/api#spec.gatewayClassName": "cilium"},
    "secrets.vault.key=team/assistant": {"ExternalSecret/assistant#spec.data.0.remoteRef.key": "team/assistant"},
}


@pytest.mark.parametrize("given", CHANGED)
def test_a_value_stands_where_it_belongs(given: str) -> None:
    objects = rendered("--set", given)
    for address, wanted in CHANGED[given].items():
        name, _, path = address.partition("#")
        assert at(one(objects, name), path) == wanted, address


# What follows from a setting: a text, so it is no `--set`.
FOLLOWS = {
    "DATABASE_PORT=6432": {"NetworkPolicy/to-database#spec.egress.0.ports.0.port": 6432},
    "ANSWER_TIMEOUT_SECONDS=120": {"HTTPRoute/api#spec.rules.0.timeouts.request": "125s"},
    "REQUEST_TIMEOUT_SECONDS=40": {"HTTPRoute/api#spec.rules.1.timeouts.request": "45s"},
    "GUNICORN_GRACEFUL_TIMEOUT=125": {"Deployment/api#spec.template.spec.terminationGracePeriodSeconds": 150},
    "JOB_TIMEOUT_SECONDS=100": {"Deployment/worker#spec.template.spec.terminationGracePeriodSeconds": 110},
}


@pytest.mark.parametrize("given", FOLLOWS)
def test_a_setting_moves_what_stands_above_it(given: str) -> None:
    objects = rendered("--set-string", f"settings.{given}")
    name, _, value = given.partition("=")
    assert at(one(objects, "ConfigMap/settings"), "data")[name] == value
    for address, wanted in FOLLOWS[given].items():
        called, _, path = address.partition("#")
        assert at(one(objects, called), path) == wanted, address


CERTIFICATE = {"Issuer/certificates", "Certificate/api", "NetworkPolicy/certificate"}
LEFT_OUT = {
    "secrets.vault.enabled": {"SecretStore/vault", "ExternalSecret/assistant", "ServiceAccount/secrets"},
    "worker.keda": {"ScaledObject/worker", "TriggerAuthentication/broker"},
    "certificate.enabled": CERTIFICATE,
    "certificate.enabled=false,gateway.enabled": {
        "Gateway/api",
        "HTTPRoute/api",
        "HTTPRoute/redirect",
        *CERTIFICATE,
    },
    "monitoring.enabled": {"ServiceMonitor/api"},
}


@pytest.mark.parametrize("given", LEFT_OUT)
def test_what_a_cluster_does_not_have_can_be_left_out(given: str) -> None:
    gone = rendered().keys() - rendered("--set", f"{given}=false").keys()
    assert {f"{key[1]}/{key[3]}" for key in gone} == LEFT_OUT[given]


def test_a_changed_setting_is_changed_pods() -> None:
    before, after = rendered(), rendered("--set", "settings.LOG_LEVEL=debug")
    for part in PARTS:
        pods = [at(one(objects, f"Deployment/{part}"), "spec.template") for objects in (before, after)]
        assert pods[0] != pods[1]


def test_a_dollar_in_a_setting_is_one_in_the_job_too() -> None:
    objects = rendered("--set", "settings.PROVIDER_MODEL=$(HOME)")
    assert one(objects, "ConfigMap/settings")["data"]["PROVIDER_MODEL"] == "$(HOME)"
    # Kubernetes makes one of two: https://kubernetes.io/docs/tasks/inject-data-application/
    job = {variable["name"]: variable["value"] for variable in container(objects, "Job/migrations")["env"]}
    assert job["PROVIDER_MODEL"] == "$$(HOME)"


def test_another_namespace_is_that_of_every_object() -> None:
    found = helm.render(ROOT, CHART, "--namespace=other")
    assert {one.value["metadata"]["namespace"] for one in found.objects} == {"other"}


def test_the_chart_names_the_versions_that_there_are() -> None:
    chart = yaml.safe_load((ROOT / CHART / "Chart.yaml").read_text("utf-8"))
    version = code.read(ROOT, SERVICE, Catalog().snippets).version
    assert version is not None
    assert chart["appVersion"] == version.value
    assert chart["kubeVersion"] == f">={schemas.MINORS[0]}.0-0"
    with pytest.raises(HandbookError, match="chart requires kubeVersion"):
        helm.render(ROOT, CHART, "--kube-version=1.34.0")


def test_the_schema_knows_the_settings_that_the_code_has() -> None:
    schema = yaml.safe_load((ROOT / CHART / "values.schema.json").read_text("utf-8"))
    known = set(schema["properties"]["settings"]["properties"])
    read = code.read(ROOT, SERVICE, Catalog().snippets).settings
    assert known - NOT_OF_THE_CODE == {setting.name.value for setting in read if not setting.secret}


TEMPLATE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
SMALL = {
    ".gitignore": "secrets/\n",
    "snippets/helm/c/Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.0.0\n",
    "snippets/helm/c/templates/a.yaml": TEMPLATE + "---\n" + TEMPLATE.replace("name: a", "name: b"),
    "snippets/helm/c/templates/secrets/b.yaml": TEMPLATE.replace("name: a", "name: of-this-machine"),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    for name, text in SMALL.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_each_object_has_the_template_that_it_comes_from_and_git_knows_it(root: Path) -> None:
    found = helm.render(root, "snippets/helm/c")
    template = "snippets/helm/c/templates/a.yaml"
    assert [(one.name, one.path) for one in found.objects] == [("ConfigMap/a", template), ("ConfigMap/b", template)]


def test_a_change_is_seen(root: Path) -> None:
    helm.render(root, "snippets/helm/c")
    (root / "snippets/helm/c/templates/a.yaml").write_text(TEMPLATE.replace("name: a", "name: z"), encoding="utf-8")
    assert [one.name for one in helm.render(root, "snippets/helm/c").objects] == ["ConfigMap/z"]


def test_a_folder_without_a_chart_is_told(root: Path) -> None:
    with pytest.raises(HandbookError, match=r"^snippets/helm: there is no Chart\.yaml in it$"):
        helm.render(root, "snippets/helm")


def test_a_helm_that_says_nothing_is_not_believed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "snippets/helm/c/templates/a.yaml").write_text(TEMPLATE.replace("name: a", "name: s"), encoding="utf-8")
    monkeypatch.setattr(go, "built", lambda *_, **__: Path("/bin/true"))
    with pytest.raises(HandbookError, match=r"helm rendered nothing; the end of its output:\n\(nothing\)"):
        helm.render(root, "snippets/helm/c")


def test_all_of_a_chart_decides_about_each_of_its_files(root: Path) -> None:
    chart = [name for name in SMALL if name.startswith("snippets/") and "secrets" not in name]
    for path in chart:
        assert list(checks.inputs("helm", Catalog(root), path)) == sorted(chart)
