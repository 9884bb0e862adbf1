"""Regions of anything with comments: paragraphs under a heading comment. `start-it` stands under `# Start it`.

A heading is a comment at the very start of a line that opens the file or follows a blank line; a shebang and a
directive to ShellCheck are none, and neither is a line of a here-document. Its paragraph is what stands below it up to
the next heading, without blank lines at both ends. Every other comment, also a second line under the heading, is an
ordinary one and belongs to the paragraph. A heading with nothing below it has no region.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from handbook.regions import Entry, Region
from handbook.regions._text import addresses, split

_HEADING = re.compile(r"(#+|--+|//+|;+)[ \t]+(?P<title>.*\w.*?)[ \t]*$")
_DIRECTIVE = re.compile(r"#[ \t]*shellcheck[ \t]")
_HERE_DOCUMENT = re.compile(r"(?<!<)<<-?[ \t]*(?P<quote>['\"]?)(?P<word>[A-Za-z_]\w*)(?P=quote)")


@dataclass(frozen=True)
class Paragraph:
    """What stands under one heading comment. `line` is the heading's own line."""

    title: str
    line: int
    region: Region

    @property
    def slug(self) -> str:
        """The title as an address: lower-case words with hyphens."""
        return re.sub(r"[\W_]+", "-", self.title.lower()).strip("-")


def regions(text: str) -> dict[str, Region]:
    """Map the slug of every heading in `text` to the lines below it."""
    return addresses(entries(text))


def entries(text: str) -> list[Entry]:
    """Return the paragraphs of `text`."""
    return [Entry([paragraph.slug], paragraph.region) for paragraph in paragraphs(text)]


def paragraphs(text: str) -> list[Paragraph]:
    """Return the paragraphs of `text` that have a heading, in order."""
    lines = split(text)
    headings = _headings(lines)
    found = []
    starts = [line for line, _ in headings]
    ends = [*(start - 1 for start in starts[1:]), len(lines)]
    for (line, title), end in zip(headings, ends, strict=False):
        filled = [number for number in range(line + 1, end + 1) if lines[number - 1].strip()]
        if filled:
            found.append(Paragraph(title, line, Region(filled[0], filled[-1])))
    return found


def _headings(lines: list[str]) -> list[tuple[int, str]]:
    found = []
    closing = ""
    above = ""
    for number, line in enumerate(lines, 1):
        if closing:
            closing = "" if line.strip() == closing else closing
        elif not above.strip() and (match := _HEADING.match(line)) and not _DIRECTIVE.match(line):
            found.append((number, match["title"]))
        elif (here := _HERE_DOCUMENT.search(line)) and not line.lstrip().startswith("#"):
            # Two less-than signs with no closing word below are a shift, not a here-document.
            closing = here["word"] if any(below.strip() == here["word"] for below in lines[number:]) else ""
        above = line
    return found
