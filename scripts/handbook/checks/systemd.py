"""systemd takes the units as they are installed, knows every key, and finds what they start and what they name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from subprocess import CompletedProcess

from handbook.catalog import HOST_FOLDERS, Catalog
from handbook.checks import _units
from handbook.checks._docker import engine, must
from handbook.checks._host import FILE, PACKAGES, ask, judge, machine
from handbook.checks._installed import companions, installations, is_installed
from handbook.checks._tool import failed
from handbook.checks._units import Setting
from handbook.findings import Finding
from handbook.host import DOCKERFILE

NEEDS = "docker"

_LIST = """
ls --escape /etc/systemd/system /usr/lib/systemd/system
for kind in passwd group; do getent "$kind" | cut --delimiter=: --fields=1 | sed "s/^/$kind:/"; done
"""
# Where the handbook's own files go, and nothing that a package brings, something stands for each program.
_VERIFY = f"""
systemd-sysusers >/dev/null 2>&1
missing='(?<=Command )/(opt|usr/local|etc)/\\S+(?= is not executable)'
said=$(systemd-analyze verify --man=no "$@" 2>&1)
for program in $(grep --only-matching --perl-regexp "$missing" <<<"$said" | sort --unique); do
  install -D /usr/bin/true "$program"
done
{_LIST}
systemd-analyze verify --man=no "$@"
"""

_SAID = re.compile(rf"^(?:{FILE}/[^:\s]+:(?P<line>\d+): )?(?P<message>.+)$", re.MULTILINE)
_PLACED = re.compile(r"^(?P<place>/[^:\s]+?)(?::(?P<line>\d+))?: (?P<message>.+)$")
_UNIT = re.compile(r"^(?:Unit )?(?P<unit>[^\s:/]+\.[a-z]+)(?::| has| is) ?(?P<message>.+)$")
_ORDER = {
    *("After", "Before", "Requires", "Requisite", "Wants", "BindsTo", "PartOf", "Upholds", "Conflicts"),
    *("OnFailure", "OnSuccess", "JoinsNamespaceOf", "PropagatesReloadTo", "ReloadPropagatedFrom"),
    *("PropagatesStopTo", "StopPropagatedFrom", "WantedBy", "RequiredBy", "UpheldBy", "Also"),
    *("Unit", "Service", "Sockets"),
}
_IDENTITY = {
    "User": "passwd",
    "SocketUser": "passwd",
    "Group": "group",
    "SupplementaryGroups": "group",
    "SocketGroup": "group",
}


def version() -> str:
    return f"systemd-analyze verify, {engine()}"


def inputs(catalog: Catalog, path: str) -> Iterator[str]:
    yield DOCKERFILE
    yield from companions(catalog, path)


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Verify each unit; a key that systemd does not know is a warning with 0, so what it says counts.

    What stands in a folder `units/` is installed as a whole: templates as the instances that others name, each with
    its drop-ins. For a program of the handbook's own stands another one. What packages bring that wait in the host is
    there. systemd says nothing of an order that names no unit, nor of a drop-in for none: such names are looked up.
    """
    findings: set[Finding] = set()
    alone = [path for path in paths if not is_installed(path)]
    if alone:
        with machine() as name:
            must(ask(name, PACKAGES), "the setting up of a host")
            known = _known(ask(name, _LIST))
            for path in alone:
                findings.update(_alone(root, path, name))
                own = known | {Path(path).name}
                findings.update(_unknown(_units.settings(root, [path]), own))
    whole = list(installations(root, paths))
    if whole:
        with machine(root) as name:
            must(ask(name, PACKAGES), "the setting up of a host")
            for one in whole:
                for origin in one.variants(name):
                    findings.update(_installed(root, origin, name))
    return sorted(finding for finding in findings if finding.path in paths)


def _alone(root: Path, path: str, machine: str) -> list[Finding]:
    result = judge(machine, root / path, "systemd-analyze", "verify", "--man=no", f"{FILE}/{Path(path).name}")
    said = [Finding(path, int(at["line"] or 0), "unit", at["message"]) for at in _SAID.finditer(result.stderr)]
    if result.returncode and not said:
        raise failed(result, "systemd-analyze did not say what is wrong")
    return said


def _installed(root: Path, origin: Mapping[str, str], machine: str) -> Iterator[Finding]:
    """Yield what is wrong with an installation that stands in the host. `origin` maps its files back."""
    files = [path for place, path in origin.items() if place.startswith(f"{HOST_FOLDERS['units']}/")]
    found = list(_units.settings(root, files))
    units = _units.units(origin, found)
    result = ask(machine, _VERIFY, *units)
    yield from _told(result, origin, units)
    known = _known(result)
    yield from _unknown(found, known)
    for path in files:
        folder = PurePosixPath(path).parent.name
        if folder.endswith(".d") and not _applies(folder.removesuffix(".d"), known):
            yield Finding(path, 0, "unread", f"no unit takes drop-ins from {folder}", "name it like a unit")


def _told(result: CompletedProcess[str], origin: Mapping[str, str], units: Mapping[str, str]) -> list[Finding]:
    said = []
    for line in result.stderr.splitlines():
        if place := _PLACED.match(line):
            if path := origin.get(place["place"]):
                said.append(Finding(path, int(place["line"] or 0), "unit", place["message"]))
            elif not place["place"].startswith("/usr/lib/systemd/"):
                raise failed(result, f"it says something of {place['place']}, which nobody installed")
        elif (unit := _UNIT.match(line)) and unit["unit"] in units:
            said.append(Finding(units[unit["unit"]], 0, "unit", line))
        else:
            said.append(Finding(min(units.values()), 0, "unit", line))
    if result.returncode and not said:
        raise failed(result, "systemd-analyze did not say what is wrong")
    return said


def _known(result: CompletedProcess[str]) -> set[str]:
    """Return the names of the units that the host has, and `passwd:` and `group:` with its users and groups."""
    names = set(result.stdout.split())
    if "multi-user.target" not in names or "passwd:root" not in names:
        raise failed(result, "the host did not list its units and its users")
    return names


def _unknown(found: Iterable[Setting], known: Collection[str]) -> Iterator[Finding]:
    """Yield what names a unit, a user or a group that is not there."""
    found = list(found)
    made = {setting.path for setting in found if setting.key == "DynamicUser" and setting.value == "yes"}
    for setting in found:
        if setting.key in _ORDER:
            for name in _units.named(setting.value):
                if name not in known and _units.template(name) not in known:
                    what = f"{setting.key}= names {name}, which no file here and no package of the host brings"
                    yield Finding(setting.path, setting.line, "unknown-unit", what, "mend the name")
        for name in setting.value.split() if setting.key in _IDENTITY and setting.path not in made else []:
            if "%" not in name and not name.isdigit() and f"{_IDENTITY[setting.key]}:{name}" not in known:
                what = f"{setting.key}= names {name}, which the host has not"
                yield Finding(setting.path, setting.line, "unknown-user", what, "make it in a file of sysusers.d/")


def _applies(name: str, known: Collection[str]) -> bool:
    """Whether systemd reads drop-ins for `name` at all: a unit, an instance, a prefix that ends in `-`, a type."""
    stem, _, suffix = name.rpartition(".")
    if not stem:
        return name in _units.SUFFIXES
    if stem.endswith("-"):
        return any(unit.startswith(stem) and unit.endswith(f".{suffix}") for unit in known)
    return name in known or _units.template(name) in known
