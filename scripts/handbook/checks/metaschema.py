"""JSON Schemas name the draft that they are written in, and follow it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from handbook.checks._lines import line_of
from handbook.checks._schema import judge_by
from handbook.checks._tool import wheel
from handbook.findings import Finding

NEEDS = "nothing"


def version() -> str:
    return f"{wheel('check-jsonschema')} (metaschema)"


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Judge `paths` by the metaschema of their draft, and refuse one that names none: each tool would guess another."""
    findings = judge_by(["--check-metaschema"], root, paths)
    for path in paths:
        if not line_of((root / path).read_text(encoding="utf-8"), ["$schema"]):
            hint = 'add "$schema": "https://json-schema.org/draft/2020-12/schema"'
            findings.append(Finding(path, 1, "draft", "names no draft", hint))
    return findings
