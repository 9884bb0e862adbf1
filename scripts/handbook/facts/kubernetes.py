"""Reads what kustomize makes of a folder: objects of Kubernetes whose values know the line that they come from.

What is judged is what would be applied. Kustomize says which file an object is from; the line is looked up in that file
and in the patches: the patch nearest to the overlay that holds the same value, else the object's own file.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml

from handbook import helm, kustomize
from handbook.facts import Fact, env, quantities, text_of, unreadable, workload, yamls
from handbook.facts.code import Code
from handbook.facts.deployment import Service
from handbook.facts.yamls import Node

FOLDER = "snippets/kubernetes"
CHARTS = "snippets/helm"
BASE = "base"
"""The name of folders that are only built upon and never applied by themselves."""

T = TypeVar("T")

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEMPLATES = {
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"), ("spec", "template")),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "Pod": (),
}
SCALERS = ("HorizontalPodAutoscaler", "ScaledObject")
# What a Secret or ConfigMap has when a controller makes it: https://cert-manager.io/docs/usage/certificate/
_OF_CERTIFICATES = frozenset(("tls.crt", "tls.key", "ca.crt"))
# https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/
_EVERYWHERE = {("ConfigMap", "kube-root-ca.crt"): frozenset(("ca.crt",))}
_MEMORY = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_HASH = re.compile(r"-[a-z0-9]{10}$")
# An item of a list is known again by what it holds of these.
_KEYS = ("name", "mountPath", "containerPort", "port", "protocol", "topologyKey", "key", "secretKey", "type", "path")


@dataclass(frozen=True)
class Value:
    """A value of an object. One that is not there is false, has no value, and stands where it would belong."""

    value: Any
    sources: tuple[Node, ...]
    """Where it may be from: the nearest patch first, the object's own file last."""
    above: tuple[str, int]
    """The place of what holds it, for when no file says it."""

    def __bool__(self) -> bool:
        return self.value is not None

    def __getitem__(self, key: str) -> Value:
        value = self.value.get(key) if isinstance(self.value, Mapping) else None
        found = (source[key] for source in self.sources if source.is_mapping)
        return Value(value, tuple(node for node in found if node), self.place)

    def items(self) -> list[Value]:
        """The items of a list; none when it is not one."""
        values = self.value if isinstance(self.value, list) else []
        lists = [source.items() for source in self.sources if source.is_list]
        return [
            Value(value, tuple(node for nodes in lists if (node := _same(value, position, nodes))), self.place)
            for position, value in enumerate(values)
        ]

    def pairs(self) -> dict[str, Value]:
        """The entries of a mapping; none when it is not one."""
        return {str(key): self[key] for key in self.value} if isinstance(self.value, Mapping) else {}

    @property
    def place(self) -> tuple[str, int]:
        """The file and the line."""
        if not self.sources:
            return self.above
        plain = not isinstance(self.value, list | Mapping)
        equal = (node for node in self.sources if plain and _text(node) == _written(self.value))
        node = next(equal, self.sources[-1])
        return node.path, node.line

    @property
    def text(self) -> str:
        """The value as it is written; empty when it is not there."""
        return _written(self.value)

    def fact(self, parse: Callable[[str], T]) -> Fact[T]:
        """What `parse` makes of the text. Its ValueError becomes a HandbookError with file and line."""
        return self.at.read(parse)

    @property
    def at(self) -> Fact[str]:
        """The text and its place."""
        return Fact(self.text, *self.place)

    def number(self, default: int) -> Fact[int]:
        """The value as a whole number, or the default."""
        return self.fact(quantities.whole) if self else Fact(default, *self.place)


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _text(node: Node) -> str | None:
    # The node itself: `$NAME` in a command is no variable of the file.
    return str(node.node.value) if isinstance(node.node, yaml.ScalarNode) else None


