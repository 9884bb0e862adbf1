"""Regions of files with an option a line, as Redis has them: `maxmemory`, and paragraphs by their heading comment."""

from __future__ import annotations

import re

from handbook.regions import Entry, Region
from handbook.regions._text import addresses
from handbook.regions.env import one_a_line

_OPTION = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9-]*)(?:[ \t]+(?P<value>.*?))?[ \t]*$")


def regions(text: str) -> dict[str, Region]:
    """Map every paragraph and option in `text` to its lines. Raises Unreadable at a line that is no option."""
    return addresses(entries(text))


def entries(text: str) -> list[Entry]:
    """Return the paragraphs and the options of `text`. Raises Unreadable at a line that is no option."""
    return one_a_line(text, _OPTION, "an option and its value")
