"""What the checks of systemd units share: which units an installation has, and what they set."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from handbook.regions import Unreadable, ini

SUFFIXES = ("service", "timer", "socket", "target", "path")

_NAME = re.compile(rf"[\w:.\\-]+(?:@[^\s@/]*)?\.(?:{'|'.join(SUFFIXES)})")


@dataclass(frozen=True)
class Setting:
    """One line of a unit: `key` in `section`, which stands at `line` of the file at `path`."""

    path: str
    section: str
    key: str
    value: str
    line: int


def settings(root: Path, paths: Sequence[str]) -> Iterator[Setting]:
    """Yield what the units and drop-ins at `paths` set. What can't be read is for systemd to tell: it is left out."""
    for path in paths:
        text = (root / path).read_text(encoding="utf-8")
        lines = text.splitlines()
        try:
            sections = ini.entries(text)
        except Unreadable:
            continue
        for section in sections:
            for entry in section.children:
                line = entry.region.first
                while lines[line - 1].lstrip().startswith(("#", ";")):
                    line += 1
                yield Setting(path, section.names[0], entry.names[0], entry.value or "", line)


def named(value: str) -> list[str]:
    """Return the names of units in a value; whoever made a name with a specifier before its `@` knows it alone."""
    return [word for word in value.split() if _NAME.fullmatch(word) and "%" not in word.partition("@")[0]]


def template(name: str) -> str:
    """Return the name of the file that makes the unit `name`: that of the template for an instance."""
    return re.sub(r"@.*\.(\w+)$", r"@.\1", name)


def units(origin: Mapping[str, str], found: Sequence[Setting]) -> dict[str, str]:
    """Return the path of the file of each unit that is installed, and of a drop-in for each that a package brings.

    Of a template, the instances that somebody names: another unit, or a folder of drop-ins. One that nobody names has
    the instance `example`.
    """
    places = [PurePosixPath(place) for place in origin]
    files = {place.name: origin[str(place)] for place in places if place.suffix[1:] in SUFFIXES}
    folders = {
        place.parent.name.removesuffix(".d"): origin[str(place)]
        for place in places
        if place.parent.name.endswith(".d") and "." in place.parent.name.removesuffix(".d")
    }
    of_packages = {
        name: path
        for name, path in folders.items()
        if template(name) not in files and not name.rpartition(".")[0].endswith("-")
    }
    instances = {name for setting in found for name in named(setting.value) if "%" not in name} | folders.keys()
    every: dict[str, str] = {}
    for name, path in sorted((of_packages | files).items()):
        prefix, at, suffix = name.partition("@.")
        own = sorted(other for other in instances if other != name and template(other) == name) if at else [name]
        every |= dict.fromkeys(own or [f"{prefix}@example.{suffix}"], path)
    return every
