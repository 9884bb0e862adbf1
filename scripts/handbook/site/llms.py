"""What a model is given of a whole site: `llms.txt`, as llmstxt.org has it, and all pages in one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from urllib.parse import urljoin

from bs4 import Tag

from handbook.site import texts

INDEX, FULL = "llms.txt", "llms-full.txt"
_UNGROUPED = "Start here"
# What it says changes with every test run, and nobody deploys with it.
_LEFT_OUT = "proof/"


@dataclass(frozen=True)
class Page:
    """A built page: its group in the navigation, its name there, its place in the site (`` for Home), its article."""

    group: str
    name: str
    place: str
    article: Tag


def index(name: str, summary: str, pages: Sequence[Page], url: str = "") -> str:
    """Return the list of `pages` by groups: each a link to its Markdown, and what its first paragraph says.

    Links begin with `url`, the address of the site; without one they lead from the site's own folder.
    """
    parts = [f"# {name}", f"> {summary}"]
    parts.append(
        "Each page is here as Markdown, with its snippets in full. "
        f"[One file]({urljoin(url, FULL)}) holds all of them, except what the last test run saw."
    )
    for group, members in groupby(pages, lambda page: page.group):
        parts.append(f"## {group or _UNGROUPED}")
        parts.append("\n".join(_entry(page, url) for page in members))
    return "\n\n".join(parts) + "\n"


def _entry(page: Page, url: str) -> str:
    said = texts.description(page.article)
    link = f"- [{page.name}]({urljoin(url, page.place + texts.FILE)})"
    return f"{link}: {said}" if said else link


def full(pages: Sequence[Page], url: str = "") -> str:
    """Return all `pages` in one text, each below a line that says where it stands. `url` is as in `index`."""
    return "\n".join(
        f"---\n\n[{page.name}]({urljoin(url, page.place + texts.FILE)}):\n\n"
        f"{texts.markdown(page.article, urljoin(url, page.place))}"
        for page in pages
        if page.place != _LEFT_OUT
    )
