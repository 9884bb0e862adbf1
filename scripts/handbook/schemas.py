"""Makes the JSON schemas that kubeconform judges Kubernetes files by, once, in `.cache/schemas/`.

Those of Kubernetes itself come from the package kubernetes-validate; those of the kinds that an installation adds come
from the definitions in the modules that `tools/schemas/go.mod` pins. No code of these modules is built or run.
"""

from __future__ import annotations

import fcntl
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from importlib import metadata, util
from pathlib import Path
from typing import Any

import yaml

from handbook import catalog, go
from handbook.findings import HandbookError
from handbook.proof import digest
from handbook.tools import MissingTool, run

MINORS = ("1.35", "1.36", "1.37")
"""The minor versions of Kubernetes that manifests have to fit."""

DEFINITIONS = {
    "sigs.k8s.io/gateway-api": "config/crd/standard",
    "github.com/cert-manager/cert-manager": "deploy/crds",
    "github.com/prometheus-operator/prometheus-operator": "example/prometheus-operator-crd-full",
    "github.com/kedacore/keda/v2": "config/crd/bases",
    "github.com/external-secrets/external-secrets": "config/crds/bases",
}
"""For each module of `tools/schemas/go.mod`: the folder in it that holds its CustomResourceDefinitions."""

_PACKAGE = "kubernetes-validate"
_PINS = "tools/schemas/go.mod"
_LOG_LINES = 15
# A Kubernetes API server knows these itself, so no definition describes them.
_OBJECT = {
    "apiVersion": {"type": "string"},
    "kind": {"type": "string"},
    "metadata": {"type": "object"},
}
_INT_OR_STRING = {"anyOf": [{"type": "integer"}, {"type": "string"}]}
# What JSON Schema does not know, or what only people read.
_DROPPED = {"description", "example", "externalDocs", "nullable", "default", "$schema", "$id"}


class Loader(yaml.CSafeLoader):
    """Reads a bare `=` as the text that it is: an operator of Prometheus's matchers."""


Loader.add_constructor("tag:yaml.org,2002:value", yaml.CSafeLoader.construct_yaml_str)


def pinned() -> dict[str, str]:
    """The versions that the schemas are made from, by name. Raises MissingTool when the package is not there."""
    return {"kubernetes": _package(), **go.pinned("schemas")}


def location(minor: str) -> list[str]:
    """The options of kubeconform that name the schemas for one of MINORS; they are made when they are not there.

    Raises HandbookError when they can't be made, and MissingTool with the command that installs what is missing.
    """
    folder = made()
    names = "{{ .ResourceKind }}{{ .KindSuffix }}.json"
    places = [
        folder / minor / names,
        folder / "added" / "{{ .ResourceKind }}-{{ .Group }}-{{ .ResourceAPIVersion }}.json",
    ]
    options = [word for place in places for word in ("-schema-location", str(place))]
    # It asks for a whole version, and takes it for a part of the names.
    return [*options, "-kubernetes-version", f"{minor}.0"]


