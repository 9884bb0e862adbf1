"""TOML can be read, and a pyproject.toml is what packaging tools understand."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from handbook.checks._tool import wheel
from handbook.findings import Finding

NEEDS = "nothing"

_LINE = re.compile(r" \(at line (\d+), column \d+\)$| \(at end of document\)$")


def version() -> str:
    return wheel("validate-pyproject")


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Parse every file; judge each `pyproject.toml` by the standards of Python packaging."""
    findings = []
    for path in paths:
        text = (root / path).read_text(encoding="utf-8")
        try:
            content = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            match = _LINE.search(str(error))
            line = int(match[1]) if match and match[1] else text.count("\n") + 1
            findings.append(Finding(path, line, "syntax", _LINE.sub("", str(error))))
            continue
        if Path(path).name == "pyproject.toml":
            findings += _judge(path, text, content)
    return findings


def _judge(path: str, text: str, content: dict[str, object]) -> list[Finding]:
    # Asked for by the library at import time: classifiers come from the locked trove-classifiers, not from the network.
    os.environ.setdefault("VALIDATE_PYPROJECT_NO_NETWORK", "1")
    from validate_pyproject import api, errors

    try:
        api.Validator()(content)
    except errors.ValidationError as error:
        return [Finding(path, _line(text, str(error.name), error.summary), "pyproject", error.summary)]
    return []


def _line(text: str, name: str, summary: str) -> int:
    """Return the line of the key that is wrong: `project.name`, or the one that the summary quotes."""
    for key in [*re.findall(r"\{?'([\w-]+)'", summary), *reversed(re.findall(r"[\w-]+", name))]:
        if match := re.search(rf"^\s*(?:\[[\w.-]*)?{re.escape(key)}\b", text, re.MULTILINE):
            return text.count("\n", 0, match.end()) + 1
    return 0