def _same(value: Any, position: int, nodes: Sequence[Node]) -> Node | None:
    """The item of a file's list that became a value."""
    if not isinstance(value, Mapping):
        equal = [node for node in nodes if _text(node) == _written(value)]
        return equal[0] if equal else None

    def likeness(node: Node) -> int:
        pairs = node.pairs() if node.is_mapping else {}
        both = [key for key in _KEYS if key in pairs and key in value]
        alike = [_text(pairs[key]) == _written(value[key]) for key in both]
        return sum(alike) if both and alike[0] else -1

    best = max(nodes, key=likeness, default=None)
    if best is not None and likeness(best) > 0:
        return best
    # Without a key that names it, it is known by its position.
    anonymous = not any(key in value for key in _KEYS)
    return nodes[position] if anonymous and position < len(nodes) else None


@dataclass(frozen=True)
class Object:
    """An object that would be applied."""

    value: Value

    def __getitem__(self, key: str) -> Value:
        return self.value[key]

    @property
    def kind(self) -> str:
        """Its kind."""
        return self.value["kind"].text

    @property
    def name(self) -> Fact[str]:
        """Its name: the place for what is not there at all."""
        return self.value["metadata"]["name"].at

    @property
    def namespace(self) -> str:
        """Its namespace; empty when it says none."""
        return self.value["metadata"]["namespace"].text

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return _labels(self.value["metadata"])

    def __str__(self) -> str:
        return f"{self.kind} {self.name.value}"


def _labels(metadata: Value) -> dict[str, str]:
    return {key: label.text for key, label in metadata["labels"].pairs().items()}


class Reference(NamedTuple):
    """What a pod takes from a ConfigMap or a Secret: one key, or all when it names none."""

    kind: str
    name: str
    key: str | None
    at: Fact[str]
    named: Fact[str]
    """Where the object is named."""
    optional: bool


@dataclass(frozen=True)
class Container:
    """A container of a pod."""

    value: Value
    pods: Pods

    def __getitem__(self, key: str) -> Value:
        return self.value[key]

    @property
    def name(self) -> Fact[str]:
        """Its name."""
        return self.value["name"].at

    @property
    def image(self) -> Fact[str]:
        """Its image: where kustomize writes a tag, it stands there."""
        image = self.value["image"]
        if any(_text(node) == image.text for node in image.sources):
            return image.at
        return next(
            (fact for fact in self.pods.overlay.tags if fact.value and fact.value in image.text), image.at
        ).having(image.text)

    @property
    def command(self) -> list[Fact[str]]:
        """Its command and arguments, without the ones of the image."""
        return [word.at for key in ("command", "args") for word in self.value[key].items()]

    @cached_property
    def environment(self) -> dict[str, Fact[str]]:
        """Its variables, those from ConfigMaps too. What comes from a Secret is not among them."""
        found: dict[str, Fact[str]] = {}
        for source in self.value["envFrom"].items():
            for key, value in self.pods.overlay.data("ConfigMap", source["configMapRef"]["name"].text).items():
                found[source["prefix"].text + key] = value
        for variable in self.value["env"].items():
            reference = variable["valueFrom"]["configMapKeyRef"]
            data = self.pods.overlay.data("ConfigMap", reference["name"].text)
            if variable["value"]:
                found[variable["name"].text] = variable["value"].at
            elif reference["key"].text in data:
                found[variable["name"].text] = data[reference["key"].text]
        return found

    @property
    def ports(self) -> list[Value]:
        """The ports that it says it listens on."""
        return self.value["ports"].items()

    def port(self, name: str) -> int | None:
        """The number of a port that it has under a name or a number; None: it has none such."""
        for port in self.ports:
            if name in (port["name"].text, port["containerPort"].text):
                return port["containerPort"].fact(quantities.whole).value
        return None

    def memory(self, what: str = "limits") -> Fact[int] | None:
        """The memory that it may have, or that it asks for (`requests`), in bytes."""
        value = self.value["resources"][what]["memory"]
        return value.fact(memory_bytes) if value else None

    @property
    def secrets(self) -> dict[str, Fact[str]]:
        """The path of each file that it gets from a Secret -> the key."""
        found: dict[str, Fact[str]] = {}
        for mount in self.value["volumeMounts"].items():
            folder, part = mount["mountPath"].text.rstrip("/"), mount["subPath"].text
            for file, reference in self.pods.files(mount["name"].text):
                if reference.kind == "Secret" and part in ("", file):
                    found[folder if part else f"{folder}/{file}"] = mount["name"].at.having(reference.key or file)
        return found


