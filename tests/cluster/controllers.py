"""Which program of the cluster acted on an object, by what it left there.

No table says who should have acted: where a program does not run, or has no reason to act, there is no trace of it. The
API server keeps who wrote a status
(https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management); what a program makes of an object
names it as its owner; kube-proxy and kube-router write rules into the nodes.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from handbook.cluster import NODES, Cluster

from .objects import Object, give

MANAGED = ("--show-managed-fields", "--ignore-not-found", "--output=json")
HASHED = ("ConfigMap", "Secret")

# A controller that writes under a name of its own, and the program that it is a part of.
PARTS = {"validatingadmissionpolicy-status": "kube-controller-manager"}

# The rules that kube-router has for a pod: its address, and the policies that they pass what it sends and gets to.
HELD = re.compile(r"-A (KUBE-POD-FW-\S+) (?:-[sd] (\S+)/32 )?.*?(?:\"run through nw policy ([^\"]+)\"|$)")
POLICY_SAYS = re.compile(r"ValidatingAdmissionPolicy '([^']+)' with binding '([^']+)' denied request")


def acted(cluster: Cluster, objects: Iterable[Object]) -> dict[str, str]:
    """Say of each object who acted on it, such as `Deployment/api`: `kube-controller-manager, kubelet`.

    The text is empty for one that nobody acted on, or that is not in the cluster. The hash that kustomize puts behind a
    name is left out.
    """
    wanted = list(objects)
    asked = give(cluster, "get", wanted, *MANAGED)
    assert asked.returncode == 0, asked.stderr
    there = {_key(each): each for each in _items(json.loads(asked.stdout or "{}"))}
    spaces: dict[str, Space] = {}
    found = {}
    for each in wanted:
        live, who = there.get(_key(each)), set[str]()
        if live:
            name = live["metadata"]["name"] if live["kind"] == "Namespace" else live["metadata"].get("namespace", "")
            space = spaces.setdefault(name, Space(cluster, name))
            who = {*_writers(live), *TRACES.get(live["kind"], _no_more)(space, live)}
        found[label(each)] = ", ".join(sorted(who))
    return found


def settled(
    cluster: Cluster, objects: Iterable[Object], enough: Callable[[str, str], bool], seconds: float = 60
) -> dict[str, str]:
    """Say as `acted` who acted, as soon as it is `enough` for every object and who acted on it, or after `seconds`."""
    wanted, deadline = list(objects), time.monotonic() + seconds
    while True:
        found = acted(cluster, wanted)
        if all(enough(name, who) for name, who in found.items()) or time.monotonic() > deadline:
            return found
        time.sleep(1)


def label(value: Object) -> str:
    """The kind and the name of an object, without the hash of its content."""
    name = value["metadata"]["name"]
    return f"{value['kind']}/{re.sub(r'-[a-z0-9]{10}$', '', name) if value['kind'] in HASHED else name}"


@dataclass(frozen=True)
class Space:
    """One namespace and the nodes, as they are when they are first asked for."""

    cluster: Cluster
    name: str

    @cached_property
    def _objects(self) -> list[Object]:
        kinds = "pods,replicasets,endpointslices,configmaps"
        return _items(self.cluster.get(kinds, f"--namespace={self.name}", "--show-managed-fields"))

    @cached_property
    def pods(self) -> list[Object]:
        """All pods of the namespace."""
        return [each for each in self._objects if each["kind"] == "Pod"]

    def named(self, kind: str, name: str) -> list[Object]:
        """The one of a kind and a name, if there is one."""
        return [each for each in self._objects if each["kind"] == kind and each["metadata"]["name"] == name]

    def made_of(self, owner: Object) -> Iterator[Object]:
        """All that was made of an object, and of what was made of it."""
        for each in self._objects:
            owners = each["metadata"].get("ownerReferences", [])
            if any(one["uid"] == owner["metadata"]["uid"] for one in owners):
                yield each
                yield from self.made_of(each)

    @cached_property
    def rules(self) -> list[str]:
        """What the nodes do with packets."""
        saved = [self.cluster.inside(node, "iptables-save") for node in NODES]
        assert not any(each.returncode for each in saved), saved
        return [line for each in saved for line in each.stdout.splitlines()]

    @cached_property
    def policies(self) -> set[str]:
        """The NetworkPolicies that hold a pod of the namespace."""
        addresses = {each["status"].get("podIP") for each in self.pods}
        found = [match.groups() for match in map(HELD.match, self.rules) if match]
        chains = {chain for chain, address, _ in found if address and address in addresses}
        return {policy for chain, _, policy in found if policy and chain in chains}

    @cached_property
    def refused_by(self) -> set[tuple[str, str]]:
        """The policies of admission, and their bindings, that refuse a Deployment which gives no limits."""
        spec = {
            "selector": {"matchLabels": {"probe": "it"}},
            "template": {
                "metadata": {"labels": {"probe": "it"}},
                "spec": {"containers": [{"name": "probe", "image": "probe"}]},
            },
        }
        made = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "probe"}, "spec": spec}
        found = set()
        for binding in _items(self.cluster.get("validatingadmissionpolicybindings")):
            labels = binding["spec"]["matchResources"]["namespaceSelector"]["matchLabels"]
            selector = ",".join(f"{key}={value}" for key, value in labels.items())
            for each in _items(self.cluster.get("namespaces", f"--selector={selector}")):
                place = f"--namespace={each['metadata']['name']}"
                said = give(self.cluster, "create", [made], "--dry-run=server", place).stderr
                found |= {(policy, name) for policy, name in POLICY_SAYS.findall(said)}
        return found


def _pods(space: Space, live: Object) -> Iterator[str]:
    """Who acted on what was made of it: a pod has a node when a scheduler bound it."""
    for each in space.made_of(live):
        yield from _writers(each)
        if each["kind"] == "Pod" and each["spec"].get("nodeName"):
            yield each["spec"]["schedulerName"].replace("default-", "kube-")


def _service(space: Space, live: Object) -> Iterator[str]:
    for each in space.made_of(live):
        yield from _managers(each)
    rule = f'"{space.name}/{live["metadata"]["name"]}'
    if any(f"{rule}:" in line or f"{rule} " in line for line in space.rules):
        yield "kube-proxy"


def _given(space: Space, live: Object) -> Iterator[str]:
    """A pod that names it waits until the kubelet has it: then it is ready, or has ended well."""
    kind, name = live["kind"][0].lower() + live["kind"][1:], live["metadata"]["name"]
    for pod in space.pods:
        if (kind, name) in _named_in(pod["spec"]) and _ran(pod):
            yield from _writers(pod) - {"kube-scheduler"}


def _account(space: Space, live: Object) -> Iterator[str]:
    """No pod is taken that names an account which is not there."""
    if any(pod["spec"]["serviceAccountName"] == live["metadata"]["name"] for pod in space.pods):
        yield "kube-apiserver"


def _namespace(space: Space, live: Object) -> Iterator[str]:
    """Each gets the certificate of the authority that signs the API server's."""
    for each in space.named("ConfigMap", "kube-root-ca.crt"):
        yield from _managers(each)


