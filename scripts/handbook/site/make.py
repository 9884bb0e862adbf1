"""Makes the site as it is published: MkDocs builds it, and then each page gets its Markdown beside it.

The Markdown is made of the built HTML, so that it does not matter which program built that.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mkdocs.config import load_config

from handbook.catalog import ROOT
from handbook.findings import HandbookError
from handbook.site import llms, texts
from handbook.site.links import to_page
from handbook.tools import run

# No <link rel="alternate">: the theme takes that for a translation, and asks for a sitemap of it.
_FOOT = f'<p class="as-markdown"><a href="{texts.FILE}" type="text/markdown">This page as Markdown</a></p>'


def site(folder: Path) -> int:
    """Make the site in `folder`, in the place of an older one, and return how many pages it has.

    It gets there when it is whole. Raises HandbookError, with what the build has to say, and leaves the folder alone,
    when it can't be built, and when something else than a site is there.
    """
    try:
        if folder.exists() and _visible(folder) and not (folder / "404.html").is_file():
            raise HandbookError(f"{folder}: is not empty, and no site; name another folder for the site, or empty it")
        cache = ROOT / ".cache"
        cache.mkdir(exist_ok=True)
        with TemporaryDirectory(dir=cache) as scratch:
            built = Path(scratch) / "site"
            build(built)
            count = add_texts(built, ROOT / "mkdocs.yml")
            folder.mkdir(parents=True, exist_ok=True)
            for path in _visible(folder):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            for path in built.iterdir():
                shutil.move(path, folder)
    except OSError as error:
        where, why = error.filename or folder, error.strerror or error
        raise HandbookError(f"{where}: the site can't be written: {why}") from None
    return count


def _visible(folder: Path) -> list[Path]:
    """What a site may be made of: MkDocs too keeps what begins with a dot, such as the `.git` of a branch of pages."""
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def build(folder: Path) -> None:
    """Let MkDocs build the pages in `folder`, strictly. Raises HandbookError with what the build has to say."""
    command = ["mkdocs", "build", "--strict", "--site-dir", str(folder)]
    built = run(command, cwd=ROOT, env={"NO_MKDOCS_2_WARNING": "1"})
    if built.returncode:
        lines = (built.stderr + built.stdout).splitlines()
        said = [line for line in lines if line and not line.startswith("INFO")]
        raise HandbookError("\n".join(["the site can't be built:", *said]))


def add_texts(site: Path, config_file: Path) -> int:
    """Write the Markdown of each page of a built site, with a link to it, and the files for models.

    `config_file` is the `mkdocs.yml` of the site. Returns how many pages there are. Raises HandbookError for a page
    that is no page of a theme that the handbook knows.
    """
    config = load_config(str(config_file))
    pages = []
    for group, name, source in _entries(config.nav or []):
        place = to_page("", f"docs/{source}")
        html = site / place / "index.html"
        try:
            text = html.read_bytes().decode()
            article = texts.article(text)
            pages.append(llms.Page(group, name or texts.title(article), place, article))
            _write(html, _linked(text))
            _write(html.with_name(texts.FILE), texts.markdown(article))
        except HandbookError as error:
            raise HandbookError(f"docs/{source}: {error}") from None
    url = config.site_url or ""
    _write(site / llms.INDEX, llms.index(config.site_name, config.site_description or "", pages, url))
    _write(site / llms.FULL, llms.full(pages, url))
    return len(pages)


def _entries(nav: list[Any], group: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield each page of a navigation: the outermost group that it is in, its name, if it has one, and its source."""
    for item in nav:
        for name, inside in item.items() if isinstance(item, dict) else [("", item)]:
            if isinstance(inside, list):
                yield from _entries(inside, group or name)
            elif inside.endswith(".md"):
                yield group, name, inside


def _linked(html: str) -> str:
    """Return a page with a link to its Markdown at its foot."""
    body, end, foot = html.rpartition("</article>")
    return f"{body}{_FOOT}{end}{foot}"


def _write(path: Path, text: str) -> None:
    # As bytes: the lines of a snippet end as they do in its file.
    path.write_bytes(text.encode())
