"""systemd finds the sandbox of each installed service tight: its exposure is low, a oneshot's too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess

from handbook.catalog import HOST_FOLDERS, Catalog
from handbook.checks import _units
from handbook.checks._docker import engine
from handbook.checks._host import ask, machine
from handbook.checks._installed import companions, installations
from handbook.checks._tool import failed
from handbook.findings import Finding
from handbook.host import DOCKERFILE

NEEDS = "docker"

EXPOSURE = 1.5
"""The most that a service may have, of 10. systemd calls what is above 1 and below 5 OK."""

_WORST = 6
# The option wants tenths.
_JUDGE = f'systemd-analyze security --offline=true --no-pager --threshold={EXPOSURE * 10:.0f} "$@"'
_OVERALL = re.compile(r"^→ Overall exposure level for (?P<unit>\S+): (?P<exposure>[\d.]+) ", re.MULTILINE)
_OPEN = re.compile(r"^✗ (?P<name>\S+) .*?(?P<exposure>\d+\.\d+)\s*$", re.MULTILINE)


def version() -> str:
    return f"systemd-analyze security, {engine()}"


def inputs(catalog: Catalog, path: str) -> Iterator[str]:
    yield DOCKERFILE
    yield from companions(catalog, path)


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Judge every service of a folder `units/` as installed, with its drop-ins; templates as in the check systemd."""
    findings: set[Finding] = set()
    with machine(root) as name:
        for whole in installations(root, paths):
            for origin in whole.variants(name):
                files = [path for place, path in origin.items() if place.startswith(f"{HOST_FOLDERS['units']}/")]
                every = _units.units(origin, list(_units.settings(root, files)))
                services = {unit: path for unit, path in every.items() if path.endswith(".service") and path in paths}
                findings.update(_read(ask(name, _JUDGE, *services), services))
    return sorted(findings)


def _read(result: CompletedProcess[str], services: Mapping[str, str]) -> Iterator[Finding]:
    begin, seen, over = 0, set(), False
    for match in _OVERALL.finditer(result.stdout):
        block, begin = result.stdout[begin : match.start()], match.end()
        unit, exposure = match["unit"], float(match["exposure"])
        seen.add(unit)
        if exposure > EXPOSURE:
            over = True
            lines = sorted(_OPEN.finditer(block), key=lambda line: -float(line["exposure"]))
            worst = ", ".join(f"{line['name']} ({line['exposure']})" for line in lines[:_WORST])
            what = f"{unit} has an exposure of {exposure}, and {EXPOSURE} is the most: {worst}"
            yield Finding(services[unit], 0, "exposure", what, "set more of these in the unit or in a drop-in")
    unread = services.keys() - seen
    if (over and not result.returncode) or (unread and not result.stderr.strip()):
        raise failed(result, "systemd-analyze did not judge every service")
    for unit in sorted(unread):
        said = [line for line in result.stderr.splitlines() if unit in line] or result.stderr.strip().splitlines()
        yield Finding(services[unit], 0, "unread", said[-1], "see what the check systemd says")
