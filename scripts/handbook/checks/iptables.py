"""iptables takes the rules, for IPv4 and for IPv6."""

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

_FAMILIES = ("iptables", "ip6tables")
# The tables are emptied first, and what they hold afterwards is printed.
_SCRIPT = """
for table in filter nat mangle raw; do "$0" --table "$table" --flush && "$0" --table "$table" --delete-chain; done
"$0-restore" --noflush "$1" && "$0-save"
"""
_MESSAGE = re.compile(r"^ip6?tables-restore(?: v[\d.]+ \(\w+\))?: (?P<message>.*)$", re.MULTILINE)
_LINE = re.compile(r"\bline:? (?P<line>\d+)\b")


def version() -> str:
    return f"iptables-restore, {engine()}"


def inputs(catalog: Catalog, path: str) -> Iterator[str]:
    yield DOCKERFILE


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Put the rules of each file into the network of a container; `--test` lets targets pass that do not exist."""
    findings: set[Finding] = set()
    with machine() as name:
        for path in paths:
            for family in _FAMILIES:
                result = judge(name, root / path, "bash", "-c", _SCRIPT, family, Path(path).name)
                message = _MESSAGE.search(result.stderr)
                if bool(result.returncode) != bool(message):
                    raise failed(result, f"{family}-restore did not say whether it took them")
                if message:
                    line = _LINE.search(result.stderr)
                    findings.add(Finding(path, int(line["line"]) if line else 0, family, message["message"]))
                elif "-A " not in result.stdout:
                    findings.add(Finding(path, 0, "empty", "it holds no rule", "add one, or remove it"))
    return sorted(findings)
