"""Reads files of environment variables: `NAME=value` a line."""

from __future__ import annotations

import re
from pathlib import Path

from handbook.facts import Fact, text_of, unreadable

_LINE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)")


def read(root: Path, path: str) -> dict[str, Fact[str]]:
    """Return the variables of a file, by name. Raises HandbookError for a line that sets nothing or a name set twice.

    Only what Compose, `docker run --env-file` and systemd read alike is taken: no `export`.
    """
    found: dict[str, Fact[str]] = {}
    for number, line in enumerate(text_of(root, path).splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if not match:
            raise unreadable(path, number, f"{line.strip()!r} is not NAME=value")
        name, value = match["name"], match["value"]
        if name in found:
            raise unreadable(path, number, f"{name} is set in line {found[name].line} already")
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        found[name] = Fact(value, path, number)
    return found
