"""Where something stands, seen from a page: every link of the site is relative, so that it can be served anywhere."""

from __future__ import annotations

from typing import Any


def place(page: Any) -> str:
    """From where the links lead that stand in the HTML of a page: `compose/production/`, or `` for Home.

    MkDocs leaves them alone, so it is the page's address. Zensical takes them to lead from the page's source, as those
    in Markdown do, and mends them: there it is the path of that, `compose/production.md`.
    """
    return str(getattr(page, "path", page.url))


def upwards(place: str) -> str:
    """What leads from a page (`compose/production/`, or `` for Home) to the site's own folder: `../../`, or ``."""
    return "../" * place.count("/")


def to_page(up: str, path: str, anchor: str = "") -> str:
    """The link to the page whose source is `path` (in the repository), to an id on it if one is given.

    `up` leads from the page that has the link to the site's own folder.
    """
    page = f"{path.removeprefix('docs/').removesuffix('.md')}/".removesuffix("index/")
    return f"{up}{page}#{anchor}" if anchor else f"{up}{page}"