@dataclass(eq=False)
class Pods:
    """What makes pods: a Deployment, a StatefulSet, a Job, or one pod by itself."""

    object: Object
    overlay: Overlay = field(repr=False)

    @cached_property
    def template(self) -> Value:
        """The pod, as it is written there."""
        value = self.object.value
        for key in _TEMPLATES[self.object.kind]:
            value = value[key]
        return value

    @property
    def spec(self) -> Value:
        """What the pod is."""
        return self.template["spec"]

    @property
    def name(self) -> Fact[str]:
        """The name of what makes it."""
        return self.object.name

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the pod."""
        return _labels(self.template["metadata"])

    @property
    def runs_once(self) -> bool:
        """Whether it is done when it has ended."""
        return self.object.kind in ("Job", "CronJob")

    @cached_property
    def containers(self) -> list[Container]:
        """What runs all the time."""
        return [Container(value, self) for value in self.spec["containers"].items()]

    @cached_property
    def all(self) -> list[Container]:
        """Its containers, those that only prepare something too."""
        return [*self.containers, *(Container(value, self) for value in self.spec["initContainers"].items())]

    @property
    def main(self) -> Container:
        """The container that it is about: of several the one that runs the service's code, else the first."""
        own = (each for each in self.containers if image_name(each.image.value) in self.overlay.codes)
        found = next(own, next(iter(self.containers), None))
        if found is None:
            raise unreadable(self.name.path, self.name.line, f"{self.object} has no container")
        return found

    @cached_property
    def scalers(self) -> list[Object]:
        """What changes how many there are."""
        return [
            scaler
            for scaler in self.overlay.of(*SCALERS)
            if scaler.namespace == self.object.namespace
            and scaler["spec"]["scaleTargetRef"]["name"].text == self.name.value
            and (scaler["spec"]["scaleTargetRef"]["kind"].text or "Deployment") == self.object.kind
        ]

    @property
    def fewest(self) -> Fact[int]:
        """How many there are at least."""
        for scaler in self.scalers:
            hpa = scaler.kind == "HorizontalPodAutoscaler"
            return scaler["spec"]["minReplicas"].number(1) if hpa else scaler["spec"]["minReplicaCount"].number(0)
        return self.object["spec"]["replicas"].number(1)

    @property
    def most(self) -> Fact[int]:
        """How many there are at most, outside of a release."""
        for scaler in self.scalers:
            hpa = scaler.kind == "HorizontalPodAutoscaler"
            return scaler["spec"]["maxReplicas"].number(1) if hpa else scaler["spec"]["maxReplicaCount"].number(100)
        return self.object["spec"]["replicas"].number(1)

    @property
    def grace_seconds(self) -> Fact[int]:
        """How long a stop may take: the hook before it, and the stop itself."""
        return self.spec["terminationGracePeriodSeconds"].number(30)

    @cached_property
    def service(self) -> Service | None:
        """What runs the service's code here; None: it runs something else."""
        container = self.main
        code = self.overlay.codes.get(image_name(container.image.value))
        if code is None:
            return None
        runs = workload.Workload(
            name=self.name,
            image=container.image,
            command=container.command,
            environment=container.environment,
            secrets=container.secrets,
            runs_once=self.runs_once,
            replicas=self.most,
        )
        return Service(runs, code)

    def files(self, volume: str) -> Iterator[tuple[str, Reference]]:
        """Yield the files of a volume that are from ConfigMaps and Secrets, and what each is."""
        found = next((each for each in self.spec["volumes"].items() if each["name"].text == volume), None)
        for reference, path in _projected(found) if found else []:
            keys = [reference.key] if reference.key else self.overlay.keys(reference.kind, reference.name) or []
            for key in keys:
                yield path or key, reference._replace(key=key)

    @property
    def references(self) -> Iterator[Reference]:
        """Everything that it takes from ConfigMaps and Secrets."""
        for container in self.all:
            for source in container["envFrom"].items():
                for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
                    if source[key]:
                        yield _reference(kind, source[key], "name")
            for variable in container["env"].items():
                for kind, key in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
                    if source := variable["valueFrom"][key]:
                        yield _reference(kind, source, "name", source["key"])
        for volume in self.spec["volumes"].items():
            yield from (reference for reference, _ in _projected(volume))


