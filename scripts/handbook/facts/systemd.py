"""Reads what systemd is told: its units with all that is dropped into them, and lines of sysusers.d and tmpfiles.d.

https://www.freedesktop.org/software/systemd/man/257/systemd.unit.html and systemd.syntax.html
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from handbook.facts import Fact, quantities, text_of, unreadable

# What the manager does when a unit does not say it: systemd-system.conf.html
STOP_SECONDS = "90s"
# Where the folders are that a unit asks for by name: systemd.exec.html#RuntimeDirectory=
FOLDERS = {
    "RuntimeDirectory": "/run",
    "StateDirectory": "/var/lib",
    "CacheDirectory": "/var/cache",
    "LogsDirectory": "/var/log",
}
_ROOTS = {"t": "/run", "S": "/var/lib", "C": "/var/cache", "L": "/var/log", "E": "/etc", "T": "/tmp", "V": "/var/tmp"}
_NAME = re.compile(r"(?P<prefix>[^@]+)(?:@(?P<instance>.*))?\.(?P<type>\w+)")
_KINDS = ("service", "socket", "target", "timer", "path", "mount", "slice")


@dataclass(frozen=True)
class Entry:
    """One `Key=value`, in the section that it stands in."""

    section: str
    key: str
    value: Fact[str]


@dataclass
class Unit:
    """A unit with everything that is dropped into it. `at` is its file, or the first drop-in when it has none here."""

    name: str
    at: Fact[str]
    entries: list[Entry] = field(default_factory=list)

    @property
    def instance(self) -> str:
        """What stands between `@` and the dot; nothing for a template and for a plain unit."""
        return _parts(self.name)["instance"] or ""

    @property
    def is_service(self) -> bool:
        return self.name.endswith(".service")

    def values(self, key: str, section: str = "Service") -> list[Fact[str]]:
        """What a key is set to, in order; an empty value takes away all before it. Specifiers are filled in."""
        found: list[Fact[str]] = []
        for entry in self.entries:
            if (entry.section, entry.key) == (section, key):
                found = [*found, entry.value] if entry.value.value else []
        return [fact.read(self.filled) for fact in found]

    def value(self, key: str, section: str = "Service") -> Fact[str] | None:
        """The value that counts of a key that takes one: the last."""
        found = self.values(key, section)
        return found[-1] if found else None

    def words(self, key: str, section: str = "Unit") -> list[Fact[str]]:
        """The words of all values of a key, such as the units in `Wants=`."""
        return [fact.having(word) for fact in self.values(key, section) for word in fact.read(shlex.split).value]

    def filled(self, text: str) -> str:
        """Fill in the specifiers of a text. Raises ValueError for one that is not read here.

        https://www.freedesktop.org/software/systemd/man/257/systemd.unit.html#Specifiers
        """
        parts = _parts(self.name)
        known = {
            **_ROOTS,
            "n": self.name,
            "N": self.name.rpartition(".")[0],
            "p": parts["prefix"],
            "i": self.instance,
            "d": self.credentials_folder,
            "%": "%",
        }

        def fill(match: re.Match[str]) -> str:
            if match[1] not in known:
                raise ValueError(f"the specifier {match[0]} is not read here")
            return known[match[1]]

        return re.sub(r"%(.)", fill, text)

    @property
    def credentials_folder(self) -> str:
        """The folder that the unit reads its credentials from, `%d`."""
        return f"/run/credentials/{self.name}"

    def commands(self, key: str = "ExecStart") -> list[Fact[tuple[str, ...]]]:
        """The words of each command, without what systemd takes off the first one (`-`, `+`, `!`, `:`, `@`, `|`)."""
        return [fact.read(lambda text: tuple(shlex.split(text.lstrip("-+!:@|")))) for fact in self.values(key)]

    @property
    def environment(self) -> dict[str, Fact[str]]:
        """The variables that the unit sets itself; those of its files come before them, and count less."""
        found: dict[str, Fact[str]] = {}
        for word in self.words("Environment", "Service"):
            name, equals, value = word.value.partition("=")
            if not equals:
                raise unreadable(word.path, word.line, f"{word.value!r} is not NAME=value")
            found[name] = word.having(value)
        return found

    @property
    def environment_files(self) -> list[Fact[str]]:
        """The paths of its files of variables, also of those that may be missing (`-` before the path)."""
        return [fact.having(fact.value.removeprefix("-")) for fact in self.values("EnvironmentFile")]

    @property
    def credentials(self) -> dict[str, Fact[str]]:
        """The name of each credential that is loaded -> where it is loaded from; its own name where none is given."""
        pairs = ((fact, *fact.value.partition(":")) for fact in self.values("LoadCredential"))
        return {name: fact.having(source or name) for fact, name, _, source in pairs}

    @property
    def folders(self) -> dict[str, Fact[str]]:
        """The folders that systemd makes for it -> the same, where it is asked for."""
        found = {}
        for key, above in FOLDERS.items():
            for word in self.words(key, "Service"):
                path = posixpath.join(above, word.value.partition(":")[0])
                found[path] = word.having(path)
        return found

    @property
    def writable(self) -> list[Fact[str]]:
        """The folders that it may write to though `ProtectSystem=strict` makes all others read-only.

        Where it has a /tmp of its own, that one and /var/tmp; always /dev/shm.
        """
        paths = [fact.having(fact.value.lstrip("-+")) for fact in self.words("ReadWritePaths", "Service")]
        own = self.value("PrivateTmp")
        if own and own.value.lower() in ("yes", "true", "on", "1", "disconnected"):
            paths += [own.having("/tmp"), own.having("/var/tmp")]
        return [*paths, *self.folders.values(), self.at.having("/dev/shm")]

    def seconds(self, key: str, section: str = "Service") -> Fact[float] | None:
        """A span of time. `TimeoutSec=` stands for `TimeoutStartSec=` and `TimeoutStopSec=`."""
        found = self.value(key, section)
        if found is None and key in ("TimeoutStartSec", "TimeoutStopSec"):
            found = self.value("TimeoutSec", section)
        return found.read(quantities.systemd_seconds) if found else None

    @property
    def stop_seconds(self) -> Fact[float]:
        """How long a stop may take before it is killed."""
        return self.seconds("TimeoutStopSec") or self.at.having(quantities.systemd_seconds(STOP_SECONDS))

    @property
    def memory_bytes(self) -> Fact[int] | None:
        """`MemoryMax=`; None: nothing limits it."""
        found = self.value("MemoryMax")
        return found.read(quantities.size_bytes) if found and found.value != "infinity" else None

    @property
    def type(self) -> str:
        """`Type=`, which is `simple` for a service that does not say it."""
        found = self.value("Type")
        return found.value if found else "simple"

    @property
    def runs_once(self) -> bool:
        """Whether it is done when its command has ended."""
        return self.type == "oneshot"


@dataclass
class Units:
    """The units of a folder. `folder` is a path in the repository."""

    folder: str
    root: Path
    fragments: dict[str, str] = field(default_factory=dict)
    """The name of each unit or template that has a file -> that file."""
    drop_ins: dict[str, dict[str, str]] = field(default_factory=dict)
    """The name of each folder of drop-ins -> its files, by their names."""

    def unit(self, name: str) -> Unit | None:
        """The unit of a name; None when nothing here is about it. An instance takes the file of its template."""
        fragment = self.fragments.get(name) or self.fragments.get(template_of(name))
        paths = [*([fragment] if fragment else []), *self._dropped_into(name)]
        if not paths:
            return None
        entries = [entry for path in paths for entry in entries_of(self.root, path)]
        return Unit(name, Fact(name, paths[0], 1), entries)

    def has_file(self, name: str) -> bool:
        """Whether the file of a unit, or that of its template, is here."""
        return name in self.fragments or template_of(name) in self.fragments

    def _dropped_into(self, name: str) -> list[str]:
        """The drop-ins of a unit in the order in which they count: by file name, whichever folder holds them.

        Of two with one name, only that of the more specific folder counts.
        """
        found: dict[str, str] = {}
        for folder in (*_drop_in_folders(name), f"{name.rpartition('.')[2]}.d"):
            found = {**self.drop_ins.get(folder, {}), **found}
        return [found[file] for file in sorted(found)]

    def start(self, *names: str) -> list[Unit]:
        """The units of these names, and all that they want, require or start in time, of which something is here."""
        found: dict[str, Unit] = {}
        waiting = list(names)
        while waiting:
            name = waiting.pop(0)
            if name not in found and (unit := self.unit(name)):
                found[name] = unit
                waiting += [word.value for key in ("Wants", "Requires", "BindsTo") for word in unit.words(key)]
                if name.endswith(".timer"):
                    same = f"{name.removesuffix('.timer')}.service"
                    waiting.append(own.value if (own := unit.value("Unit", "Timer")) else same)
        return list(found.values())

    @property
    def targets(self) -> list[str]:
        """The names of its targets."""
        return [name for name in self.fragments if name.endswith(".target")]

    @property
    def started(self) -> list[Unit]:
        """What its targets start: what they want or require, and what is installed for them."""
        installed = [unit for name in self.fragments if (unit := self.unit(name))]
        wanting = [(unit, word.value) for unit in installed for word in unit.words("WantedBy", "Install")]
        return self.start(*self.targets, *(unit.name for unit, by in wanting if by in self.targets))

    @property
    def all(self) -> list[Unit]:
        """Every unit that has a file here. Of a template: the instances that something names, else itself."""
        named = {folder.removesuffix(".d") for folder in self.drop_ins}
        for unit in self.start(*self.fragments):
            named |= {word.value for key in ("Wants", "Requires", "After") for word in unit.words(key)}
        found: list[Unit] = []
        for name in self.fragments:
            instances = sorted(other for other in named if other != name and template_of(other) == name)
            units = (self.unit(each) for each in (instances or [name]))
            found += [unit for unit in units if unit]
        return found


def read(root: Path, folder: str, files: Iterable[str], placed: Mapping[str, str] | None = None) -> Units:
    """Read the units in a folder of the repository.

    `placed` are drop-ins from elsewhere: the path that each has in the folder of units -> the file of the repository.
    """
    units = Units(folder, root)
    inside = {file.removeprefix(f"{folder}/"): file for file in files if file.startswith(f"{folder}/")}
    for name, path in sorted({**inside, **(placed or {})}.items()):
        above, file = posixpath.split(name)
        if above.endswith(".d") and file.endswith(".conf"):
            units.drop_ins.setdefault(above, {})[file] = path
        elif not above and file.rpartition(".")[2] in _KINDS:
            units.fragments[file] = path
    return units


def entries_of(root: Path, path: str) -> list[Entry]:
    """Read one file. Raises HandbookError for a line that is no section, no `Key=value` and no comment."""
    found: list[Entry] = []
    section = ""
    for number, line in _joined(text_of(root, path)):
        if match := re.fullmatch(r"\[([^\[\]]+)\]", line):
            section = match[1]
            continue
        key, equals, value = line.partition("=")
        if not equals or not section:
            reason = "stands in no section" if equals else "is neither [Section] nor Key=value"
            raise unreadable(path, number, f"{line!r} {reason}")
        found.append(Entry(section, key.strip(), Fact(value.strip(), path, number)))
    return found


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line with its number; one that ends with a backslash goes on in the next that is no comment."""
    begun: tuple[int, str] | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line.startswith(("#", ";")) or not (line or begun):
            continue
        first, before = begun or (number, "")
        begun = None
        if line.endswith("\\"):
            begun = (first, f"{before}{line[:-1].rstrip()} ")
        else:
            yield first, f"{before}{line}"
    if begun:
        yield begun[0], begun[1].rstrip()


