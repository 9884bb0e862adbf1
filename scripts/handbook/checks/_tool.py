"""What the checks share: reading a tool's output without believing its exit code."""

from __future__ import annotations

import json
from collections.abc import Collection
from importlib import metadata
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from handbook.findings import Finding, HandbookError
from handbook.tools import MissingTool

_LINES = 15


def wheel(name: str, shown: str = "") -> str:
    """Return name and version of a tool that the locked requirements bring. Raises MissingTool when it is not there."""
    try:
        return f"{shown or name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        raise MissingTool(f"{shown or name} is not installed; run `make venv`") from None


def failed(result: CompletedProcess[str], why: str) -> HandbookError:
    """Return the error for a tool that did not do its work: the command, why, and the end of its output."""
    command = " ".join([Path(result.args[0]).name, *result.args[1:6]])
    lines = (result.stdout + "\n" + result.stderr).strip().splitlines()[-_LINES:]
    return HandbookError("\n".join([f"`{command} ...`: {why}; the end of its output:", *(lines or ["(nothing)"])]))


def expect(result: CompletedProcess[str], codes: Collection[int]) -> None:
    """Raise HandbookError when the tool ended with a code that is not one of `codes`."""
    if result.returncode not in codes:
        raise failed(result, f"unknown exit code {result.returncode}")


def read_json(result: CompletedProcess[str]) -> Any:
    """Return what the tool printed as JSON. Raises HandbookError when it is no JSON, silence included."""
    try:
        return json.loads(result.stdout)
    except json.JSONDecodeError:
        raise failed(result, "printed no JSON") from None


def relative(root: Path, name: str) -> str:
    """Return the path that a tool names as a path relative to `root`."""
    path = Path(name)
    if not path.is_absolute():
        return path.as_posix()
    for base in (root, root.resolve()):
        if path.is_relative_to(base):
            return path.relative_to(base).as_posix()
    return name


def unjudged(path: str, main: str, culprits: Collection[Finding]) -> Finding:
    """Return the finding about a file that got no verdict, since `main`, which it is judged with, does not load."""
    culprit = min(culprits)
    message = f"could not be judged: {main} does not load"
    return Finding(path, 0, "unjudged", message, f"see {culprit.path}:{culprit.line}")
