"""An env file means the same to Compose and to `docker run --env-file`.

Compose strips quotes and comments and fills in variables; `docker run` takes every character of the line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from handbook import tools
from handbook.checks._docker import compose, engine, must, unique
from handbook.checks._tool import read_json
from handbook.findings import Finding

NEEDS = "docker"

_NAME = re.compile(r"\s*(?:export\s+)?(?P<name>[^\s=#]+)")
_HINT = "write NAME=value without quotes, spaces around it, $ or a comment behind it"


def version() -> str:
    return f"{compose()}, {engine()}"


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Let both programs read each file and compare what they make of it, value by value."""
    image = unique()
    with TemporaryDirectory(prefix="bootproof-check-") as scratch:
        context = Path(scratch)
        (context / "Dockerfile").write_text("FROM scratch\nLABEL bootproof=check\n", encoding="utf-8")
        try:
            must(tools.run(["docker", "build", "--quiet", "--tag", image, str(context)]), "the build of an empty image")
            return [finding for path in paths for finding in _judge(root, path, image)]
        finally:
            tools.run(["docker", "image", "rm", image])


def _judge(root: Path, path: str, image: str) -> Iterator[Finding]:
    text = (root / path).read_text(encoding="utf-8")
    lines = _lines(text)
    by_compose = _read_by_compose(root, path)
    by_docker = _read_by_docker(root, path, image)
    for name, refused in (("Compose", by_compose), ("`docker run`", by_docker)):
        if isinstance(refused, str):
            # Compose counts the end of the file as a line.
            line = min(_named(lines, refused), len(text.splitlines()))
            yield Finding(path, line, "refused", f"{name} can't read it: {refused}", _HINT)
    if isinstance(by_compose, str) or isinstance(by_docker, str):
        return
    for name, numbers in lines.items():
        line = numbers[-1]
        if len(numbers) > 1:
            yield Finding(path, line, "twice", f"{name} stands here and in line {numbers[0]}", "keep one of them")
        if name not in by_compose and name not in by_docker:
            yield Finding(path, line, "no-value", f"{name} has no value here", "write NAME= for an empty one")
        elif by_compose.get(name) != by_docker.get(name):
            what = f"{name} is {by_compose.get(name)!r} to Compose and {by_docker.get(name)!r} to `docker run`"
            yield Finding(path, line, "read-differently", what, _HINT)
    if unknown := sorted(by_compose.keys() - lines.keys()):
        yield Finding(path, 0, "read-differently", f"{', '.join(unknown)} can't be found in it", _HINT)


def _lines(text: str) -> dict[str, list[int]]:
    """Map every name to the lines that it stands on."""
    found: dict[str, list[int]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#") and (match := _NAME.match(line)):
            found.setdefault(match["name"], []).append(number)
    return found


def _named(lines: dict[str, list[int]], message: str) -> int:
    if match := re.search(r"\bline (\d+)", message):
        return int(match[1])
    return next((numbers[0] for name, numbers in lines.items() if re.search(rf"\b{re.escape(name)}\b", message)), 0)


def _read_by_compose(root: Path, path: str) -> dict[str, str] | str:
    """Return the variables that Compose reads, or why it refuses."""
    project = json.dumps({"name": "check", "services": {"check": {"image": "check", "env_file": [str(root / path)]}}})
    result = tools.run(["docker", "compose", "--file", "-", "config", "--format", "json"], cwd=root, input=project)
    if result.returncode or result.stderr:
        return result.stderr.strip()
    environment = read_json(result)["services"]["check"].get("environment") or {}
    # `config` prints a file for Compose, in which a $ has to be doubled.
    return {name: value.replace("$$", "$") for name, value in environment.items() if value is not None}


def _read_by_docker(root: Path, path: str, image: str) -> dict[str, str] | str:
    """Return the variables that `docker run --env-file` reads, or why it refuses. Nothing is started."""
    name = unique()
    try:
        command = ["docker", "create", "--name", name, "--env-file", str(root / path), image, "nothing"]
        result = tools.run(command)
        if result.returncode:
            return result.stderr.strip().splitlines()[0].replace(str(root / path), path)
        inspected = tools.run(["docker", "inspect", "--format", "{{json .Config.Env}}", name])
        must(inspected, "docker inspect")
        return dict(pair.split("=", 1) for pair in read_json(inspected) or [])
    finally:
        tools.run(["docker", "rm", "--force", name])
