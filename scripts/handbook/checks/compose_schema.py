"""Compose files follow the Compose Specification, and carry no key that it has dropped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from handbook.checks._lines import line_of
from handbook.checks._schema import judge
from handbook.checks._tool import wheel
from handbook.findings import Finding

NEEDS = "nothing"


def version() -> str:
    return f"{wheel('check-jsonschema')} (compose-spec)"


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Judge `paths` by the schema of the Compose Specification, and refuse its obsolete `version`."""
    findings = judge("vendor.compose-spec", root, paths)
    for path in paths:
        line = line_of((root / path).read_text(encoding="utf-8"), ["version"])
        if line:
            what = "`version` is obsolete and makes every command warn"
            findings.append(Finding(path, line, "version", what, "remove it"))
    return findings
