"""GitHub workflows follow the schema of their format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from handbook.checks._schema import judge
from handbook.checks._tool import wheel
from handbook.findings import Finding

NEEDS = "nothing"


def version() -> str:
    return f"{wheel('check-jsonschema')} (github-workflows)"


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Judge `paths` by the schema, and refuse a job without `timeout-minutes`: it may hang for six hours."""
    rules = [judge(schema, root, paths) for schema in ("vendor.github-workflows", _TIMEOUT)]
    return sorted({finding for found in rules for finding in found})


_TIMEOUT = "custom.github-workflows-require-timeout"
