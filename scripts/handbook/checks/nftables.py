"""nftables takes the rules."""

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

# What the kernel holds afterwards is printed.
_SCRIPT = 'nft flush ruleset && nft --file "$0" && nft list ruleset'
_SAID = re.compile(rf"^{FILE}/[^\s:]+:(?P<line>\d+):\S+ \w+: (?P<message>.*)$", re.MULTILINE)


def version() -> str:
    return f"nft, {engine()}"


def inputs(catalog: Catalog, path: str) -> Iterator[str]:
    yield DOCKERFILE


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Put the rules of each file into the network of a container."""
    findings = []
    with machine() as name:
        for path in paths:
            result = judge(name, root / path, "bash", "-c", _SCRIPT, f"{FILE}/{Path(path).name}")
            said = [Finding(path, int(at["line"]), "nftables", at["message"]) for at in _SAID.finditer(result.stderr)]
            if not said and (result.returncode or result.stderr):
                raise failed(result, "nft did not say what is wrong")
            if not said and "hook" not in result.stdout:
                what = "it holds no chain that the kernel asks"
                said.append(Finding(path, 0, "empty", what, "add one with `type filter hook ...`, or remove it"))
            findings += said
    return findings
