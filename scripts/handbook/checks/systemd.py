"""systemd takes the unit, knows every key of it, and finds what it starts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from handbook.catalog import Catalog
from handbook.checks._docker import engine
from handbook.checks._host import FILE, judge, machine
from handbook.checks._tool import failed
from handbook.findings import Finding
from handbook.host import DOCKERFILE

NEEDS = "docker"

_SAID = re.compile(rf"^(?:{FILE}/[^:\s]+:(?P<line>\d+): )?(?P<message>.+)$", re.MULTILINE)


def version() -> str:
    return f"systemd-analyze verify, {engine()}"


def inputs(catalog: Catalog, path: str) -> Iterator[str]:
    yield DOCKERFILE


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Verify each unit; a key that systemd does not know is a warning with 0, so what it says counts."""
    findings = []
    with machine() as name:
        for path in paths:
            result = judge(name, root / path, "systemd-analyze", "verify", "--man=no", f"{FILE}/{Path(path).name}")
            said = [Finding(path, int(at["line"] or 0), "unit", at["message"]) for at in _SAID.finditer(result.stderr)]
            if result.returncode and not said:
                raise failed(result, "systemd-analyze did not say what is wrong")
            findings += said
    return findings
