"""The kernel has the settings of a sysctl file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from handbook.catalog import Catalog
from handbook.checks._docker import engine
from handbook.checks._host import judge, machine
from handbook.checks._tool import failed
from handbook.findings import Finding
from handbook.host import DOCKERFILE

NEEDS = "docker"

_SAID = re.compile(r"^sysctl: (?:\S+?\((?P<line>\d+)\): )?(?P<message>.*)$", re.MULTILINE)


def version() -> str:
    return f"sysctl --dry-run, {engine()}"


def inputs(catalog: Catalog, path: str) -> Iterator[str]:
    yield DOCKERFILE


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Let sysctl say what it would set. It goes on at a line that it can't read, with 0: what it says counts."""
    findings = []
    with machine() as name:
        for path in paths:
            result = judge(name, root / path, "sysctl", "--dry-run", f"--load={Path(path).name}")
            said = [
                Finding(path, int(at["line"] or 0), "sysctl", at["message"]) for at in _SAID.finditer(result.stderr)
            ]
            if not said and (result.returncode or result.stderr):
                raise failed(result, "sysctl did not say what is wrong")
            findings += said
            if not said and not result.stdout.strip():
                findings.append(Finding(path, 0, "empty", "it sets nothing", "add a setting, or remove it"))
    return findings
