"""Python agrees with its own type hints, and with those of what it imports."""

from __future__ import annotations

import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from handbook import tools
from handbook.catalog import ROOT, Catalog
from handbook.checks._tool import expect, failed, read_json, relative, wheel
from handbook.findings import Finding

NEEDS = "nothing"

_TOTAL = re.compile(r"INFO (?:(\d[\d,]*) errors?|No errors)")


def version() -> str:
    return wheel("pyrefly")


def inputs(catalog: Catalog, path: str) -> Iterator[str]:
    """The settings, and what a module can import of the project that it is in; the handbook's own is no snippet."""
    yield "pyproject.toml"
    project = _project(catalog.root, path)
    if project != ".":
        own = (file for file in catalog.files if file.startswith(f"{project}/"))
        yield from (file for file in own if file.endswith((".py", "/pyproject.toml")))


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Check `paths`, one process for each folder with a pyproject.toml: it has imports and a Python of its own."""
    projects: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        projects[_project(root, path)].append(path)
    return [finding for project, own in projects.items() for finding in _check(root, project, own)]


def _project(root: Path, path: str) -> str:
    """Return the nearest folder above `path` that has a pyproject.toml, `.` for the root."""
    for parent in Path(path).parents:
        if (root / parent / "pyproject.toml").is_file():
            return parent.as_posix()
    return "."


def _check(root: Path, project: str, paths: Sequence[str]) -> list[Finding]:
    command = ["pyrefly", "check", "--config", str(ROOT / "pyproject.toml"), "--output-format", "json"]
    command += ["--python-interpreter-path", sys.executable, "--python-version", _python(root / project)]
    for folder in (root / project, root / project / "scripts"):
        if folder.is_dir():
            command += ["--search-path", str(folder)]
    result = tools.run([*command, "--", *paths], cwd=root)
    expect(result, {0, 1})
    errors = read_json(result)["errors"]
    if not _TOTAL.search(result.stderr):
        raise failed(result, "did not say how many errors there are")
    return [
        Finding(relative(root, error["path"]), error["line"], error["name"], error["concise_description"])
        for error in errors
    ]


def _python(folder: Path) -> str:
    """Return the oldest Python that the project in `folder` promises to run on; without a promise the handbook's."""
    try:
        promise = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return "3.11"
    match = re.search(r">=\s*(\d+\.\d+)", promise)
    return match[1] if match else "3.11"
