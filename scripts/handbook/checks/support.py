"""Each version that the handbook uses has a last day of support or a note, a source, and the day of looking it up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from handbook import support
from handbook.checks._tool import wheel
from handbook.findings import Finding

NEEDS = "nothing"


def version() -> str:
    return wheel("pyyaml")


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Judge the form of `paths`; whether a day is near is no property of the file."""
    return [finding for path in paths for finding in support.judge(root, path)[1]]
