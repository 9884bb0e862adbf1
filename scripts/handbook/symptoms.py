"""The symptoms that pages name: the exact texts that one sees when something goes wrong.

A page's section "When it goes wrong", or a whole page about troubleshooting, has one heading of the third level a
symptom, which holds the text in backticks. A test makes a stack show each of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markdown.extensions.toc import slugify

from handbook.catalog import Catalog

SECTION = "When it goes wrong"
_HEADING = re.compile(r"### (`+) ?(?P<text>.+?) ?\1")
_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
_WHOLE = "Troubleshooting"


@dataclass(frozen=True)
class Answer:
    """Where a symptom is explained: the page (path in the repository), its title, and the heading's id."""

    page: str
    title: str
    anchor: str


def headings(page: Path) -> list[str]:
    """The headings of symptoms on a page, as written; on a page without such a section, all of the third level."""
    text = f"\n{page.read_text(encoding='utf-8')}\n## "
    section = text.partition(f"\n## {SECTION}\n")[2].partition("\n## ")[0]
    return [line for line in (section or text).splitlines() if line.startswith("###")]


def text_of(heading: str) -> str | None:
    """The text that a heading of a symptom holds; None when it is none."""
    match = _HEADING.fullmatch(heading)
    return match["text"] if match else None


def answers(catalog: Catalog) -> dict[str, list[Answer]]:
    """Every symptom of the handbook, in the order of the alphabet, with where its answers are."""
    found: dict[str, list[Answer]] = {}
    for page in catalog.pages:
        path = catalog.root / page.path
        text = path.read_text(encoding="utf-8")
        title = match[1] if (match := _TITLE.search(text)) else page.path
        if f"\n## {SECTION}\n" in text or title.startswith(_WHOLE):
            for symptom in filter(None, map(text_of, headings(path))):
                found.setdefault(symptom, []).append(Answer(page.path, title, slugify(symptom, "-")))
    return dict(sorted(found.items(), key=lambda item: item[0].strip('("').casefold()))