def made(root: Path = catalog.ROOT) -> Path:
    """Return the folder of the schemas: one folder for each of MINORS, and `added/` for the kinds that are added.

    Its name stands for all that it is made from. Raises what `location` raises.
    """
    content = [(root / path).read_bytes() for path in go.pins("schemas")]
    store = root / ".cache" / "schemas"
    folder = store / digest(_package(), Path(__file__).read_bytes(), *content)[:12]
    store.mkdir(parents=True, exist_ok=True)
    with (store / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            print("making the schemas of Kubernetes ...", file=sys.stderr, flush=True)
            begin = time.monotonic()
            with tempfile.TemporaryDirectory(dir=store) as scratch:
                made = Path(scratch, "made")
                for minor in MINORS:
                    _core(minor, made / minor)
                _added(root, made / "added")
                made.rename(folder)
            print(f"made the schemas in {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    return folder


def definitions(root: Path = catalog.ROOT) -> Iterator[dict[str, Any]]:
    """Yield the CustomResourceDefinitions of the modules that are pinned. Raises what `location` raises."""
    for module, version in go.pinned("schemas", root).items():
        yield from _definitions(_folder(root, module, version))


def _package() -> str:
    try:
        return metadata.version(_PACKAGE)
    except metadata.PackageNotFoundError:
        raise MissingTool(f"{_PACKAGE} is not installed; run `make venv`") from None


def _core(minor: str, target: Path) -> None:
    """Write a schema for each kind that Kubernetes itself knows, with all that it refers to."""
    spec = util.find_spec(_PACKAGE.replace("-", "_"))
    place = Path((spec.origin if spec else None) or "").parent / "kubernetes-json-schema" / f"v{minor}.0-local-strict"
    if not (place / "_definitions.json").is_file():
        raise HandbookError(f"{_PACKAGE} {_package()} has no schemas of Kubernetes {minor}; lock one that has them")
    definitions = json.loads((place / "_definitions.json").read_text(encoding="utf-8"))["$defs"]
    target.mkdir(parents=True)
    for path in place.glob("*.json"):
        if path.name.startswith("_"):
            continue
        schema = json.loads(path.read_text(encoding="utf-8"))
        # All others are parts of these, or refer to them; nobody writes one alone.
        if all("enum" in schema.get("properties", {}).get(key, {}) for key in ("apiVersion", "kind")):
            (target / path.name).write_text(json.dumps(_whole(schema, definitions)), encoding="utf-8")


def _whole(schema: dict[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema that carries the definitions that it refers to, and those that these refer to."""
    needed: dict[str, Any] = {}
    result = _local(schema, todo := list[str]())
    while todo:
        name = todo.pop()
        if name not in needed:
            needed[name] = _local(definitions[name], todo)
    return {**result, "$defs": needed}


def _local(value: Any, names: list[str]) -> Any:
    """Return a part of a schema whose references point into its own file; add what they name to `names`."""
    if isinstance(value, list):
        return [_local(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for key, item in value.items():
        if key == "$ref":
            names.append(item.rpartition("/")[2])
            found[key] = f"#/$defs/{names[-1]}"
        elif key == "properties":
            found[key] = {name: _local(inner, names) for name, inner in item.items()}
        elif key not in _DROPPED:
            found[key] = _local(item, names)
    return found


def _added(root: Path, target: Path) -> None:
    """Write a schema for each kind and version that the definitions of the pinned modules add."""
    target.mkdir(parents=True)
    for module, version in go.pinned("schemas", root).items():
        found = dict(_schemas(_folder(root, module, version)))
        if not found:
            where = DEFINITIONS[module]
            raise HandbookError(f"{_PINS}: {module} {version} has no definitions in {where}; look where they are now")
        for name, schema in found.items():
            (target / name).write_text(json.dumps(schema), encoding="utf-8")


def _folder(root: Path, module: str, version: str) -> Path:
    """Return the folder of a module's definitions."""
    folder = DEFINITIONS.get(module)
    if folder is None:
        raise HandbookError(f"{_PINS}: nobody knows where {module} has its definitions; add it to schemas.py")
    return _module(root, module, version) / folder


def _module(root: Path, module: str, version: str) -> Path:
    """Return the folder of a module that Go has fetched, after its sum was compared with that of `go.sum`."""
    with tempfile.TemporaryDirectory() as empty:
        # Away from any go.mod: beside one, Go wants to know all that the module needs when it is built.
        result = run(["go", "mod", "download", "-json", f"{module}@{version}"], cwd=Path(empty), env={"GOWORK": "off"})
    try:
        told = json.loads(result.stdout)
        folder, found = told["Dir"], told["Sum"]
    except (json.JSONDecodeError, KeyError):
        lines = (result.stdout + "\n" + result.stderr).strip().splitlines()[-_LOG_LINES:]
        said = "\n".join(lines) or "(nothing)"
        hint = "see whether Go reaches its module proxy (`go env GOPROXY`)"
        raise HandbookError(f"{_PINS}: {module} can't be fetched; {hint}; the end of its output:\n{said}") from None
    sums = (root / "tools" / "schemas" / "go.sum").read_text(encoding="utf-8").splitlines()
    if f"{module} {version} {found}" not in sums:
        known = next((line.split()[2] for line in sums if line.startswith(f"{module} {version} ")), "no sum at all")
        what = f"Go fetched {module} {version} with the sum {found}; go.sum has {known}"
        raise HandbookError(f"tools/schemas/go.sum: {what}; write the new one there only if you meant another version")
    return Path(folder)


def _definitions(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.yaml")):
        for document in yaml.load_all(path.read_text(encoding="utf-8"), Loader=Loader):
            if isinstance(document, dict) and document.get("kind") == "CustomResourceDefinition":
                yield document


def _schemas(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield, for each version of each kind that is defined in `folder`, the name of its file and its schema."""
    for document in _definitions(folder):
        spec = document["spec"]
        kind, group = spec["names"]["kind"], spec["group"]
        for version in spec["versions"]:
            if not version["served"]:
                continue
            schema = _strict(version["schema"]["openAPIV3Schema"])
            fixed = {"apiVersion": {"enum": [f"{group}/{version['name']}"]}, "kind": {"enum": [kind]}}
            schema["properties"] = {**_OBJECT, **schema.get("properties", {}), **fixed}
            schema["required"] = sorted({*schema.get("required", []), "apiVersion", "kind", "metadata"})
            yield f"{kind.lower()}-{group}-{version['name']}.json".lower(), schema


def _strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a CustomResourceDefinition says as JSON Schema that takes no field which is not described.

    https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#field-pruning
    """
    if schema.get("x-kubernetes-int-or-string"):
        rest = {key: value for key, value in schema.items() if key in ("pattern", "enum", "maximum", "minimum")}
        return {**_INT_OR_STRING, **rest}
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("properties", "patternProperties"):
            found[key] = {name: _strict(inner) for name, inner in value.items()}
        elif key in ("items", "additionalProperties", "not") and isinstance(value, dict):
            found[key] = _strict(value) if key != "not" else _plain(value)
        elif key in ("allOf", "anyOf", "oneOf"):
            # They add conditions on fields that are described beside them, and describe none.
            found[key] = [_plain(inner) for inner in value]
        elif key not in _DROPPED and not key.startswith("x-kubernetes-"):
            found[key] = value
    keeps = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-embedded-resource")
    if "properties" in found and "additionalProperties" not in found and not keeps:
        found["additionalProperties"] = False
    if schema.get("nullable") and isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
        if "enum" in found:
            found["enum"] = [*found["enum"], None]
    return found


def _plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a condition as it is, without what JSON Schema does not know."""
    return {key: value for key, value in schema.items() if key not in _DROPPED and not key.startswith("x-kubernetes-")}