def _reference(kind: str, source: Value, name: str, key: Value | None = None) -> Reference:
    at = key.at if key else source[name].at
    optional = source["optional"].text == "true"
    return Reference(kind, source[name].text, key.text if key else None, at, source[name].at, optional)


def _projected(volume: Value) -> Iterator[tuple[Reference, str]]:
    """Yield what a volume takes, and the path that each key has in it; empty: the key itself."""
    sources = [(kind, volume[key], name) for kind, key, name in _VOLUMES]
    sources += [
        (kind, source[key], "name") for source in volume["projected"]["sources"].items() for kind, key in _PARTS
    ]
    for kind, source, name in sources:
        if source and source["items"]:
            for item in source["items"].items():
                yield _reference(kind, source, name, item["key"]), item["path"].text
        elif source:
            yield _reference(kind, source, name), ""


_VOLUMES = (("ConfigMap", "configMap", "name"), ("Secret", "secret", "secretName"))
_PARTS = (("ConfigMap", "configMap"), ("Secret", "secret"))


@dataclass
class Overlay:
    """A folder as it would be applied, and what of the repository it is compared with."""

    at: Fact[str]
    """Its file; the value is its name, such as `kubernetes/production`."""
    objects: list[Object]
    files: frozenset[str] = frozenset()
    """Everything that goes into it."""
    codes: dict[str, Code] = field(default_factory=dict)
    """The code of the service, by the last part of the name of each image that is made of it."""
    others: list[workload.Workload] = field(default_factory=list)
    """What runs on other targets."""
    peaks: dict[str, Fact[int]] = field(default_factory=dict)
    """The bytes that each of those needed at most, by its name."""
    variables: dict[str, dict[str, Fact[str]]] = field(default_factory=dict)
    """What kustomize makes ConfigMaps of, by their names without the suffix: the lines of its files."""
    tags: list[Fact[str]] = field(default_factory=list)
    """The tags that kustomize writes into the names of images."""

    def of(self, *kinds: str) -> list[Object]:
        """The objects of some kinds."""
        return [each for each in self.objects if each.kind in kinds]

    @cached_property
    def pods(self) -> list[Pods]:
        """What makes pods."""
        return [Pods(each, self) for each in self.objects if each.kind in _TEMPLATES]

    @property
    def lasting(self) -> list[Pods]:
        """What runs all the time."""
        return [pods for pods in self.pods if not pods.runs_once]

    @property
    def own(self) -> list[tuple[Pods, Service]]:
        """What runs the service's code."""
        return [(pods, pods.service) for pods in self.pods if pods.service]

    @property
    def api(self) -> list[tuple[Pods, Service]]:
        """What answers requests: the service's image without a command of its own."""
        return [(pods, service) for pods, service in self.own if not service.workload.command and not pods.runs_once]

    @property
    def scalers(self) -> list[Object]:
        """What changes how many pods there are."""
        return self.of(*SCALERS)

    @property
    def lists(self) -> list[Value]:
        """The lists in Redis that scalers look at."""
        triggers = (trigger for scaler in self.scalers for trigger in scaler["spec"]["triggers"].items())
        return [trigger["metadata"] for trigger in triggers if trigger["type"].text == "redis"]

    @property
    def services(self) -> list[Object]:
        """What gives pods a name and an address in the cluster."""
        return self.of("Service")

    @property
    def routes(self) -> list[Object]:
        """What leads from the outside to a Service."""
        return self.of("HTTPRoute", "Ingress")

    @property
    def policies(self) -> list[Object]:
        """What says who may speak with whom."""
        return self.of("NetworkPolicy")

    @property
    def admissions(self) -> list[Object]:
        """The rules by which the API server refuses objects."""
        return self.of("ValidatingAdmissionPolicy")

    @property
    def once(self) -> list[Pods]:
        """What ends by itself."""
        return [pods for pods in self.pods if pods.runs_once]

    @property
    def several(self) -> list[Pods]:
        """What has two pods or more at any time."""
        return [pods for pods in self.lasting if pods.fewest.value > 1]

    @property
    def databases(self) -> list[Pods]:
        """What runs PostgreSQL all the time."""
        return [x for x in self.lasting if image_name(x.main.image.value).startswith(("postgres", "pgvector"))]

    def selected(self, selector: Value, namespace: str) -> list[Pods]:
        """The pods that a selector means: plain labels, or `matchLabels` and `matchExpressions`."""
        return [pods for pods in self.pods if pods.object.namespace == namespace and matches(selector, pods.labels)]

    def behind(self, service: Object) -> list[Pods]:
        """The pods that a Service leads to."""
        selector = service["spec"]["selector"]
        return self.selected(selector, service.namespace) if selector else []

    def named(self, host: str, namespace: str) -> Object | None:
        """The Service that a pod of a namespace reaches under a host; None: it is none of these."""
        name, _, rest = host.partition(".")
        other = rest.partition(".")[0] or namespace
        return next((s for s in self.of("Service") if s.name.value == name and s.namespace == other), None)

    def data(self, kind: str, name: str) -> dict[str, Fact[str]]:
        """What an object of a name holds, each value where it is written."""
        found: dict[str, Fact[str]] = {}
        for each in self.of(kind):
            if each.name.value == name:
                lines = self.variables.get(_plain(name), {})
                for key, value in each["data"].pairs().items():
                    line = lines.get(key)
                    found[key] = line if line and line.value == value.text else value.at
        return found

    def keys(self, kind: str, name: str) -> set[str] | None:
        """The keys of a ConfigMap or Secret, whoever makes it; None: nobody does."""
        if (kind, name) in _EVERYWHERE:
            return set(_EVERYWHERE[kind, name])
        for each in self.of(kind):
            if each.name.value == name:
                return {key for part in ("data", "stringData", "binaryData") for key in each[part].pairs()}
        if kind != "Secret":
            return None
        for each in self.of("ExternalSecret"):
            spec = each["spec"]
            if (spec["target"]["name"].text or each.name.value) == name:
                template = spec["target"]["template"]["data"].pairs()
                return set(template) or {item["secretKey"].text for item in spec["data"].items()}
        for each in self.of("Certificate"):
            if each["spec"]["secretName"].text == name:
                return set(_OF_CERTIFICATES)
        return None