def _network_policy(space: Space, live: Object) -> Iterator[str]:
    if live["metadata"]["name"] in space.policies:
        yield "kube-router"


def _admission(space: Space, live: Object) -> Iterator[str]:
    place = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding").index(live["kind"])
    if any(names[place] == live["metadata"]["name"] for names in space.refused_by):
        yield "kube-apiserver"


def _no_more(space: Space, live: Object) -> Iterator[str]:
    """What has no traces but its status."""
    yield from ()


TRACES: Mapping[str, Callable[[Space, Object], Iterator[str]]] = {
    "ConfigMap": _given,
    "Deployment": _pods,
    "Job": _pods,
    "Namespace": _namespace,
    "NetworkPolicy": _network_policy,
    "Secret": _given,
    "Service": _service,
    "ServiceAccount": _account,
    "StatefulSet": _pods,
    "ValidatingAdmissionPolicy": _admission,
    "ValidatingAdmissionPolicyBinding": _admission,
}
"""How it is seen, besides the status, who acted on an object of a kind."""


def _writers(live: Object) -> set[str]:
    """Who wrote its status."""
    fields = live["metadata"].get("managedFields", [])
    return {PARTS.get(each["manager"], each["manager"]) for each in fields if each.get("subresource") == "status"}


def _managers(live: Object) -> set[str]:
    """Who wrote any of it."""
    return {each["manager"] for each in live["metadata"].get("managedFields", [])}


def _ran(pod: Object) -> bool:
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))
    return ready or pod["status"].get("phase") == "Succeeded"


def _named_in(value: Any) -> Iterator[tuple[str, str]]:
    """The ConfigMaps and Secrets that a pod names, as volumes or in its environment."""
    if isinstance(value, list):
        for each in value:
            yield from _named_in(each)
    if isinstance(value, dict):
        for key, inner in value.items():
            kind = key.removesuffix("Ref").removesuffix("Key")
            if kind in ("configMap", "secret") and isinstance(inner, dict):
                yield kind, inner.get("name") or inner.get("secretName", "")
            yield from _named_in(inner)


def _items(found: Any) -> list[Object]:
    """What `kubectl get` found: one object, or a list of them."""
    return list(found.get("items", [found] if found else []))


def _key(value: Object) -> tuple[str, str, str]:
    return value["apiVersion"].partition("/")[0], value["kind"], value["metadata"]["name"]
