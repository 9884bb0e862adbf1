"""A script that names its interpreter in its first line can be executed, and nothing else is marked as executable."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from handbook.findings import Finding

NEEDS = "nothing"


def version() -> str:
    return "mode and first line"


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Compare the mode of each file with its first line: a reader who copies it runs it as the page says."""
    findings = []
    for path in paths:
        executable = bool((root / path).stat().st_mode & 0o100)
        named = (root / path).read_bytes().startswith(b"#!")
        if named and not executable:
            findings.append(Finding(path, 1, "mode", "it can't be executed", f"run `chmod +x {path}`"))
        elif executable and not named:
            findings.append(Finding(path, 1, "mode", "it is executable and names no interpreter", "write a `#!` line"))
    return findings
