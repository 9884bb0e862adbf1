"""What the checks need to know of the stacks: which service uses which image and mounts which file where."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from handbook.catalog import Catalog
from handbook.checks._lines import line_of
from handbook.findings import HandbookError


@dataclass(frozen=True)
class Service:
    """A service of a stack, or of a host. `mounts` maps paths in the container to paths relative to the repository."""

    compose: str
    name: str
    image: str
    mounts: dict[str, str] = field(default_factory=dict)

    def host_path(self, inside: str) -> str | None:
        """Return what stands behind a path in the container, or None when no mount covers it."""
        for target, source in self.mounts.items():
            if inside == target:
                return source
            if PurePosixPath(inside).is_relative_to(target):
                return f"{source}/{PurePosixPath(inside).relative_to(target)}"
        return None

    def mounts_file(self, path: str) -> bool:
        """Whether the file of the repository at `path` is mounted, itself or with a folder above it."""
        return any(PurePosixPath(path).is_relative_to(source) for source in self.mounts.values())


def services(root: Path) -> Iterator[Service]:
    """Yield the services of every `compose.yaml` below `snippets/`, the faults left out.

    Raises HandbookError, with the file, when one can't be read: without it nobody knows what runs with what.
    """
    for path in sorted(root.glob("snippets/**/compose.yaml")):
        compose = path.relative_to(root).as_posix()
        if compose.startswith("snippets/faults/"):
            continue
        for name, service in bodies(path.read_text(encoding="utf-8"), compose).items():
            mounts = dict(_mounts(root, path.parent, service.get("volumes")))
            yield Service(compose, name, str(service.get("image") or ""), mounts)


def bodies(text: str, path: str) -> dict[str, dict[str, Any]]:
    """Return the services of the Compose file `text`. Raises HandbookError, which names `path`, when it has none."""
    try:
        content = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise HandbookError(f"{path}:{line}: not YAML: {error.problem}") from None
    found = content.get("services") if isinstance(content, dict) else None
    if not isinstance(found, dict):
        line = line_of(text, ["services"])
        raise HandbookError(f"{path}:{line}: `services` does not map names to services; write `services: {{web: ...}}`")
    for name, service in found.items():
        if not isinstance(service, dict):
            line = line_of(text, ["services", str(name)])
            raise HandbookError(f"{path}:{line}: the service {name} has no body; give it an `image` or a `build`")
    return found


def hosts(root: Path) -> Iterator[Service]:
    """Yield each nginx of a host that no stack runs: one for each `nginx/nginx.conf` below `snippets/`.

    `mounts` says where its own file and the handbook's shared ones are installed, and `image` what the stacks run.
    """
    mounted = [service for service in services(root) if service.mounts]
    for path in sorted(root.glob("snippets/**/nginx/nginx.conf")):
        main = path.relative_to(root).as_posix()
        if not main.startswith("snippets/faults/") and not any(service.mounts_file(main) for service in mounted):
            places = {"/etc/nginx/nginx.conf": main, "/etc/nginx-shared": "snippets/nginx"}
            yield Service(main, "host", image_of(root, "nginx"), places)


def stack_of(catalog: Catalog, path: str) -> Iterator[str]:
    """Yield the files of every stack and host that has the file at `path`: its compose.yaml, and all that it mounts."""
    for service in (*services(catalog.root), *hosts(catalog.root)):
        if service.mounts_file(path):
            yield service.compose
            yield from (file for file in catalog.files if service.mounts_file(file))


def image_of(root: Path, *words: str) -> str:
    """Return the image of a stack whose repository contains one of `words`. Raises HandbookError when none has."""
    return _with_image(root, *words).image


def compose_of(root: Path, *words: str) -> str:
    """Return the compose.yaml that `image_of` takes the image from. Raises HandbookError when there is none."""
    return _with_image(root, *words).compose


def _with_image(root: Path, *words: str) -> Service:
    for service in services(root):
        if any(word in service.image.partition(":")[0] for word in words):
            return service
    raise HandbookError(f"no compose.yaml below snippets/ has a service with an image like {' or '.join(words)}")


def _mounts(root: Path, folder: Path, volumes: Any) -> Iterator[tuple[str, str]]:
    for volume in volumes if isinstance(volumes, list) else []:
        if isinstance(volume, dict):
            source, target = str(volume.get("source") or ""), str(volume.get("target") or "")
        else:
            source, _, rest = str(volume).partition(":")
            target = rest.partition(":")[0]
        host = Path(os.path.normpath(folder / source))
        if source.startswith(".") and host.is_relative_to(root):
            yield target, host.relative_to(root).as_posix()


class _Loader(yaml.SafeLoader):
    """Reads tags that are Compose's own (`!override`) as if they were not there."""


def _untagged(loader: yaml.SafeLoader, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else None


_Loader.add_multi_constructor("!", _untagged)
