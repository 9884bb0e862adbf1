"""Regions of env files: each variable by its name, `DATABASE_HOST`, and paragraphs by their heading comment."""

from __future__ import annotations

import re

from handbook.regions import Entry, Region, Unreadable, headed
from handbook.regions._text import addresses, split, with_comments

_VARIABLE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)$")


def regions(text: str) -> dict[str, Region]:
    """Map every paragraph and variable in `text` to its lines. Raises Unreadable at a line that is no variable."""
    return addresses(entries(text))


def entries(text: str) -> list[Entry]:
    """Return the paragraphs and the variables of `text`. Raises Unreadable at a line that is no variable."""
    return one_a_line(text, _VARIABLE, "NAME=value")


def one_a_line(text: str, pattern: re.Pattern[str], form: str) -> list[Entry]:
    """Return the paragraphs of `text` and what each line sets, whose `name` and `value` are groups of `pattern`.

    Raises Unreadable at a line that is not of that `form`.
    """
    lines = split(text)
    headings = {paragraph.line for paragraph in headed.paragraphs(text)}
    found = headed.entries(text)
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = pattern.match(line.rstrip("\n"))
        if not match:
            raise Unreadable(f"{line.strip()!r} is not {form}", number)
        first = with_comments(lines, number)
        # The heading names the paragraph, not its first variable.
        first += first in headings
        found.append(Entry([match["name"]], Region(first, number), value=match["value"] or None))
    return found
