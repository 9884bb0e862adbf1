"""Regions of files in sections: systemd units, INI and TOML. `Service` is a section, `Service.ExecStart` a key of it.

Keys above the first section stand for themselves. A section or key that is repeated is counted from 0: `Service[0]`,
`Service.Environment[1]`. A value goes on as its format lets it: behind a backslash (systemd), in indented lines (INI),
up to the closing bracket or quotes (TOML).
"""

from __future__ import annotations

import re
import tomllib

from handbook.regions import Entry, Region, Unreadable
from handbook.regions._text import addresses, indent, split, with_comments

_SECTION = re.compile(r"\[{1,2}\s*(?P<name>[^\[\]]+?)\s*\]{1,2}\s*([#;].*)?$")
_KEY = re.compile(r"(?P<key>[^\s=:#;\[][^=:]*?)\s*[=:]\s*(?P<value>.*)$")
_MARKS = ("#", ";")


def regions(text: str) -> dict[str, Region]:
    """Map every section and key in `text` to its lines. Raises Unreadable at a line that is neither."""
    return addresses(entries(text))


def entries(text: str) -> list[Entry]:
    """Return the sections of `text`, with their keys. Raises Unreadable at a line that is neither."""
    lines = split(text)
    found: list[Entry] = []
    section: Entry | None = None
    number = 1
    while number <= len(lines):
        line = lines[number - 1].rstrip("\n")
        last = number
        if not line.strip() or line.lstrip().startswith(_MARKS):
            pass
        elif match := _SECTION.match(line.strip()):
            section = Entry([match["name"]], Region(with_comments(lines, number, _MARKS), number))
            found.append(section)
        elif match := _KEY.match(line.strip()):
            last, value = _value(lines, number, match["value"])
            entry = Entry([match["key"].strip("\"'")], Region(with_comments(lines, number, _MARKS), last), value=value)
            if section:
                section.children.append(entry)
                section.region = Region(section.region.first, last)
            else:
                found.append(entry)
        else:
            raise Unreadable(f"{line.strip()!r} is neither a section nor a key with a value", number)
        number = last + 1
    return found


def _value(lines: list[str], number: int, start: str) -> tuple[int, str | None]:
    """Return the last line of the value that starts on line `number` with `start`, and the value."""
    if start.startswith(("[", "{", '"', "'")):
        for last in range(number, len(lines) + 1):
            try:
                value = tomllib.loads("x = " + "".join([start + "\n", *lines[number:last]]))["x"]
            except tomllib.TOMLDecodeError:
                continue
            return last, value if isinstance(value, str) else None
    own = indent(lines[number - 1])
    last, parts = number, [start]
    while last < len(lines):
        following = lines[last]
        if parts[-1].endswith("\\"):
            # systemd skips comments between the lines of one value.
            if not following.lstrip().startswith(_MARKS):
                parts[-1] = parts[-1][:-1].rstrip()
                parts.append(following.strip())
        elif following.strip() and indent(following) > own and not following.lstrip().startswith(_MARKS):
            parts.append(following.strip())
        else:
            break
        last += 1
    text = " ".join(part for part in parts if part)
    return last, text or None
