"""Kustomize builds each folder without a remark, every patch changes something, and what comes out fits Kubernetes."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from handbook import kustomize
from handbook.catalog import Catalog
from handbook.checks import _kubeconform
from handbook.checks._lines import line_of
from handbook.findings import Finding, HandbookError
from handbook.schemas import Loader

NEEDS = "nothing"

_DEPRECATED = re.compile(r"'(\w+)' is deprecated")
# It sets up a cluster of kind, and is nothing for a cluster.
_OTHERS = ("kind.yaml", kustomize.FILE)


def version() -> str:
    return f"{kustomize.version()}, {_kubeconform.version()}"


def inputs(catalog: Catalog, path: str) -> set[str]:
    """What the build reads, what lies beside it, and the pins of both programs."""
    pins = {*_kubeconform.pins(), *kustomize.pins()}
    try:
        # Of a secret that lies here git knows nothing, and the build reads another in its place.
        return {*kustomize.closure(catalog.root, path).intersection(catalog.files), *_beside(catalog, path), *pins}
    except HandbookError:
        # What is wrong with it is for the check to say.
        return pins


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Build the folders of `paths`. A component is judged through those that use it."""
    catalog = Catalog(root)
    all_files = [file for file in catalog.files if Path(file).name == kustomize.FILE]
    reads: dict[str, set[str]] = {}
    found: list[Finding] = []
    for path in all_files:
        try:
            reads[path] = kustomize.closure(root, path)
        except HandbookError as error:
            if path in paths:
                found.append(_unbuilt(path, error))
    named = {file for path in reads for file in kustomize.named(root, path)}
    mains = [path for path in reads if not kustomize.is_component(root, path)]
    rendered: dict[str, kustomize.Rendered] = {}
    for path in paths:
        if path not in reads:
            continue
        found += _strays(catalog, path, named)
        users = [main for main in mains if path in reads[main]]
        if path in mains:
            try:
                rendered[path] = kustomize.render(root, Path(path).parent.as_posix())
            except HandbookError as error:
                if _says_more(error):
                    raise
                found.append(_unbuilt(path, error))
                continue
            found += [_remark(root, path, reads[path], warning) for warning in rendered[path].warnings]
        elif not users:
            found.append(Finding(path, 0, "unused", "no kustomization uses this component", "name it, or remove it"))
        found += _idle_patches(root, path, users)
    return sorted({*found, *_unfit(rendered)})


def _says_more(error: HandbookError) -> bool:
    """Whether it is about a program that did not do its work, and not about the files."""
    return "the end of its output" in str(error)


def _unbuilt(path: str, error: HandbookError) -> Finding:
    return Finding(path, 0, "build", str(error).removeprefix(f"{path}: "), "run `kustomize build` on the folder")


def _remark(root: Path, path: str, reads: Collection[str], warning: str) -> Finding:
    """Return what kustomize remarks, at the key that it is about in whichever of the files has it."""
    message = warning.removeprefix("# Warning: ")
    key = _DEPRECATED.search(message)
    for file in [path, *sorted(reads)] if key else []:
        if Path(file).name == kustomize.FILE and key and key[1] in kustomize.read(root, file):
            line = line_of((root / file).read_text(encoding="utf-8"), [key[1]])
            return Finding(file, line, "deprecated", message, "write what takes its place")
    return Finding(path, 0, "warning", message)


def _beside(catalog: Catalog, path: str) -> list[str]:
    """The manifests and patches in the folder of a kustomization, and below it where no other one is nearer."""
    folders = {Path(file).parent for file in catalog.files if Path(file).name == kustomize.FILE}
    own = Path(path).parent
    found = []
    for file in catalog.files:
        place = Path(file)
        if place.suffix != ".yaml" or place.name in _OTHERS:
            continue
        nearest = next((folder for folder in place.parents if folder in folders), None)
        if nearest == own:
            found.append(file)
    return found


def _strays(catalog: Catalog, path: str, named: Collection[str]) -> Iterator[Finding]:
    """Yield the manifests and patches beside a kustomization that no kustomization names."""
    for file in _beside(catalog, path):
        if file not in named and (file.endswith(".patch.yaml") or _is_manifest(catalog.root / file)):
            key = "patches" if file.endswith(".patch.yaml") else "resources"
            hint = f"name it under `{key}`, or remove it"
            yield Finding(path, 0, "unused", f"no kustomization names {file}", hint)


def _is_manifest(path: Path) -> bool:
    try:
        values = list(yaml.load_all(path.read_text(encoding="utf-8"), Loader=Loader))
    except yaml.YAMLError:
        return False
    return any(isinstance(value, dict) and {"apiVersion", "kind"} <= value.keys() for value in values)


def _idle_patches(root: Path, path: str, users: Sequence[str]) -> Iterator[Finding]:
    """Yield the patches of a kustomization that change nothing in any folder that is built with it.

    Kustomize says nothing of a patch whose target is not there.
    """
    patches = kustomize.read(root, path).get("patches")
    for number, patch in enumerate(patches if isinstance(patches, list) else []):
        if users and not any(_changes(root, Path(user).parent.as_posix(), path, number) for user in users):
            line = line_of((root / path).read_text(encoding="utf-8"), ["patches", str(number)])
            hint = "see whether its target is there under that kind and name, or remove it"
            yield Finding(path, line, "patch", f"{_called(patch)} changes nothing", hint)


def _changes(root: Path, folder: str, path: str, number: int) -> bool:
    try:
        whole = kustomize.render(root, folder).text
    except HandbookError:
        # It is told of that folder.
        return True
    return kustomize.without(root, folder, path, number) != whole


def _called(patch: Any) -> str:
    entry = patch if isinstance(patch, Mapping) else {}
    target = entry.get("target") or {}
    aim = f" of {target.get('kind', 'any kind')}/{target.get('name', 'any name')}" if target else ""
    return f"the patch {entry.get('path') or 'that stands here'}{aim}"


def _unfit(rendered: Mapping[str, kustomize.Rendered]) -> Iterator[Finding]:
    """Yield what Kubernetes would refuse of what was rendered, named by the kustomization."""
    with tempfile.TemporaryDirectory() as scratch:
        for path, found in rendered.items():
            (Path(scratch) / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(scratch) / path).write_text(found.text, encoding="utf-8")
        for problem, minors in _kubeconform.judge(Path(scratch), list(rendered)).items():
            called = f"{problem.kind}/{problem.name}"
            origin = next((one.path for one in rendered[problem.file].objects if one.name == called), problem.file)
            source = "" if origin == problem.file else f" (it comes from {origin})"
            message = _kubeconform.told(f"as rendered, {called}{source}: {problem.message}", minors)
            yield Finding(problem.file, 0, problem.rule, message, _kubeconform.HINTS.get(problem.rule, ""))
