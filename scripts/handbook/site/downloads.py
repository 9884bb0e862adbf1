"""What a reader takes along: every snippet as a file of the site, every stack as an archive, and a list of its files.

They are made in a folder of `docs/` that git ignores, because the site's builders publish what stands in `docs/`, each
in its own way. A file is written only when it has changed: `mkdocs serve` builds once more whenever one is written.
"""

from __future__ import annotations

import contextlib
import fcntl
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

from markdown.extensions.toc import slugify

from handbook.catalog import Catalog, Reference, kind_of
from handbook.findings import HandbookError
from handbook.site.links import to_page
from handbook.stacks import find, names, slug

FOLDER = "files"
"""Where they are, below `docs/` and in the site."""

_AFTER_SENTENCE = re.compile(r"(?<=[.])\s")
# What a file of a kind is that says nothing itself, and that no page shows.
_WORDS = {
    "alembic": "The settings of Alembic.",
    "dockerfile": "How the image is made.",
    "dockerignore": "What may go into the image.",
    "requirements": "The packages, locked with hashes.",
    "template": "What a new migration begins with.",
    "toml": "The package: its name, and what it needs.",
}
_HEADING = re.compile(r"#{1,6} (?P<text>.+?)(?: \{.*\})?")


def write(catalog: Catalog) -> None:
    """Make the folder of downloads what it has to be.

    What has no kind is not there: what an editor leaves beside a file is for nobody. Raises HandbookError when a
    snippet is a link or a page, and when the folder can't be written.
    """
    folder = catalog.root / "docs" / FOLDER
    cache = catalog.root / ".cache"
    try:
        cache.mkdir(exist_ok=True)
        with (cache / "downloads.busy").open("w") as busy, TemporaryDirectory(dir=cache) as scratch:
            # Two builds may run beside each other.
            fcntl.flock(busy, fcntl.LOCK_EX)
            wanted = _wanted(catalog)
            _remove_others(folder, wanted)
            for path, content in wanted.items():
                _write(folder / path, content, Path(scratch) / "whole")
    except OSError as error:
        where = error.filename2 or error.filename or folder
        raise HandbookError(f"{where}: the downloads can't be written: {error.strerror}") from None


def _wanted(catalog: Catalog) -> dict[str, bytes]:
    """The content of each download, by its path below FOLDER."""
    wanted = {}
    for path in filter(kind_of, catalog.snippets):
        if (catalog.root / path).is_symlink() or path.endswith(".md"):
            message = "a link, which leads elsewhere than its copy would" if not path.endswith(".md") else "a page"
            raise HandbookError(f"{path}: is {message}; a snippet is a file of another kind")
        # A file that an editor has just taken away.
        with contextlib.suppress(FileNotFoundError):
            wanted[path.removeprefix("snippets/")] = (catalog.root / path).read_bytes()
    for name in names(catalog):
        # The page that offers it says what is wrong with it.
        with contextlib.suppress(HandbookError, FileNotFoundError):
            wanted[archive_of(name)] = find(name, catalog).archive()
    return wanted


def _remove_others(folder: Path, wanted: Mapping[str, bytes]) -> None:
    """Remove every file that is not wanted, and every folder that is empty then."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(folder).as_posix() not in wanted:
            path.unlink()


def _write(path: Path, content: bytes, whole: Path) -> None:
    """Make a file what it has to be, in one step, for who reads it meanwhile. `whole` is a place to write it in."""
    if path.is_file() and path.read_bytes() == content:
        return
    whole.write_bytes(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    whole.replace(path)


def archive_of(stack: str) -> str:
    """The path of a stack's archive below FOLDER."""
    return f"{stack}/{slug(stack)}.tar.gz"


