"""What was measured and is committed: `snippets/measured/<stack>.json`, which pages draw and contracts read.

What belongs to no stack has the name of its benchmark instead.

A file has sections; each says what was measured, on which machine and on which day. They are written by `make bench`,
whole sections at a time, and never by hand.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handbook.catalog import ROOT
from handbook.findings import HandbookError

FOLDER = "snippets/measured"
BYTES = "bytes"
"""The unit of what is shown in megabytes."""

_MEMORY = "build/memory"


@dataclass(frozen=True)
class Section:
    """One measurement: numbers by the names of what was measured, in the order in which they are shown.

    One with a title is a chart, and then all its numbers have one unit.
    """

    numbers: Mapping[str, float]
    machine: str
    date: str
    title: str = ""
    unit: str = ""

    def as_json(self) -> dict[str, Any]:
        """What the file holds. The numbers of a chart are its `bars`; others stand in the section itself."""
        where = {"machine": self.machine, "date": self.date}
        if self.title:
            return {"title": self.title, "unit": self.unit, "bars": dict(self.numbers), **where}
        return {**self.numbers, **where}


def path(stack: str) -> str:
    """The file with the measurements of a stack, as a path in the repository."""
    return f"{FOLDER}/{_slug(stack)}.json"


def _slug(stack: str) -> str:
    return stack.replace("/", "-")


def read(root: Path, file: str) -> dict[str, Section]:
    """Return the sections of a file, by name; none when it is not there.

    Raises HandbookError, with the file and the section, for what is not of this form.
    """
    if not (root / file).exists():
        return {}
    try:
        whole = json.loads((root / file).read_text(encoding="utf-8"))
    except ValueError as error:
        raise HandbookError(f"{file}: not JSON: {error}") from None
    return {name: _section(f"{file}#{name}", content) for name, content in whole.items()}


def _section(address: str, content: Any) -> Section:
    hint = "run `make bench`"
    if not isinstance(content, dict):
        raise HandbookError(f"{address}: not a measurement; {hint}")
    rest = dict(content)
    words = {name: rest.pop(name, "") for name in ("title", "unit", "machine", "date")}
    numbers = rest.pop("bars", None) if words["title"] else rest
    missing = [name for name in ("machine", "date", *(("unit",) if words["title"] else ())) if not words[name]]
    if missing:
        raise HandbookError(f"{address}: says no {', '.join(missing)}; {hint}")
    if not isinstance(numbers, dict) or not numbers or (words["title"] and rest):
        raise HandbookError(f"{address}: a chart has bars and nothing else, any other section numbers; {hint}")
    if wrong := [name for name, number in numbers.items() if not isinstance(number, int | float) or number < 0]:
        raise HandbookError(f"{address}: no number of 0 or more: {', '.join(wrong)}; {hint}")
    return Section(numbers, **words)


def keep(
    stack: str,
    name: str,
    numbers: Mapping[str, float],
    *,
    date: str,
    title: str = "",
    unit: str = "",
    root: Path = ROOT,
) -> str:
    """Put a section into the file of a stack, in the place of the older one, and return the path of the file.

    With a title and a unit it is a chart. Raises HandbookError when there is nothing to keep.
    """
    file = path(stack)
    section = Section(numbers, machine(), date, title, unit)
    sections = {**read(root, file), name: _section(f"{file}#{name}", section.as_json())}
    (root / FOLDER).mkdir(parents=True, exist_ok=True)
    whole = {each: sections[each].as_json() for each in sorted(sections)}
    (root / file).write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    return file


def machine() -> str:
    """Say what machine this is, without a name that is its own."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    kernel = ".".join(platform.release().split(".")[:2])
    return f"{os.cpu_count()} cores, {memory / 2**30:.0f} GB, {platform.system()} {kernel}, {platform.machine()}"


def saw_memory(stack: str, peaks: Mapping[str, int], root: Path = ROOT) -> None:
    """Remember the bytes that each service of a booted stack needed at most, until `make bench` asks for them."""
    folder = root / _MEMORY
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{_slug(stack)}.json").write_text(json.dumps(peaks, indent=1) + "\n", encoding="utf-8")


def memory_seen(stack: str, root: Path = ROOT) -> dict[str, int]:
    """Return what was remembered of a stack; nothing when it has not booted, or its memory could not be seen."""
    file = root / _MEMORY / f"{_slug(stack)}.json"
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}