def matches(selector: Value, labels: Mapping[str, str]) -> bool:
    """Whether a selector means what has these labels. An empty one means everything.

    https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
    """
    pairs = selector.pairs()
    plain = selector["matchLabels"] if {"matchLabels", "matchExpressions"} & set(pairs) else selector
    if any(labels.get(key) != value.text for key, value in plain.pairs().items()):
        return False
    for rule in selector["matchExpressions"].items():
        label, values = labels.get(rule["key"].text), [value.text for value in rule["values"].items()]
        meant = {
            "In": label in values,
            "NotIn": label not in values,
            "Exists": label is not None,
            "DoesNotExist": label is None,
        }
        if not meant.get(rule["operator"].text, False):
            return False
    return True


def _plain(name: str) -> str:
    """The name of what a generator makes, without the hash of its content."""
    return _HASH.sub("", name)


def image_name(image: str) -> str:
    """The last part of an image's name: `pgvector` of `pgvector/pgvector:0.8.1`."""
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0]


def memory_bytes(text: str) -> int:
    """Read a size of Kubernetes: `512Mi`, `1Gi`. Raises ValueError, which quotes it, when it can't be read.

    https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#meaning-of-memory
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kMGT]i?|Ki)?", text)
    if not match or (match[2] or "") not in _MEMORY:
        raise ValueError(f"{text!r} is not a size like 512Mi")
    return int(float(match[1]) * _MEMORY[match[2] or ""])


@dataclass
class _Sources:
    """What the files of a folder, and of those that it builds upon, say."""

    patches: list[tuple[str, str, Node]] = field(default_factory=list)
    documents: list[tuple[str, str, Node]] = field(default_factory=list)
    """The kind and the name of an object, and what says it."""
    variables: dict[str, dict[str, Fact[str]]] = field(default_factory=dict)
    tags: list[Fact[str]] = field(default_factory=list)
    generated: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    """The kind and the name of what a generator makes, and where it is set."""
    visited: set[str] = field(default_factory=set)


def overlays(root: Path, files: Iterable[str]) -> list[str]:
    """The folders that may be applied: those with a kustomization that is neither a base nor a component.

    Raises HandbookError for a kustomization that can't be read.
    """
    found = [f for f in files if f.startswith(f"{FOLDER}/") and posixpath.basename(f) == kustomize.FILE]
    folders = (posixpath.dirname(path) for path in found if not kustomize.is_component(root, path))
    return sorted(folder for folder in folders if posixpath.basename(folder) != BASE)


def read(root: Path, folder: str, files: Sequence[str]) -> Overlay:
    """Read what kustomize makes of a folder. Raises HandbookError for what can't be rendered or read."""
    sources = _Sources()
    _visit(root, folder, sources)
    path = f"{folder}/{kustomize.FILE}"
    objects = [Object(_value(rendered, sources)) for rendered in kustomize.render(root, folder).objects]
    # Its scripts and whatever else a reader copies with it.
    beside = {file for file in files if file.startswith(f"{folder}/")}
    return Overlay(
        at=Fact(posixpath.relpath(folder, "snippets"), path, 1),
        objects=objects,
        files=frozenset(kustomize.closure(root, path) | beside),
        variables=sources.variables,
        tags=sources.tags,
    )


