"""Links in Markdown lead to files that are there; the build of the site judges those to headings."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from markdown import Markdown

from handbook.checks._tool import wheel
from handbook.findings import Finding

NEEDS = "nothing"


def version() -> str:
    return wheel("Markdown")


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Resolve every link of each file that names no host; what other hosts answer is not asked."""
    findings = []
    for path in paths:
        text = (root / path).read_text(encoding="utf-8")
        targets = _Targets()
        targets.feed(Markdown(extensions=["tables", "fenced_code"]).convert(text))
        for target in sorted(targets.found):
            parts = urlsplit(target)
            place = posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(parts.path)))
            if parts.scheme or parts.netloc or not parts.path or (root / place).exists():
                continue
            line = text[: max(text.find(f"({target}"), 0)].count("\n") + 1
            findings.append(Finding(path, line, "link", f"{target} leads to {place}, which is not there"))
    return findings


class _Targets(HTMLParser):
    """Collects what the links and pictures of a page name."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {value for name, value in attrs if name in ("href", "src") and value}
