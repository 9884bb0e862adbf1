"""Objects of the cluster as the overlays render them, copies of them with one edit, and how they are given to it."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Callable, Iterable
from typing import Any

import yaml

from handbook import kustomize, schemas
from handbook.catalog import ROOT
from handbook.cluster import Cluster

FOLDER = "snippets/kubernetes"
Object = dict[str, Any]
Edit = Callable[[Any], object]


def rendered(overlay: str) -> list[Object]:
    """The objects of a folder below `snippets/kubernetes`. Raises what `kustomize.render` raises."""
    return [copy.deepcopy(each.value) for each in kustomize.render(ROOT, f"{FOLDER}/{overlay}").objects]


def files_of(*overlays: str) -> set[str]:
    """The files that folders below `snippets/kubernetes` are built from. Raises what `kustomize.closure` raises."""
    folders = (f"{FOLDER}/{overlay}/{kustomize.FILE}" for overlay in overlays)
    return {file for folder in folders for file in kustomize.closure(ROOT, folder)}


def find(objects: Iterable[Object], kind: str, name: str) -> Object:
    """The one of a kind and a name."""
    return next(each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name)


def edited(value: Object, edit: Edit) -> Object:
    """A copy that `edit` was let at."""
    made = copy.deepcopy(value)
    edit(made)
    return made


def workload(kind: str, template: Object) -> Object:
    """A Pod, or what makes pods from a template, with the template's content and the name `probe`."""
    template = copy.deepcopy(template)
    labels = template["metadata"]["labels"]
    selected = {"selector": {"matchLabels": labels}, "template": template}
    if kind == "Pod":
        return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "probe", "labels": labels}, **_spec(template)}
    if kind == "Job":
        template["spec"]["restartPolicy"] = "Never"
        return _named("batch/v1", kind, {"template": template})
    return _named("apps/v1", kind, {**selected, "serviceName": "probe"} if kind == "StatefulSet" else selected)


def pod(value: Object) -> Object:
    """The part of an object of `workload` that says what its pods are."""
    found: Object = value["spec"] if value["kind"] == "Pod" else value["spec"]["template"]["spec"]
    return found


def definitions(used: Iterable[Object]) -> list[Object]:
    """The CustomResourceDefinitions of the kinds of `used` that projects add, without what only people read.

    Raises what `schemas.definitions` raises.
    """
    kinds = {(each["apiVersion"].rpartition("/")[0], each["kind"]) for each in used}
    found = (each for each in schemas.definitions() if (each["spec"]["group"], each["spec"]["names"]["kind"]) in kinds)
    return [_terse(each) for each in found]


def give(cluster: Cluster, command: str, objects: Iterable[Object], *options: str) -> subprocess.CompletedProcess[str]:
    """Run a command of kubectl with objects on its standard input, and return how it ended."""
    text = yaml.dump_all(objects, Dumper=yaml.CSafeDumper, sort_keys=False)
    return cluster.ask(command, *options, "--filename=-", input=text)


def _spec(template: Object) -> Object:
    return {"spec": template["spec"]}


def _named(version: str, kind: str, spec: Object) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "probe"}, "spec": spec}


def _terse(value: Any) -> Any:
    """What is left of a schema without its descriptions: a field of that name is a mapping, and stays."""
    if isinstance(value, dict):
        return {
            key: _terse(inner) for key, inner in value.items() if key != "description" or not isinstance(inner, str)
        }
    return [_terse(inner) for inner in value] if isinstance(value, list) else value