def charts(files: Iterable[str]) -> list[str]:
    """The folders with a chart of Helm."""
    found = (posixpath.dirname(f) for f in files if f.startswith(f"{CHARTS}/") and posixpath.basename(f) == helm.FILE)
    return sorted(found)


def chart(root: Path, folder: str, files: Sequence[str]) -> Overlay:
    """Read what Helm renders of a chart with its own values: an overlay whose values are known by their template only.

    Raises HandbookError for what can't be rendered.
    """
    return Overlay(
        at=Fact(posixpath.relpath(folder, "snippets"), f"{folder}/{helm.FILE}", 1),
        objects=[Object(Value(found.value, (), (found.path, 1))) for found in helm.render(root, folder).objects],
        files=frozenset(file for file in files if file.startswith(f"{folder}/")),
    )


def _visit(root: Path, folder: str, sources: _Sources) -> None:
    if folder in sources.visited:
        return
    sources.visited.add(folder)
    kustomization = yamls.read(root, f"{folder}/{kustomize.FILE}")
    for image in kustomization["images"].items():
        for key in ("digest", "newTag", "newName"):
            if tag := image[key].optional():
                sources.tags.append(tag)
    for patch in reversed(kustomization["patches"].items()):
        _patch(root, folder, patch, sources)
    for kind, key in (("ConfigMap", "configMapGenerator"), ("Secret", "secretGenerator")):
        for generator in kustomization[key].items():
            name = generator["name"].text()
            sources.generated.setdefault((kind, name.value), (name.path, name.line))
    # Of Secrets nothing but the names: their files are made on a machine, and are nobody else's business.
    for generator in kustomization["configMapGenerator"].items():
        _generator(root, folder, generator, sources)
    for key in ("components", "resources"):
        for item in kustomization[key].items():
            other = _join(folder, item.text().value)
            if (root / other).is_dir():
                _visit(root, other, sources)
            elif (root / other).is_file():
                sources.documents += _identified(_documents(root, other))


