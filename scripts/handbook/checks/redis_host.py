"""Debian's Redis starts with the file of a host and what it includes, and has nothing to remark about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from handbook.catalog import Catalog
from handbook.checks._docker import engine, must
from handbook.checks._host import ask, machine
from handbook.checks._redis import judge
from handbook.findings import Finding
from handbook.host import DOCKERFILE

NEEDS = "docker"

SHARED = "snippets/redis/"

# The package waits in the host. A folder that a file names has to be there when Redis reads the name.
_SET_UP = """
set -e
apt-get install --quiet --yes --no-install-recommends redis-server
ln --symbolic /snippets/redis /etc/redis-shared
for file in /snippets/redis/*.conf "$@"; do
  [ ! -e "$file" ] || sed --quiet 's/^dir //p' "$file"
done | xargs --no-run-if-empty mkdir --parents
redis-server --version
"""


def version() -> str:
    return f"Debian's redis-server, {engine()}"


def inputs(catalog: Catalog, path: str) -> Iterator[str]:
    yield DOCKERFILE
    yield from (file for file in catalog.files if file.startswith(SHARED))


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Start Redis with each file, ask it, and stop it. The shared files stand in `/etc/redis-shared`."""
    with machine(root) as name:
        must(ask(name, _SET_UP, *(f"/{path}" for path in paths)), "the installation of Redis")
        return [finding for path in paths for finding in judge(root, path, name)]
