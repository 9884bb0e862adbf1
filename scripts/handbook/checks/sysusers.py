"""systemd-sysusers takes every line of the file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from handbook.catalog import Catalog
from handbook.checks._docker import engine
from handbook.checks._host import ask
from handbook.checks._installed import installed
from handbook.checks._tool import failed
from handbook.findings import Finding
from handbook.host import DOCKERFILE

NEEDS = "docker"

_SCRIPT = 'systemd-sysusers --dry-run "$1"'
# What it would do, it says there as well.
_DONE = re.compile(r"^(?:Creating|Would) .*$\n?", re.MULTILINE)
_SAID = re.compile(r"^(?:/etc/\S+?:(?P<line>\d+): )?(?P<message>.+)$", re.MULTILINE)


def version() -> str:
    return f"systemd-sysusers --dry-run, {engine()}"


def inputs(catalog: Catalog, path: str) -> Iterator[str]:
    yield DOCKERFILE


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Let systemd-sysusers say whom it would make. It goes on at a line that it can't read: what it says counts."""
    findings = []
    with installed(root, paths) as files:
        for file in files:
            result = ask(file.machine, _SCRIPT, file.place)
            said = [
                Finding(file.path, int(at["line"] or 0), "sysusers", at["message"])
                for at in _SAID.finditer(_DONE.sub("", result.stderr))
            ]
            if result.returncode and not said:
                raise failed(result, "systemd-sysusers did not say what is wrong")
            if not said and not _DONE.search(result.stderr):
                said.append(Finding(file.path, 0, "empty", "it makes no user and no group", "add a line, or remove it"))
            findings += said
    return findings