def _patch(root: Path, folder: str, patch: Node, sources: _Sources) -> None:
    target = [option.value if (option := patch["target"][key].optional()) else "" for key in ("kind", "name")]
    if named := patch["path"].optional():
        path = _join(folder, named.value)
        documents = _documents(root, path)
    else:
        # The text begins in the line below its key; empty lines before it keep the numbers right.
        inline = patch["patch"].node
        text = inline.value if isinstance(inline, yaml.ScalarNode) else ""
        documents = _composed("\n" * patch["patch"].line + text, patch.path)
    for document in documents:
        if document.is_list:
            changes = [(target[0], target[1], change) for change in map(_changed, document.items()) if change]
            sources.patches += reversed(changes)
        else:
            found = _identified([document])
            sources.patches += [(target[0] or kind, target[1] or name, node) for kind, name, node in found]


def _changed(operation: Node) -> Node | None:
    """What an operation of a JSON patch writes, as if it were a part of the object. Positions in lists are not read."""
    path, value = operation["path"].optional(), operation["value"]
    if path is None or not value or value.node is None:
        return None
    node, at = value.node, value.node.start_mark
    for part in reversed(path.value.strip("/").split("/")):
        if part.isdigit() or part == "-":
            return None
        key = yaml.ScalarNode("tag:yaml.org,2002:str", part.replace("~1", "/").replace("~0", "~"), at, at)
        node = yaml.MappingNode("tag:yaml.org,2002:map", [(key, node)], at, node.end_mark)
    return Node(node, operation.path, value.line)


def _generator(root: Path, folder: str, generator: Node, sources: _Sources) -> None:
    found = sources.variables.setdefault(generator["name"].text().value, {})
    for item in generator["envs"].items():
        path = _join(folder, item.text().value)
        if (root / path).is_file():
            found |= {key: value for key, value in env.read(root, path).items() if key not in found}
    for item in generator["literals"].items():
        key, _, value = item.text().value.partition("=")
        found.setdefault(key, item.text().having(value))
    for item in generator["files"].items():
        key, equals, file = item.text().value.partition("=")
        path = _join(folder, file if equals else key)
        if (root / path).is_file():
            name = key if equals else posixpath.basename(key)
            found.setdefault(name, Fact(text_of(root, path), path, 1))


def _join(folder: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(folder, path))


def _documents(root: Path, path: str) -> list[Node]:
    """The documents of a file. Raises HandbookError, with the line, when it is not YAML."""
    return _composed(text_of(root, path), path)


def _composed(text: str, path: str) -> list[Node]:
    try:
        nodes = list(yaml.compose_all(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise unreadable(path, mark.line + 1 if mark else 0, f"not YAML: {error.problem}") from None
    return [Node(node, path, node.start_mark.line + 1) for node in nodes if node is not None]


def _identified(documents: Iterable[Node]) -> list[tuple[str, str, Node]]:
    found = []
    for document in documents:
        if document.is_mapping:
            kind, name = (_text(node) or "" for node in (document["kind"], document["metadata"]["name"]))
            found.append((kind, name, document))
    return found


def _value(rendered: kustomize.Object, sources: _Sources) -> Value:
    document, path = rendered.value, rendered.path
    kind, name = str(document.get("kind")), str(document["metadata"]["name"])

    def is_it(other: tuple[str, str, Node], by_pattern: bool) -> bool:
        named = other[1] == name or (by_pattern and re.fullmatch(other[1] or ".*", name) is not None)
        return named and other[0] in (kind, *([""] if by_pattern else []))

    patches = [patch[2] for patch in sources.patches if is_it(patch, by_pattern=True)]
    own = [other[2] for other in sources.documents if is_it(other, by_pattern=False)]
    own = [node for node in own if node.path == path] or own
    found = (*patches, *own[:1])
    at = (own[0].path, own[0].line) if own else sources.generated.get((kind, _plain(name)), (path, 1))
    return Value(document, tuple(found), at)
