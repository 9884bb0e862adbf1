"""Python follows ruff's rules and format."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from handbook import tools
from handbook.catalog import ROOT, Catalog
from handbook.checks._tool import expect, failed, read_json, relative, wheel
from handbook.findings import Finding

NEEDS = "nothing"

_FORMATTED = re.compile(r"(\d+) files? (?:would be reformatted|already formatted)")
_PLACE = re.compile(r"^(?P<path>.+?):(?P<line>\d+):\d+: (?P<rule>[\w-]+): (?P<message>.+)$")


def version() -> str:
    return wheel("ruff")


def inputs(catalog: Catalog, path: str) -> tuple[str, ...]:
    return ("pyproject.toml",)


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Judge `paths` by the rules in `pyproject.toml`, then by the format."""
    config = ["--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    result = tools.run(["ruff", "check", *config, "--output-format", "json", "--", *paths], cwd=root)
    expect(result, {0, 1})
    findings = [
        Finding(relative(root, item["filename"]), item["location"]["row"], item["code"], item["message"])
        for item in read_json(result)
    ]
    broken = {finding.path for finding in findings if finding.rule in ("invalid-syntax", "E902")}
    return findings + _unformatted(root, [path for path in paths if path not in broken], config)


def _unformatted(root: Path, paths: Sequence[str], config: Sequence[str]) -> list[Finding]:
    """Report what `ruff format` would change; it says how many files it read, and that must be all of them."""
    if not paths:
        return []
    result = tools.run(["ruff", "format", "--check", *config, "--output-format", "concise", "--", *paths], cwd=root)
    expect(result, {0, 1})
    read = sum(int(number) for number in _FORMATTED.findall(result.stdout + result.stderr))
    if read != len(paths):
        raise failed(result, f"read {read} of {len(paths)} files")
    places = [match for line in result.stdout.splitlines() if (match := _PLACE.match(line))]
    return [
        Finding(relative(root, match["path"]), int(match["line"]), "format", match["message"], "run `make format`")
        for match in places
    ]
