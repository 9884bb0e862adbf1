"""JSON can be read, and no key stands twice in one object."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from handbook.findings import Finding

NEEDS = "nothing"


def version() -> str:
    return f"Python {sys.version.partition(' ')[0]} json"


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Parse every file."""
    findings = []
    for path in paths:
        twice: list[str] = []

        def unique(pairs: list[tuple[str, Any]], twice: list[str] = twice) -> dict[str, Any]:
            names = [name for name, _ in pairs]
            twice += sorted({name for name in names if names.count(name) > 1})
            return dict(pairs)

        try:
            json.loads((root / path).read_text(encoding="utf-8"), object_pairs_hook=unique)
        except json.JSONDecodeError as error:
            findings.append(Finding(path, error.lineno, "syntax", error.msg))
        findings += [Finding(path, 0, "duplicate-key", f"{name!r} stands twice in one object") for name in twice]
    return findings
