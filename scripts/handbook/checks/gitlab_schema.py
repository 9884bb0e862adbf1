"""GitLab pipelines follow the schema of their format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from handbook.checks._schema import judge
from handbook.checks._tool import wheel
from handbook.findings import Finding

NEEDS = "nothing"


def version() -> str:
    return f"{wheel('check-jsonschema')} (gitlab-ci)"


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Judge `paths` by the schema; GitLab's `!reference` is understood."""
    return judge("vendor.gitlab-ci", root, paths, options=["--data-transform", "gitlab-ci"])
