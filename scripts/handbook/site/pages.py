"""Judges the pages: every block of code on them must be an address, and every address must be there."""

from __future__ import annotations

import re
from collections.abc import Iterator

from handbook.catalog import Catalog, fences
from handbook.findings import Finding
from handbook.site.shown import Snippets, Unresolved

_HINT = "put the text into a file under snippets/ and show it with a ``` snippet fence"
_RAW = re.compile(r"<(pre|textarea|listing|xmp|plaintext)\b", re.IGNORECASE)
_CODE_SPAN = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")
# Lists, admonitions, tabs, footnotes and definitions: what is four columns deeper belongs to them.
_CONTAINER = re.compile(r"([-*+]|\d+\.|!!!|\?{3}\+?|===[!+]?|\[\^[^\]]+\]:|:)(\s|$)")
_INDENT = 4


def findings(catalog: Catalog, snippets: Snippets | None = None) -> list[Finding]:
    """Return what is wrong with what the pages of `catalog` show, in the order of pages and lines.

    That is: a fence that is not an address, an address that is not there, a highlighted line outside what is shown, a
    block of code that is no fence at all. `snippets` spares reading them twice.
    """
    snippets = snippets or Snippets(catalog)
    found: set[Finding] = set()
    for page in catalog.pages:
        found.update(page.findings)
        for reference in page.references:
            try:
                snippets.show(reference)
            except Unresolved as error:
                found.add(error.finding)
        text = (catalog.root / page.path).read_text(encoding="utf-8")
        found.update(Finding(page.path, line, "fence", message, _HINT) for line, message in _loose_code(text))
    return sorted(found)


def _loose_code(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a page on which code stands that is in no fence, and what it is."""
    lines = text.splitlines()
    fenced: set[int] = set()
    for start, _, body in fences(text):
        fenced.update(range(start, start + len(body) + 2))
    levels = [0]
    after_blank = True
    for number, line in enumerate(lines, 1):
        if not line.strip():
            after_blank = True
            continue
        indent = len(line.expandtabs(_INDENT)) - len(line.lstrip())
        while indent < levels[-1]:
            levels.pop()
        if number in fenced:
            pass
        elif match := _RAW.search(_CODE_SPAN.sub("", line)):
            yield number, f"a raw <{match[1].lower()}> block"
        elif after_blank and indent >= levels[-1] + _INDENT and not line.lstrip().startswith("<"):
            yield number, "an indented code block"
        elif _CONTAINER.match(line.lstrip()):
            levels.append(levels[-1] + _INDENT)
        after_blank = False
