"""Markdown has none of the common misspellings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from handbook import tools
from handbook.catalog import ROOT, Catalog
from handbook.checks._tool import expect, failed, wheel
from handbook.findings import Finding

NEEDS = "nothing"

_WORD = re.compile(r"^(?P<path>.+?):(?P<line>\d+): (?P<wrong>\S+) ==> (?P<right>.+)$")


def version() -> str:
    return wheel("codespell")


def inputs(catalog: Catalog, path: str) -> tuple[str, ...]:
    return (".codespellrc",)


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Judge `paths` by codespell's list; words of the trade stand in `.codespellrc`."""
    command = ["codespell", "--config", str(ROOT / ".codespellrc"), "--count"]
    result = tools.run([*command, "--", *paths], cwd=root)
    expect(result, {0, 65})
    findings = [
        Finding(match["path"].removeprefix("./"), int(match["line"]), "spelling", f"`{match['wrong']}`", match["right"])
        for line in result.stdout.splitlines()
        if (match := _WORD.match(line))
    ]
    counted = result.stderr.strip()
    if counted != str(len(findings)):
        raise failed(result, f"counted {counted or 'nothing'}, but {len(findings)} findings could be read")
    return findings
