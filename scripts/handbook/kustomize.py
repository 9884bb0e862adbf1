"""Runs `kustomize build`, and says of each object that it makes which file of the repository it comes from.

It builds a copy of the files that git knows. What a generator reads from a folder `secrets/` is made on a machine and
never committed: in the copy an empty file stands for it.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import yaml

from handbook import go
from handbook.catalog import Catalog
from handbook.findings import HandbookError
from handbook.schemas import Loader
from handbook.tools import run

FILE = "kustomization.yaml"

_ORIGIN = "config.kubernetes.io/origin"
_WRAPPER = "origins"
_SECONDS = 60
# What it adds itself shows that it was built, however little comes out of the folder.
_ORIGINS = """\
resources: [{}]
buildMetadata: [originAnnotations]
configMapGenerator: [{{name: probe, options: {{disableNameSuffixHash: true}}, namespace: probe-of-the-handbook}}]
"""
_PROBE = ("v1", "ConfigMap", "probe-of-the-handbook", "probe")
# Where a kustomization names a file or a folder: the key, and for a list of mappings the key in them.
_PATHS = {
    "resources": "",
    "components": "",
    "configurations": "",
    "crds": "",
    "generators": "",
    "transformers": "",
    "validators": "",
    "patches": "path",
    "replacements": "path",
    "patchesStrategicMerge": "",
    "patchesJson6902": "path",
    "bases": "",
}
_GENERATORS = ("configMapGenerator", "secretGenerator")


@dataclass(frozen=True)
class Object:
    """An object of Kubernetes as it is rendered. `path` is the file that it is written in, or, for one that a
    generator makes, the kustomization that has the generator; both as paths in the repository.
    """

    value: dict[str, Any]
    path: str

    @property
    def name(self) -> str:
        """What people call it: `Deployment/api`."""
        return f"{self.value.get('kind')}/{self.value.get('metadata', {}).get('name')}"


@dataclass(frozen=True)
class Rendered:
    """What `kustomize build` makes of a folder: the text as it prints it, what it remarks, and the objects in it."""

    text: str
    warnings: tuple[str, ...]
    objects: list[Object] = field(default_factory=list)


def version() -> str:
    """The name and the version of the program that is pinned."""
    return f"kustomize {go.version('kustomize')}"


def pins() -> list[str]:
    """The files that pin the program."""
    return go.pins("kustomize")


def read(root: Path, path: str) -> dict[str, Any]:
    """Return a kustomization. Raises HandbookError when it is no mapping of YAML."""
    try:
        value = yaml.load((root / path).read_text(encoding="utf-8"), Loader=Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise HandbookError(f"{path}: the kustomization can't be read: {error}") from None
    if not isinstance(value, dict):
        raise HandbookError(f"{path}: a kustomization is a mapping; write `kind: Kustomization` and what belongs to it")
    return value


def is_component(root: Path, path: str) -> bool:
    """Whether the kustomization at `path` is a component: it is built with those that use it, never alone."""
    return read(root, path).get("kind") == "Component"


def named(root: Path, path: str) -> set[str]:
    """Return the files and folders that the kustomization at `path` names, as paths in the repository.

    They need not be there. Raises HandbookError when it can't be read.
    """
    value = read(root, path)
    folder = Path(path).parent.as_posix()
    found = [entry for key, inner in _PATHS.items() for entry in _entries(value.get(key), inner)]
    for key in _GENERATORS:
        found += _sources(value.get(key))
    return {os.path.normpath(f"{folder}/{name}") for name in found if "\n" not in name and "://" not in name}


def _entries(value: object, inner: str) -> Iterator[str]:
    """Yield what a list names: its strings, or what stands in its mappings under `inner`."""
    for entry in value if isinstance(value, list) else []:
        name = entry.get(inner) if isinstance(entry, dict) else entry
        if isinstance(name, str):
            yield name


def _sources(generators: object) -> Iterator[str]:
    """Yield the files that generators read: `files` may have a key before them, `key=file`."""
    for generator in generators if isinstance(generators, list) else []:
        if isinstance(generator, dict):
            files = (str(entry) for entry in generator.get("files") or [])
            yield from (entry.partition("=")[2] or entry for entry in files)
            yield from (str(entry) for entry in generator.get("envs") or [])
            yield from [str(generator["env"])] if generator.get("env") else []


def closure(root: Path, path: str) -> set[str]:
    """Return the kustomization at `path` and all files that its build reads, as paths in the repository.

    What is not there is left out. Raises HandbookError when one can't be read.
    """
    found: set[str] = set()
    todo = [path]
    while todo:
        one = todo.pop()
        if one in found:
            continue
        found.add(one)
        if Path(one).name != FILE:
            continue
        for place in named(root, one):
            inside = f"{place}/{FILE}" if (root / place).is_dir() else place
            if (root / inside).is_file():
                todo.append(inside)
    return found


def render(root: Path, folder: str) -> Rendered:
    """Build the kustomization of `folder` (a path in the repository at `root`); once for as long as nothing changes.

    Raises HandbookError with kustomize's own words when it can't be built, and MissingTool without Go.
    """
    return _build(_current(root), folder)


def without(root: Path, folder: str, path: str, patch: int) -> str | None:
    """Return the text that `folder` renders to when the kustomization at `path` lacks one of its `patches`.

    `patch` is its place in the list, from 0. None: it can't be built without it.
    """
    copy = _current(root)
    with tempfile.TemporaryDirectory(prefix="kustomize-") as scratch:
        place = Path(scratch).resolve()
        for file in closure(copy, f"{folder}/{FILE}"):
            (place / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(copy / file, place / file)
        value = read(copy, path)
        del value["patches"][patch]
        (place / path).write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")
        try:
            return _run(place, folder).stdout
        except HandbookError:
            return None


_lock = threading.Lock()


def _current(root: Path) -> Path:
    """Return the copy of the files as they are."""
    files = tuple(file for file in Catalog(root).files if file.startswith("snippets/"))
    state = tuple(((root / file).stat().st_mtime_ns, (root / file).stat().st_size) for file in files)
    with _lock:
        return _copy(root, files, state)


@cache
def _copy(root: Path, files: tuple[str, ...], state: tuple[tuple[int, int], ...]) -> Path:
    """Copy `files` into a folder that lives as long as this process; `state` tells one content from the next."""
    copy = Path(tempfile.mkdtemp(prefix="kustomize-")).resolve()
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    for file in files:
        (copy / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / file, copy / file)
    for file in files:
        if Path(file).name == FILE:
            _stand_in(root, copy, file)
    return copy


def _stand_in(root: Path, copy: Path, path: str) -> None:
    """Put an empty file in the place of each secret that a generator of the kustomization at `path` reads."""
    try:
        value = read(root, path)
    except HandbookError:
        # It is told when it is built.
        return
    for key in _GENERATORS:
        for name in _sources(value.get(key)):
            place = Path(os.path.normpath(copy / Path(path).parent / name))
            if "secrets" in place.parent.parts and place.is_relative_to(copy) and not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                place.touch()


@cache
def _build(copy: Path, folder: str) -> Rendered:
    if not (copy / folder / FILE).is_file():
        raise HandbookError(f"{folder}: there is no {FILE} in it")
    plain = _run(copy, folder)
    wrapper = copy / _WRAPPER / folder
    wrapper.mkdir(parents=True, exist_ok=True)
    target = os.path.relpath(copy / folder, wrapper)
    (wrapper / FILE).write_text(_ORIGINS.format(target), encoding="utf-8")
    told = _run(copy, wrapper.relative_to(copy).as_posix())
    texts, marked = _objects(plain.stdout), _objects(told.stdout)
    origins = {_key(value): _origin(value, wrapper, copy) for value in marked}
    if origins.pop(_PROBE, None) is None:
        said = (told.stdout + told.stderr).strip() or "(nothing)"
        raise HandbookError(f"{folder}/{FILE}: kustomize did not build it; the end of its output:\n{said}")
    if not texts:
        raise HandbookError(f"{folder}/{FILE}: nothing comes out of it; name a file under `resources`")
    if {_key(value) for value in texts} != set(origins):
        raise HandbookError(f"{folder}/{FILE}: other objects come out of it when it is built through another one")
    warnings = tuple(line for line in plain.stderr.splitlines() if line.strip())
    return Rendered(plain.stdout, warnings, [Object(value, origins[_key(value)]) for value in texts])


def _run(copy: Path, folder: str) -> CompletedProcess[str]:
    result = run([str(_program(go.built)), "build", folder], cwd=copy, timeout=_SECONDS, env={"HOME": str(copy)})
    if result.returncode:
        said = re.sub(rf"{re.escape(str(copy))}/?", "", result.stderr.strip())
        raise HandbookError(f"{folder}/{FILE}: it can't be built: {said.removeprefix('Error: ')}")
    return result


@cache
def _program(build: Callable[..., Path]) -> Path:
    """Ask for the program once: to look whether it is the pinned one takes as long as a build."""
    return build("kustomize", ldflags=f"-X sigs.k8s.io/kustomize/api/provenance.version={go.version('kustomize')}")


def _objects(text: str) -> list[dict[str, Any]]:
    return [value for value in yaml.load_all(text, Loader=Loader) if isinstance(value, dict)]


def _key(value: Mapping[str, Any]) -> tuple[str, ...]:
    metadata = value.get("metadata") or {}
    named = (value.get("apiVersion"), value.get("kind"), metadata.get("namespace"), metadata.get("name"))
    return tuple(str(part or "") for part in named)


def _origin(value: Mapping[str, Any], wrapper: Path, copy: Path) -> str:
    """Return the file that an object comes from: where it is written, or where what makes it is set."""
    told = yaml.load(value["metadata"]["annotations"][_ORIGIN], Loader=Loader)
    path = os.path.normpath(wrapper / (told.get("path") or told["configuredIn"]))
    return Path(path).relative_to(copy).as_posix()