def _parts(name: str) -> re.Match[str]:
    match = _NAME.fullmatch(name)
    if not match:
        raise ValueError(f"{name!r} is not the name of a unit")
    return match


def template_of(name: str) -> str:
    """The template of an instance; of anything else the name itself."""
    parts = _NAME.fullmatch(name)
    if parts is None or parts["instance"] is None:
        return name
    return f"{parts['prefix']}@.{parts['type']}"


def _drop_in_folders(name: str) -> Iterator[str]:
    """Yield the folders of drop-ins of a unit, the most specific one first: its own, its template's, those of prefixes.

    A prefix ends with a dash: `assistant-.service.d` is for every service whose name begins with `assistant-`.
    https://github.com/systemd/systemd/blob/v257/src/shared/dropin.c (unit_file_find_dirs)
    """
    parts = _parts(name)
    yield f"{name}.d"
    if parts["instance"]:
        yield from _drop_in_folders(template_of(name))
    if above := re.fullmatch(r"(.+-)[^-]+-?", parts["prefix"]):
        instance = f"@{parts['instance']}" if parts["instance"] else ""
        yield from _drop_in_folders(f"{above[1]}{instance}.{parts['type']}")


@dataclass(frozen=True)
class User:
    """A user or a group that systemd-sysusers makes."""

    name: str
    is_group: bool
    """Whether only a group is made; a user has a group of its own name, too."""


