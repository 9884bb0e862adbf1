"""Manifests fit the schemas of every version of Kubernetes that they are made for, and of the kinds that are added."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from handbook.catalog import Catalog
from handbook.checks import _kubeconform
from handbook.findings import Finding

NEEDS = "nothing"


def version() -> str:
    return _kubeconform.version()


def inputs(catalog: Catalog, path: str) -> list[str]:
    return _kubeconform.pins()


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Judge `paths`. A kind that no schema describes is refused: nobody could say that it is right."""
    texts = {path: (root / path).read_text(encoding="utf-8") for path in paths}
    findings = []
    for problem, minors in _kubeconform.judge(root, paths).items():
        text = texts[problem.file]
        message = f"{problem.kind}/{problem.name}: {problem.message}" if problem.kind else problem.message
        hint = _kubeconform.HINTS.get(problem.rule, "")
        place = _kubeconform.line(text, problem)
        findings.append(Finding(problem.file, place, problem.rule, _kubeconform.told(message, minors), hint))
    findings += [
        Finding(path, 0, "empty", "there is no object in it", "write one, or remove the file")
        for path, text in texts.items()
        if _kubeconform.count(text) == 0
    ]
    return findings
