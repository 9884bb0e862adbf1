"""logrotate takes the file, and finds its folders and its users."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from handbook.catalog import Catalog
from handbook.checks._docker import engine
from handbook.checks._host import ask
from handbook.checks._installed import companions, installed
from handbook.checks._tool import failed
from handbook.findings import Finding
from handbook.host import DOCKERFILE

NEEDS = "docker"

_SCRIPT = """
shopt -s nullglob
systemd-sysusers >/dev/null 2>&1
for file in /etc/tmpfiles.d/*.conf; do systemd-tmpfiles --create "$file" 2>/dev/null; done
logrotate --debug "$1"
"""
_SAID = re.compile(r"^(?:error|warning): (?:/etc/[^\s:]+:(?:(?P<line>\d+) )?)?(?P<message>.*)$", re.MULTILINE)
_OF_EVERY_RUN = "logrotate in debug mode does nothing"


def version() -> str:
    return f"logrotate --debug, {engine()}"


def inputs(catalog: Catalog, path: str) -> Iterator[str]:
    yield DOCKERFILE
    yield from companions(catalog, path, "sysusers.d", "tmpfiles.d")


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Let logrotate say what it would do, in a host with the users and folders of the files beside it.

    It leaves out an option that it does not know, with 0: its errors and its warnings count.
    """
    findings = []
    with installed(root, paths) as files:
        for file in files:
            result = ask(file.machine, _SCRIPT, file.place)
            said = [
                Finding(file.path, int(at["line"] or 0), "logrotate", at["message"])
                for at in _SAID.finditer(result.stderr)
                if not at["message"].startswith(_OF_EVERY_RUN)
            ]
            read = f"reading config file {file.place}" in result.stderr
            if not read or (result.returncode and not said):
                raise failed(result, "logrotate did not say what is wrong")
            if not said and "rotating pattern: " not in result.stderr:
                said.append(Finding(file.path, 0, "empty", "it names no log", "add one, or remove it"))
            findings += said
    return findings
