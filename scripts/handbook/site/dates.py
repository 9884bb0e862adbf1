"""When what a page says was last changed: the newest commit of its text and of the files that it shows."""

from __future__ import annotations

from handbook.catalog import Catalog
from handbook.tools import run


def changed(catalog: Catalog) -> dict[str, str]:
    """The date (ISO 8601) on which each page, by its path in the repository, was last changed by a commit.

    A page that was never committed is not in it. A shallow clone does not know: then nothing is.
    """

    def git(*arguments: str) -> str:
        return run(["git", *arguments], cwd=catalog.root).stdout

    if git("rev-parse", "--is-shallow-repository").strip() != "false":
        return {}
    of_file: dict[str, str] = {}
    # Each commit begins with NUL and its date; its files follow, one a line. The newest comes first.
    log = git("-c", "core.quotePath=off", "log", "--format=%x00%cs", "--name-only", "--", "docs", "snippets")
    for part in log.split("\0"):
        date, _, names = part.partition("\n")
        for name in names.split("\n"):
            of_file.setdefault(name, date)
    found = {}
    for page in catalog.pages:
        files = (page.path, *(f"snippets/{reference.path}" for reference in page.references))
        if page.path in of_file:
            found[page.path] = max(of_file[file] for file in files if file in of_file)
    return found
