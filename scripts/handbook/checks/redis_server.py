"""Redis itself starts with the file, and has nothing to remark that is about the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from handbook import images
from handbook.catalog import Catalog
from handbook.checks._compose import compose_of, image_of
from handbook.checks._docker import container, engine
from handbook.checks._redis import judge
from handbook.findings import Finding

NEEDS = "docker"


def version() -> str:
    return f"redis-server, {engine()}"


def inputs(catalog: Catalog, path: str) -> Iterator[str]:
    yield compose_of(catalog.root, "redis")


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Start the Redis that the stacks name with each file, ask it, and stop it."""
    reference = image_of(root, "redis")
    image = images.ensure([reference])[reference].local
    options = ["--network", "none", "--user", "999:999", "--workdir", "/tmp", "--entrypoint", "sleep"]
    options += ["--volume", f"{root / 'snippets'}:/snippets:ro"]
    with container(image, options=options, command=["600"]) as name:
        return [finding for path in paths for finding in judge(root, path, name)]
