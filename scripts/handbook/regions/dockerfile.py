"""Regions of a Dockerfile: stages by name or index, `runtime`, and their instructions, `runtime.HEALTHCHECK`.

Repeated instructions of a stage are counted from 0: `runtime.COPY[1]`. An `ARG` above the first stage stands alone.
"""

from __future__ import annotations

import re

import dockerfile

from handbook.regions import Entry, Region, Unreadable
from handbook.regions._text import addresses, split, with_comments

_DIRECTIVE = re.compile(r"#\s*(syntax|escape|check)\s*=", re.IGNORECASE)
_LINE = re.compile(r"\bline (\d+)")


def regions(text: str) -> dict[str, Region]:
    """Map every stage and instruction in `text` to its lines. Raises Unreadable when BuildKit can't read it."""
    return addresses(entries(text))


def entries(text: str) -> list[Entry]:
    """Return the stages of `text`, with their instructions. Raises Unreadable when BuildKit can't read it."""
    lines = split(text)
    try:
        commands = dockerfile.parse_string(text)
    except dockerfile.GoParseError as error:
        line = _LINE.search(str(error))
        raise Unreadable(str(error), int(line[1]) if line else 0) from None
    found: list[Entry] = []
    stages = 0
    for command in commands:
        name = command.cmd.upper()
        first = with_comments(lines, command.start_line)
        while first < command.start_line and _DIRECTIVE.match(lines[first - 1]):
            first += 1
        entry = Entry([name], Region(first, command.end_line), value=" ".join((*command.flags, *command.value)))
        if name == "FROM":
            words = list(command.value)
            alias = [words[2]] if len(words) == 3 else []
            found.append(Entry([*alias, str(stages)], entry.region, [entry]))
            stages += 1
        elif stages:
            stage = found[-1]
            stage.children.append(entry)
            stage.region = Region(stage.region.first, command.end_line)
        else:
            found.append(entry)
    return found
