"""What the checks need to know of the stacks: which service uses which image and mounts which file where."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from handbook.findings import HandbookError


@dataclass(frozen=True)
class Service:
    """A service of a stack. `mounts` maps paths in the container to paths relative to the repository."""

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


def services(root: Path) -> Iterator[Service]:
    """Yield the services of every `compose.yaml` below `snippets/`, the faults left out."""
    for path in sorted(root.glob("snippets/**/compose.yaml")):
        compose = path.relative_to(root).as_posix()
        if compose.startswith("snippets/faults/"):
            continue
        try:
            content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
        except yaml.YAMLError:
            # What is wrong with it is for the checks of Compose files to say.
            continue
        for name, service in (content or {}).get("services", {}).items():
            mounts = dict(_mounts(root, path.parent, service))
            yield Service(compose, name, service.get("image", ""), mounts)


def image_of(root: Path, *words: str) -> str:
    """Return the image of a stack whose repository contains one of `words`. Raises HandbookError when none has."""
    for service in services(root):
        if any(word in service.image.partition(":")[0] for word in words):
            return service.image
    raise HandbookError(f"no compose.yaml below snippets/ has a service with an image like {' or '.join(words)}")


def _mounts(root: Path, folder: Path, service: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for volume in service.get("volumes", []):
        if isinstance(volume, str):
            source, _, rest = volume.partition(":")
            target = rest.partition(":")[0]
        else:
            source, target = volume.get("source", ""), volume.get("target", "")
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
