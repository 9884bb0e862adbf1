"""A host on which systemd runs everything: its units, and what the scripts beside them put on it."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from handbook.facts import Fact, below, env, installs, shell, systemd
from handbook.facts.installs import Put, Removed
from handbook.facts.systemd import Kept, Unit, Units, User

UNITS = "/etc/systemd/system"
INSTALL, UNINSTALL = "install.sh", "uninstall.sh"


@dataclass
class Host:
    """What the folder of a host says. `folder` is a path in the repository, `files` are those in it."""

    folder: str
    files: list[str]
    units: Units
    put: dict[str, Fact[Put]]
    """The path on the host -> what a script puts there."""
    named: set[str]
    """All words of the script that installs: what it makes without a file of the repository stands among them."""
    removed: list[Fact[Removed]]
    removing: set[str] = field(default_factory=set)
    """All words of the script that removes."""
    users: list[Fact[User]] = field(default_factory=list)
    kept: list[Fact[Kept]] = field(default_factory=list)

    @property
    def installer(self) -> Fact[str]:
        """The script that installs."""
        return Fact(INSTALL, f"{self.folder}/{INSTALL}", 1)

    @property
    def services(self) -> list[Unit]:
        """Every service that has a file here, of a template each instance that is named somewhere."""
        return [unit for unit in self.units.all if unit.is_service]

    @property
    def running(self) -> list[Unit]:
        """The services that are there for good: what its targets and timers start, and what tells that one failed.

        Those of packages are not among them.
        """
        started = [unit for unit in self.units.started if unit.is_service and self.units.has_file(unit.name)]
        names = {unit.name for unit in started}
        alarms = (word.value for unit in started for word in unit.words("OnFailure"))
        told = {systemd.template_of(name) for name in alarms} - names
        return [*started, *(unit for name in sorted(told) if (unit := self.units.unit(name)))]

    def environment(self, unit: Unit) -> dict[str, Fact[str]]:
        """The variables of a unit: those of its files, and its own, which count more."""
        found: dict[str, Fact[str]] = {}
        for file in unit.environment_files:
            if given := self.in_repository(file.value):
                found |= env.read(self.units.root, given)
        return found | unit.environment

    def in_repository(self, path: str) -> str | None:
        """The file of the repository that is put to a path of the host."""
        return self.put[path].value.source if path in self.put else None

    def makes(self, path: str) -> bool:
        """Whether what is at a path is put or made by the script that installs, or by systemd-tmpfiles."""
        return path in self.put or path in self.named or path in {fact.value.path for fact in self.kept}


def needs(root: Path, folder: str, files: Sequence[str]) -> list[Fact[str]]:
    """Return what the scripts in a folder take from beside it, as paths in the repository."""
    scripts = (file for file in files if file.startswith(f"{folder}/") and file.endswith(".sh"))
    return [need for file in scripts for need in shell.beside(root, file)]


def read(root: Path, folder: str, files: Sequence[str]) -> Host:
    """Read the folder of a host: `units/`, `sysusers.d/`, `tmpfiles.d/`, and the scripts in it.

    Raises HandbookError for a file that can't be read.
    """
    own = sorted(below(files, [folder]))
    scripts = [file for file in own if posixpath.dirname(file) == folder and file.endswith(".sh")]
    put = {fact.value.target: fact for file in scripts for fact in installs.puts(root, file, files)}
    inside = f"{folder}/units/"
    placed = {
        path.removeprefix(f"{UNITS}/"): fact.value.source
        for path, fact in put.items()
        if path.startswith(f"{UNITS}/") and not fact.value.source.startswith(inside)
    }
    return Host(
        folder=folder,
        files=own,
        units=systemd.read(root, f"{folder}/units", files, placed),
        put=put,
        named=installs.words(root, f"{folder}/{INSTALL}") if f"{folder}/{INSTALL}" in own else set(),
        removed=installs.removes(root, f"{folder}/{UNINSTALL}") if f"{folder}/{UNINSTALL}" in own else [],
        removing=installs.words(root, f"{folder}/{UNINSTALL}") if f"{folder}/{UNINSTALL}" in own else set(),
        users=[fact for file in own if file.startswith(f"{folder}/sysusers.d/") for fact in systemd.users(root, file)],
        kept=[fact for file in own if file.startswith(f"{folder}/tmpfiles.d/") for fact in systemd.kept(root, file)],
    )
