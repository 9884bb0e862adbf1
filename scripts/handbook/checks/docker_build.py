"""A Dockerfile builds without a warning, and its image is fit to run: no root, a health check, no build tools."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from handbook import tools
from handbook.catalog import Catalog
from handbook.checks._docker import below, built, engine, must
from handbook.checks._tool import read_json
from handbook.findings import Finding, HandbookError

NEEDS = "docker"

_USER = re.compile(r"[1-9]\d*(:\d+)?")
_UNWANTED = ("pip", "pip3", "uv", "gcc", "cc", "g++", "make", "git")
_SCRIPT = (
    f"for tool in {' '.join(_UNWANTED)}; do command -v $tool; done; "
    "python -m pip --version >/dev/null 2>&1 && echo 'python -m pip'; echo looked"
)


def version() -> str:
    return engine()


def inputs(catalog: Catalog, path: str) -> Iterator[str]:
    return below(catalog, path)


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Build each Dockerfile in its folder and look at the image. Cached layers stay, the image goes."""
    return [finding for path in paths for finding in _judge(root, path)]


def _judge(root: Path, path: str) -> Iterator[Finding]:
    if not (root / path).with_name(".dockerignore").is_file():
        what = "no .dockerignore beside it: a build sends whatever lies in the folder"
        yield Finding(path, 0, "dockerignore", what, "add one")
    with built(root, path) as build:
        yield from build.findings
        if build.image:
            yield from _fitness(root, path, build.image)


def _fitness(root: Path, path: str, image: str) -> Iterator[Finding]:
    text = (root / path).read_text(encoding="utf-8")
    inspect = ["docker", "image", "inspect", "--format", "{{json .Config}}", image]
    inspected = tools.run(inspect)
    must(inspected, "docker image inspect")
    config = read_json(inspected)
    user = config.get("User") or ""
    if not _USER.fullmatch(user):
        what = f"the image runs as {user or 'root'}"
        yield Finding(path, _last(text, "USER"), "user", what, "end with a numeric user: USER 10001:10001")
    if config.get("Healthcheck", {}).get("Test", ["NONE"])[0] == "NONE":
        yield Finding(
            path, _last(text, "HEALTHCHECK"), "healthcheck", "the image has no health check", "add HEALTHCHECK"
        )
    command = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-c", _SCRIPT]
    *unwanted, looked = must(tools.run(command), "a look into the image").splitlines() or [""]
    if looked != "looked":
        raise HandbookError(f"{path}: the look into its image did not end")
    if unwanted:
        what = f"left in the image: {', '.join(unwanted)}"
        yield Finding(path, _last(text, "FROM"), "tools", what, "copy only what runs from a build stage")


def _last(text: str, instruction: str) -> int:
    """Return the last line with `instruction`, 0 when there is none."""
    found = [n for n, line in enumerate(text.splitlines(), 1) if re.match(rf"\s*{instruction}\b", line, re.IGNORECASE)]
    return found[-1] if found else 0
