"""Finds the lines of a region by the file's own structure.

Each module here is a finder for a family of files: `regions(text) -> dict[str, Region]` maps every address that the
file has to its first and last line, in the order of the file; `entries(text)` gives the same as a tree, with values.
Both raise Unreadable, a SyntaxError, for a text that they can't read. The catalog names the finder of each kind. A
comment that stands directly above an entry, at its indentation, belongs to it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from pkgutil import iter_modules
from typing import NamedTuple


class Region(NamedTuple):
    """First and last line of a region, counted from 1, both included."""

    first: int
    last: int


@dataclass
class Entry:
    """A part of a file that can be addressed.

    `names` are what it could be called among its siblings, best first. `value` is what it holds when that is
    one value, as the file writes it but without quotes.
    """

    names: list[str]
    region: Region
    children: list[Entry] = field(default_factory=list)
    value: str | None = None


class Unreadable(SyntaxError):
    """The text can't be read as its family; `line` says where (0: nothing tells). Never a fault of a finder's own."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = self.lineno = line


class NoSuchRegion(LookupError):
    """The address is not in the file. The message names those like it, and lists what is."""


def finders() -> tuple[str, ...]:
    """The names of all finders."""
    return tuple(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))


def entries(family: str, text: str) -> dict[str, Entry]:
    """Return all that can be addressed in `text`, a file of the given family (a module name of this folder).

    It maps every address to its entry, which has a region and may hold a value, in the order of the file. Raises
    Unreadable when the text can't be read as that family.
    """
    found = import_module(f"handbook.regions.{family}").entries(text)
    return dict(import_module("handbook.regions._text").walk(found))


def of(family: str, text: str) -> dict[str, Region]:
    """Return all regions of `text`, a file of the given family.

    Raises Unreadable when the text can't be read as that family.
    """
    return {address: entry.region for address, entry in entries(family, text).items()}


def find(family: str, text: str, address: str) -> Region:
    """Return the lines of `address` in `text`, a file of the given family.

    Raises NoSuchRegion when it is not there and Unreadable when the text can't be read as that family.
    """
    return pick(of(family, text), address)


def pick(found: Mapping[str, Region], address: str) -> Region:
    """Return the lines of `address`, one of the regions that `of` found. Raises NoSuchRegion when it is not."""
    if address in found:
        return found[address]
    parent = max((a for a in found if address.startswith(f"{a}.")), key=len, default="")
    there = ", ".join(_children(found, parent)) or "no regions"
    near: dict[Region, str] = {}
    for name in get_close_matches(address, found, cutoff=0.7):
        # One name a part, and not what is inside of it.
        if not any(name.startswith(f"{other}.") for other in near.values()):
            near.setdefault(found[name], name)
    meant = f"did you mean {', '.join(near.values())}? " if near else ""
    raise NoSuchRegion(f"no region {address!r}; {meant}{parent or 'the file'} has: {there}")


def value(family: str, text: str, address: str) -> str:
    """Return the one value at `address`, as it is written: a YAML scalar, the arguments of a directive, a constant.

    Raises ValueError when the region holds no value or several, and what `find` raises.
    """
    found = entries(family, text)
    pick({name: entry.region for name, entry in found.items()}, address)
    return single(found, address)


def single(found: Mapping[str, Entry], address: str) -> str:
    """Return the one value of an address that `entries` found. Raises ValueError when it holds no value or several."""
    held = found[address].value
    if held is None:
        raise ValueError(f"{address!r} does not hold one value")
    return held


def _children(found: Mapping[str, Region], parent: str) -> Iterable[str]:
    """The addresses one level below `parent` ("": the top level), each part of the file once."""
    start = f"{parent}." if parent else ""
    below = [address for address in found if address.startswith(start)]
    shown: dict[Region, str] = {}
    known = set(below)
    for address in below:
        rest = address.removeprefix(start)
        ends = (index for index, letter in enumerate(rest) if letter == ".")
        if not any(start + rest[:end] in known for end in ends):
            shown.setdefault(found[address], address)
    return shown.values()


def cut(text: str, region: Region) -> str:
    """Return the lines of `region`, each with its line end."""
    return "".join(list(io.StringIO(text))[region.first - 1 : region.last])
