"""What the checks that need Docker share. Whatever they make has a name of its own and is removed, also on Ctrl-C."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory
from typing import Any

import dockerfile

from handbook import images, tools
from handbook.catalog import Catalog
from handbook.checks._tool import failed
from handbook.findings import Finding, HandbookError

PREFIX = f"bootproof-check-{os.getpid()}-"


@functools.cache
def engine() -> str:
    """Return the name and version of the engine. Raises HandbookError when none answers."""
    result = tools.run(["docker", "version", "--format", "{{.Server.Version}}"], timeout=20)
    if result.returncode:
        raise HandbookError("no Docker engine answers; run `make docker`")
    return f"Docker {result.stdout.strip()}"


@functools.cache
def compose() -> str:
    """Return the name and version of Compose. Raises HandbookError when it is not there."""
    result = tools.run(["docker", "compose", "version", "--short"])
    if result.returncode:
        raise failed(result, "Compose is not installed; run `make docker`")
    return f"Docker Compose {result.stdout.strip()}"


def unique() -> str:
    """Return a name that nothing else has."""
    return f"{PREFIX}{uuid.uuid4().hex[:12]}"


def must(result: CompletedProcess[str], what: str) -> str:
    """Return what the command printed. Raises HandbookError when it failed: it is a step, not the verdict."""
    if result.returncode:
        raise failed(result, f"{what} failed")
    return result.stdout.strip()


def below(catalog: Catalog, path: str) -> Iterator[str]:
    """Yield the files of the folder that `path` stands in: what a build from there gets."""
    folder = Path(path).parent
    return (file for file in catalog.files if Path(file).is_relative_to(folder))


@contextlib.contextmanager
def container(image: str, *, options: Sequence[str] = (), command: Sequence[str] = ()) -> Iterator[str]:
    """Start a container in the background, yield its name and remove it with its volumes."""
    name = unique()
    try:
        must(tools.run(["docker", "run", "--detach", "--name", name, *options, image, *command]), "docker run")
        yield name
    finally:
        tools.run(["docker", "rm", "--force", "--volumes", name])


@dataclass(frozen=True)
class Build:
    """What came out of a build: the image's name ("" when it failed) and what is wrong with the Dockerfile."""

    image: str
    findings: tuple[Finding, ...]


@contextlib.contextmanager
def built(root: Path, path: str) -> Iterator[Build]:
    """Build the Dockerfile at `path` in its folder and yield the result; the image goes, its cached layers stay."""
    file = root / path
    command = ["docker", "build", "--progress", "rawjson", "--file", str(file)]
    text = file.read_text(encoding="utf-8")
    for image in images.ensure(_bases(text)).values():
        command += ["--build-context", f"{image.name}={image.build_context}"]
    for name in re.findall(r"^ARG ([A-Z]+_INDEX_URL|[A-Z_]+_PROXY)\b", text, re.MULTILINE):
        if name in os.environ:
            command += ["--build-arg", name]
    # A name of its own: to remove an image by its id would take everybody else's names of it away.
    image = unique()
    with TemporaryDirectory(prefix=PREFIX) as empty:
        # Whoever builds it names these folders. Here an empty one stands for each.
        for name in _named_contexts(text):
            command += ["--build-context", f"{name}={empty}"]
        try:
            result = tools.run([*command, "--tag", image, str(file.parent)], timeout=900)
            findings = tuple(_said(result, path))
            yield Build("" if result.returncode else image, findings)
        finally:
            tools.run(["docker", "image", "rm", image])


def _named_contexts(text: str) -> list[str]:
    """The names in `COPY --from=NAME` that are neither a stage nor an image: folders that the build's command names."""
    stages: list[str] = []
    found: list[str] = []
    for command in dockerfile.parse_string(text):
        if command.cmd.upper() == "FROM" and len(command.value) == 3:
            stages.append(command.value[2].lower())
        for flag in command.flags:
            source = flag.removeprefix("--from=")
            if source != flag and re.fullmatch(r"[a-z][a-z0-9_-]*", source) and source not in stages:
                found.append(source)
    return found


def _bases(text: str) -> list[str]:
    """Return the images that a Dockerfile starts from, its own stages left out."""
    stages: list[str] = ["scratch"]
    bases: list[str] = []
    for command in dockerfile.parse_string(text):
        if command.cmd.upper() == "FROM":
            if command.value[0].lower() not in stages:
                bases.append(command.value[0])
            if len(command.value) == 3:
                stages.append(command.value[2].lower())
    return list(dict.fromkeys(bases))


def _said(result: CompletedProcess[str], path: str) -> list[Finding]:
    """Read BuildKit's report: its warnings, and the instruction that failed."""
    report, rest = _objects(result.stderr)
    findings = []
    for warning in (warning for part in report for warning in part.get("warnings") or []):
        places = warning.get("range") or [{}]
        line = places[0].get("start", {}).get("line", 0)
        detail = base64.b64decode(warning.get("short", "")).decode(errors="replace")
        findings.append(Finding(path, line, "warning", detail))
    if result.returncode:
        marked = re.search(r"^\s*(\d+) \| >>> ", rest, re.MULTILINE)
        error = re.search(r"^ERROR: (?:failed to solve: )?(.*)", rest, re.MULTILINE)
        if error is None:
            raise failed(result, "ended with an error that can't be read")
        logs = [log["data"] for part in report for log in part.get("logs") or []]
        last = b"".join(base64.b64decode(data) for data in logs).decode(errors="replace").strip().splitlines()[-3:]
        message = "; ".join([error[1], *last])
        findings.append(Finding(path, int(marked[1]) if marked else 0, "build", message))
    elif not report:
        raise failed(result, "reported nothing")
    return findings


def _objects(text: str) -> tuple[list[dict[str, Any]], str]:
    """Split a stream of JSON objects, with other lines between them, into the objects and the rest."""
    decoder = json.JSONDecoder()
    found, rest, position = [], [], 0
    while position < len(text):
        if text[position] == "{":
            try:
                value, position = decoder.raw_decode(text, position)
                found.append(value)
                position += 1
                continue
            except json.JSONDecodeError:
                pass
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        rest.append(text[position:end])
        position = end + 1
    return found, "\n".join(rest)