def users(root: Path, path: str) -> list[Fact[User]]:
    """Read a file of sysusers.d. Raises HandbookError for a line of a type that it does not have.

    https://www.freedesktop.org/software/systemd/man/257/sysusers.d.html
    """
    found = []
    for fact in _lines(root, path):
        kind, *rest = fact.read(shlex.split).value
        if kind not in ("u", "u!", "g", "m", "r") or not rest:
            raise unreadable(path, fact.line, f"{fact.value!r} is not a line of sysusers.d")
        if kind[0] in "ug":
            found.append(fact.having(User(rest[0], kind == "g")))
    return found


@dataclass(frozen=True)
class Kept:
    """A file or folder that systemd-tmpfiles makes. What is not said is ""."""

    path: str
    is_folder: bool
    mode: str = ""
    user: str = "root"
    group: str = "root"


def kept(root: Path, path: str) -> list[Fact[Kept]]:
    """Read the files and folders that a file of tmpfiles.d makes. Raises HandbookError for a line without a path.

    https://www.freedesktop.org/software/systemd/man/257/tmpfiles.d.html
    """
    found = []
    for fact in _lines(root, path):
        words = fact.read(shlex.split).value
        if len(words) < 2 or not words[1].startswith(("/", "%")):
            raise unreadable(path, fact.line, f"{fact.value!r} is not a line of tmpfiles.d")
        if words[0][0] in "dDqQvfF":
            mode, user, group = (*(word if word != "-" else "" for word in words[2:5]), "", "", "")[:3]
            made = Kept(words[1].rstrip("/"), words[0][0] not in "fF", mode, user or "root", group or "root")
            found.append(fact.having(made))
    return found


def _lines(root: Path, path: str) -> Iterator[Fact[str]]:
    for number, line in enumerate(text_of(root, path).splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield Fact(line.strip(), path, number)
