"""The fence `snippet`: shows the region of a snippet that its one line addresses.

The HTML is what Material makes of a stock fence, so that its styles and its copy button work, and nothing between the
file and the reader changes a byte: no dedent, no trimming, no spaces for tabs.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable
from html import escape
from typing import Any, Protocol

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pymdownx.superfences import SuperFencesException

from handbook.catalog import Catalog, Reference, parse_address
from handbook.findings import HandbookError
from handbook.proof import Judge
from handbook.site.chip import chip
from handbook.site.downloads import FOLDER
from handbook.site.links import upwards
from handbook.site.shown import Shown, Snippets


class Format(Protocol):
    """What pymdownx.superfences calls for a fence."""

    def __call__(self, source: str, language: str, class_name: str, options: Any, md: Any, **kwargs: Any) -> str: ...


def bar(judge: Judge, place: Callable[[], str]) -> Callable[[str], str]:
    """Return what makes the bar above a block: the path of its snippet, as a link to the file, and its state.

    `place` gives the place of the page that is being rendered, from which its links lead.
    """
    numbers = itertools.count(1)

    def title(path: str) -> str:
        up, name = upwards(place()), path.removeprefix("snippets/")
        link = f'<a class="path" href="{escape(f"{up}{FOLDER}/{name}")}" download>{escape(name)}</a>'
        return f"{link}{chip(judge, path, next(numbers), up)}"

    return title


def path_alone(path: str) -> str:
    """The bar above a block where nobody knows on which page it stands: the path of its snippet, without links."""
    return f'<span class="path">{escape(path.removeprefix("snippets/"))}</span>'


def formatter(snippets: Snippets, title: Callable[[str], str] = path_alone) -> Format:
    """Return a formatter that shows `snippets`, each below a bar with what `title` makes of its path.

    It raises SuperFencesException, the only error that superfences lets through.
    """

    def show(source: str, language: str, class_name: str, options: Any, md: Any, **kwargs: Any) -> str:
        try:
            path, region, highlights = parse_address(source.splitlines())
            reference = Reference("", 0, path, region, highlights)
            shown = snippets.show(reference)
            return html(reference, shown, title(shown.path))
        except (HandbookError, ValueError) as error:
            raise SuperFencesException(str(error)) from None

    return show


_used: Format | None = None


def use(format: Format) -> None:
    """Let `format` show the snippets from now on."""
    global _used
    _used = format


def used() -> Format:
    """What shows the snippets; in a build that does not call `define_env` first, those of this checkout."""
    return _used or formatter(Snippets(Catalog()))


def snippet(source: str, language: str, class_name: str, options: Any, md: Any, **kwargs: Any) -> str:
    """The formatter that the configuration names: shows a snippet as the build at hand has set it up.

    The configuration keeps this function of the engine as it was when the process started, and Zensical takes it for a
    page before it calls `define_env` for that page. So it asks, when it is called, the engine as it is then.
    """
    now = importlib.import_module(__name__)
    return now.used()(source, language, class_name, options, md, **kwargs)


def html(reference: Reference, shown: Shown, title: str) -> str:
    """Return the block for `shown`, below a bar with `title`.

    It carries the address, and the text for the copy button, as attributes.
    """
    lexer = get_lexer_by_name(shown.kind.lexer, stripnl=False, ensurenl=False)
    code = highlight(shown.text, lexer, HtmlFormatter(nowrap=True, hl_lines=shown.highlighted))
    if not shown.text.endswith("\n"):
        # Pygments ends every line.
        code = code.removesuffix("\n")
    copied = escape(shown.text).replace("\n", "&#10;").replace("\t", "&#9;")
    return (
        f'<div class="language-{shown.kind.lexer} highlight" data-address="{escape(reference.address)}" '
        f'data-copy="{copied}"><span class="filename">{title}</span>'
        f"<pre><span></span><code>{code}</code></pre></div>"
    )
