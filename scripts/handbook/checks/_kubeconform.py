"""Runs kubeconform, offline and strictly, once for each minor version of Kubernetes, and reads what it says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import yaml

from handbook import go, schemas
from handbook.checks._lines import line_in
from handbook.checks._tool import expect, failed, read_json
from handbook.tools import run

UNKNOWN = "unknown"
SCHEMA = "schema"
SYNTAX = "syntax"

HINTS = {
    UNKNOWN: "see whether kind and apiVersion are right; what adds a kind is pinned in tools/schemas/go.mod",
    SCHEMA: "see what Kubernetes knows there with `kubectl explain`",
}

_SECONDS = 120
_AT = re.compile(r"(?: |^)(?P<indent> *)- at '(?P<place>(?:[^'\\]|\\.)*)': ")
_NO_CHOICE = re.compile(r"^'(?:oneOf|anyOf)' failed, none matched$")
_NOT_ALLOWED = re.compile(r"^additional properties '([^']+)'")
_NO_SCHEMA = "could not find schema for "


@dataclass(frozen=True, order=True)
class Problem:
    """What is wrong in an object of a file. `place` are the keys and indexes that lead there; `minors` says where."""

    file: str
    version: str
    kind: str
    name: str
    place: tuple[str, ...]
    rule: str
    message: str


def version() -> str:
    """The program, and the versions that it judges by."""
    return f"kubeconform {go.version('kubeconform')} (Kubernetes {', '.join(schemas.MINORS)})"


def pins() -> list[str]:
    """The files that decide what it says of any manifest."""
    return [*go.pins("kubeconform"), *go.pins("schemas")]


def judge(root: Path, paths: Sequence[str]) -> dict[Problem, tuple[str, ...]]:
    """Return what is wrong in the files at `paths`, each with the minor versions of Kubernetes that refuse it.

    Raises HandbookError when kubeconform did not read every object of every file.
    """
    if not paths:
        return {}
    program = go.built("kubeconform")
    expected = {path: count((root / path).read_text(encoding="utf-8")) for path in paths}
    options = {minor: schemas.location(minor) for minor in schemas.MINORS}
    found: dict[Problem, list[str]] = {}
    with ThreadPoolExecutor(len(options)) as pool:
        command = [str(program), "-strict", "-output", "json", "-verbose", "-n", "2"]
        runs = {
            minor: pool.submit(run, [*command, *names, *paths], cwd=root, timeout=_SECONDS)
            for minor, names in options.items()
        }
    for minor, future in runs.items():
        for problem in dict.fromkeys(_read(future.result(), expected)):
            found.setdefault(problem, []).append(minor)
    return {problem: tuple(minors) for problem, minors in sorted(found.items())}


def told(message: str, minors: Sequence[str]) -> str:
    """Return a message with the versions that it is about, when they are not all."""
    return message if len(minors) == len(schemas.MINORS) else f"{message} (Kubernetes {', '.join(minors)})"


def count(text: str) -> int | None:
    """Return how many objects `text` holds, those in a List one by one; None when it is not YAML."""
    try:
        values = [value for value in yaml.load_all(text, Loader=schemas.Loader) if value is not None]
    except yaml.YAMLError:
        return None
    return sum(len(value["items"]) if _is_list(value) else 1 for value in values)


def _is_list(value: Any) -> bool:
    return isinstance(value, dict) and value.get("kind") == "List" and isinstance(value.get("items"), list)


def line(text: str, problem: Problem) -> int:
    """Return the line of a problem: that of its key, or of the object; 0 when the object is not found."""
    try:
        nodes = [node for node in yaml.compose_all(text, Loader=yaml.CSafeLoader) if node]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        return mark.line + 1 if mark else 0
    wanted = {"kind": problem.kind, "apiVersion": problem.version}
    alike = [node for node in nodes if all(_scalar(node, [key]) == value for key, value in wanted.items() if value)]
    # A key that stands twice makes the name doubtful.
    named = [node for node in alike if _scalar(node, ["metadata", "name"]) == (problem.name or None)] or alike
    for node in named[:1]:
        return line_in(node, problem.place) or line_in(node, ["kind"]) or node.start_mark.line + 1
    return 0


def _scalar(node: yaml.Node, path: Sequence[str]) -> str | None:
    for step in path:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        inner = next((value for key, value in pairs if key.value == step), None)
        if inner is None:
            return None
        node = inner
    return node.value if isinstance(node, yaml.ScalarNode) else None


def _read(result: CompletedProcess[str], expected: Mapping[str, int | None]) -> Iterator[Problem]:
    """Yield what one run says. Silence, and an object that it says nothing of, are an error of the run."""
    expect(result, {0, 1})
    # What is empty but for comments has no status.
    resources = [entry for entry in read_json(result).get("resources") or [] if entry["status"]]
    counted = Counter(entry["filename"] for entry in resources)
    for path, wanted in expected.items():
        if counted[path] != wanted and not (wanted is None and counted[path]):
            raise failed(result, f"{path}: it judged {counted[path]} of {wanted or 'the'} objects")
    skipped = [entry for entry in resources if entry["status"] not in ("statusValid", "statusInvalid", "statusError")]
    for entry in skipped:
        raise failed(result, f"it passed over {entry['kind']}/{entry['name']} of {entry['filename']}")
    problems = [problem for entry in resources for problem in _problems(entry)]
    if bool(problems) != bool(result.returncode):
        raise failed(result, f"it ended with {result.returncode} and told {len(problems)} problems")
    yield from problems


def _problems(entry: Mapping[str, Any]) -> Iterator[Problem]:
    base = (entry["filename"], entry["version"], entry["kind"], entry["name"])
    if entry["status"] == "statusValid":
        return
    message = entry["msg"]
    if entry["status"] == "statusError":
        if message.startswith(_NO_SCHEMA):
            yield Problem(*base, ("apiVersion",), UNKNOWN, f"no {entry['version']} {entry['kind']} is known")
        else:
            yield Problem(*base, (), SYNTAX, " ".join(message.rpartition("error unmarshalling resource: ")[2].split()))
        return
    yield from (Problem(*base, place, SCHEMA, said) for place, said in _places(message))


def _places(message: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield each place that a message names with what is wrong there; what only sums up others is left out."""
    matches = list(_AT.finditer(message))
    ends = [*(match.start() for match in matches[1:]), len(message)]
    parts = [(match, message[match.end() : end].strip()) for match, end in zip(matches, ends, strict=True)]
    if not parts:
        yield (), message
    depth: int | None = None
    for number, (match, said) in enumerate(parts):
        indent = len(match["indent"])
        if depth is not None and indent > depth:
            continue
        depth = None
        if _NO_CHOICE.match(said):
            depth = indent
            below = []
            for other, text in parts[number + 1 :]:
                if len(other["indent"]) <= indent:
                    break
                below.append(text)
            said = "; or: ".join(dict.fromkeys(below)) or said
        elif said in ("validation failed", "'allOf' failed"):
            continue
        place = tuple(step.replace("~1", "/").replace("~0", "~") for step in match["place"].split("/")[1:])
        unexpected = _NOT_ALLOWED.match(said)
        shown = "/".join(place)
        yield (*place, *([unexpected[1]] if unexpected else [])), f"{shown}: {said}" if shown else said
