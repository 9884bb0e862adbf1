"""What the finders share: lines, the comments above an entry, and names that tell siblings apart."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence

from handbook.regions import Entry, Region


def split(text: str) -> list[str]:
    """Return the lines of `text` with their ends. Only a newline ends a line, as in every parser here."""
    return list(io.StringIO(text))


def with_comments(lines: Sequence[str], first: int, marks: tuple[str, ...] = ("#",)) -> int:
    """Return the first line (from 1) of the entry that starts on line `first`, its own comments included.

    An entry's own comments are the lines directly above it, without a blank line between, at the same indentation.
    """
    own = indent(lines[first - 1])
    while first > 1:
        above = lines[first - 2]
        if not above.lstrip().startswith(marks) or indent(above) != own:
            break
        first -= 1
    return first


def indent(line: str) -> str:
    """Return the blanks that `line` starts with."""
    return line[: len(line) - len(line.lstrip())]


def addresses(entries: Sequence[Entry]) -> dict[str, Region]:
    """Map the address of every entry to its region, in the order of the file."""
    return {address: entry.region for address, entry in walk(entries)}


def walk(entries: Sequence[Entry], prefix: str = "") -> Iterator[tuple[str, Entry]]:
    """Yield every entry with its address, in the order of the file.

    A name that several siblings could have is nobody's: those get their first name with an index, from 0, behind it.
    """
    owners = Counter(name for entry in entries for name in set(entry.names))
    seen: Counter[str] = Counter()
    for entry in entries:
        first = entry.names[0]
        names = [name for name in dict.fromkeys(entry.names) if owners[name] == 1]
        if owners[first] > 1:
            names.append(f"{first}[{seen[first]}]")
            seen[first] += 1
        for name in names:
            yield prefix + name, entry
            yield from walk(entry.children, f"{prefix}{name}.")
