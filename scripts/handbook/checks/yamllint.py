"""YAML reads as it looks: indentation, duplicate keys, truth values, octal numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from yamllint import linter
from yamllint.config import YamlLintConfig

from handbook.catalog import ROOT, Catalog
from handbook.checks._tool import wheel
from handbook.findings import Finding

NEEDS = "nothing"


def version() -> str:
    return wheel("yamllint")


def inputs(catalog: Catalog, path: str) -> tuple[str, ...]:
    return (".yamllint.yaml",)


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Judge `paths` by `.yamllint.yaml`; what yamllint only warns of counts too."""
    config = YamlLintConfig(file=str(ROOT / ".yamllint.yaml"))
    return [
        Finding(path, problem.line, problem.rule or "syntax", problem.desc)
        for path in paths
        for problem in linter.run((root / path).read_bytes(), config, path)
    ]
