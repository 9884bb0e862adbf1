"""The journal reads the file when it starts, and knows every option and value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from handbook.catalog import Catalog
from handbook.checks import _units
from handbook.checks._docker import engine
from handbook.checks._host import ask
from handbook.checks._installed import installed
from handbook.checks._tool import failed
from handbook.findings import Finding
from handbook.host import DOCKERFILE

NEEDS = "docker"

# The second file is wrong: a journal that says nothing of it has read neither.
_OTHER = "/etc/systemd/journald.conf.d/zz-unknown.conf"
_SCRIPT = f"""
set -e
rm --recursive --force /run/systemd/journal
mkdir --parents /run/systemd/journal
printf '[Journal]\\nUnknown=yes\\n' >{_OTHER}
SYSTEMD_LOG_TARGET=console /usr/lib/systemd/systemd-journald &
journal=$!
# It has its sockets before it catches signals: one that is ended between the two dies of it.
until journalctl --sync 2>/dev/null; do kill -0 "$journal"; sleep 0.02; done
kill "$journal"
wait "$journal"
"""
_SAID = re.compile(r"^(?P<place>/etc/[^\s:]+):(?P<line>\d+): (?P<message>.+)$", re.MULTILINE)


def version() -> str:
    return f"systemd-journald, {engine()}"


def inputs(catalog: Catalog, path: str) -> Iterator[str]:
    yield DOCKERFILE


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Start a journal with each file, and stop it. It leaves out what it does not know: what it says counts."""
    findings = []
    with installed(root, paths) as files:
        for file in files:
            result = ask(file.machine, _SCRIPT, timeout=30)
            said = [(at["place"], int(at["line"]), at["message"]) for at in _SAID.finditer(result.stderr)]
            if result.returncode or not any(place == _OTHER for place, _, _ in said):
                raise failed(result, "the journal did not start and read its files")
            findings += [
                Finding(file.path, line, "journald", message) for place, line, message in said if place == file.place
            ]
            if not list(_units.settings(root, [file.path])):
                findings.append(Finding(file.path, 0, "empty", "it sets nothing", "add an option, or remove it"))
    return findings