def take_along(catalog: Catalog, stack: str, folder: str, up: str) -> str:
    """How to get the files of a stack, and `folder` of them to stand in, as a sentence in HTML.

    `up` leads from the page to the site's own folder. Raises HandbookError when there is no such stack.
    """
    find(stack, catalog).archive()
    path = archive_of(stack)
    link = f'<a href="{up}{FOLDER}/{path}" download>{escape(Path(path).name)}</a>'
    return (
        f"Unpack {link} into a folder without an older copy, and go to "
        f"<code>{escape(slug(stack))}/{escape(folder)}</code>. In a checkout of this handbook "
        f"<code>.venv/bin/handbook copy {escape(stack)} FOLDER</code> does the same: then go "
        f"to <code>FOLDER/{escape(folder)}</code>."
    )


def tree(catalog: Catalog, stack: str, up: str) -> str:
    """The files of a stack's archive as nested lists, each with a line that says what it is, as HTML.

    `up` leads from the page to the site's own folder. Raises HandbookError when there is no such stack.
    """
    said = _Said(catalog, up)
    lines = {path.removeprefix("snippets/"): said.of(path) for path in find(stack, catalog).files}
    summary = f"<summary>The {len(lines)} files in it</summary>"
    return f'<details class="files">{summary}{"".join(_folder(lines, ""))}</details>'


def _folder(lines: Mapping[str, str], folder: str) -> Iterator[str]:
    """Yield the list of what stands in a folder, which is empty or ends with a slash: its files, then its folders."""
    inside = [path.removeprefix(folder) for path in lines if path.startswith(folder)]
    yield "<ul>"
    for name in inside:
        if "/" not in name:
            yield f"<li><code>{escape(name)}</code> {lines[folder + name]}</li>"
    for name in dict.fromkeys(name.partition("/")[0] for name in inside if "/" in name):
        yield f"<li><code>{escape(name)}/</code>"
        yield from _folder(lines, f"{folder}{name}/")
        yield "</li>"
    yield "</ul>"


class _Said:
    """What the files themselves, and the pages that show them, say that they are."""

    def __init__(self, catalog: Catalog, up: str) -> None:
        self._catalog = catalog
        self._up = up
        self._shown = catalog.shown()

    def of(self, path: str) -> str:
        """What a file is, as HTML: in the words of its docstring or of the comment at its head; else a link to where a
        page shows it; else what its kind says.
        """
        lines = (self._catalog.root / path).read_text(encoding="utf-8", errors="replace").splitlines()
        if text := _docstring(lines) if path.endswith(".py") else _head(lines):
            return escape(_AFTER_SENTENCE.split(text, 1)[0])
        if shown := self._shown.get(path):
            whole = (reference for reference in shown if not reference.region)
            return self._link(next(whole, shown[0]))
        if (name := Path(path).stem).startswith("test_"):
            return f"Tests of {escape(name.removeprefix('test_').replace('_', ' '))}."
        kind = kind_of(path)
        return _WORDS.get(kind.name, "") if kind else ""

    def _link(self, reference: Reference) -> str:
        above = (self._catalog.root / reference.page).read_text(encoding="utf-8").splitlines()[: reference.line]
        headings = [match["text"] for line in above if (match := _HEADING.fullmatch(line))]
        # The page's title, and the part of it.
        name = ": ".join(dict.fromkeys([*headings[:1], *headings[-1:]])) or reference.page
        anchor = slugify(headings[-1], "-") if headings[1:] else ""
        return f'<a href="{to_page(self._up, reference.page, anchor)}">{escape(name.replace("`", ""))}</a>'


def _docstring(lines: Sequence[str]) -> str:
    """The first paragraph of a module's docstring."""
    if not lines or not lines[0].startswith('"""'):
        return ""
    text = "\n".join(lines)[3:].partition('"""')[0]
    return text.partition("\n\n")[0].replace("\n", " ")


def _head(lines: Sequence[str]) -> str:
    """The comment at the head of a file. One that the next line follows at once says why it is there, and not what."""
    words: list[str] = []
    for line in lines[1:] if lines and lines[0].startswith("#!") else lines:
        if not line.startswith("# "):
            apart = not line or lines[0].startswith("#!")
            return " ".join(words) if apart else ""
        words.append(line.removeprefix("# "))
    return ""
