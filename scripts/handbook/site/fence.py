"""The fence `snippet`: shows the region of a snippet that its one line addresses.

The HTML is what Material makes of a stock fence, so that its styles and its copy button work, and nothing between the
file and the reader changes a byte: no dedent, no trimming, no spaces for tabs.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from html import escape
from typing import Any, Protocol

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pymdownx.superfences import SuperFencesException

from handbook import proof
from handbook.catalog import Catalog, Reference, parse_address
from handbook.findings import HandbookError
from handbook.site.shown import Shown, Snippets


class Format(Protocol):
    """What pymdownx.superfences calls for a fence."""

    def __call__(self, source: str, language: str, class_name: str, options: Any, md: Any, **kwargs: Any) -> str: ...


def formatter(snippets: Snippets, page_url: Callable[[], str] | None = None) -> Format:
    """Return a formatter that shows `snippets`.

    `page_url` gives the address of the page that is being rendered, relative to the site; without it a block has no
    link to its proof. The formatter raises SuperFencesException, the only error that superfences lets through.
    """
    store: list[proof.Proof] = []

    def label(path: str) -> str:
        """The state of the snippet at `path`, as a link to its row on the Proof page."""
        if page_url is None:
            return ""
        if not store:
            store.append(proof.Proof.read(snippets.catalog.root))
        row = proof.row(store[0], snippets.catalog.root, path)
        target = posixpath.relpath("proof", page_url() or ".")
        state = row.state.replace(" ", "-")
        return (
            f'<a class="proof proof--{state}" href="{escape(target)}/#{escape(row.anchor)}" data-search-exclude>'
            f"{escape(proof.WORDS[row.state])}</a>"
        )

    def show(source: str, language: str, class_name: str, options: Any, md: Any, **kwargs: Any) -> str:
        try:
            path, region, highlights = parse_address(source.splitlines())
            reference = Reference("", 0, path, region, highlights)
            shown = snippets.show(reference)
            return html(reference, shown, label(shown.path))
        except (HandbookError, ValueError) as error:
            raise SuperFencesException(str(error)) from None

    return show


def snippet(source: str, language: str, class_name: str, options: Any, md: Any, **kwargs: Any) -> str:
    """Show a snippet of this checkout: the formatter for a build that does not call `define_env` first."""
    return formatter(Snippets(Catalog()))(source, language, class_name, options, md, **kwargs)


def html(reference: Reference, shown: Shown, label: str = "") -> str:
    """Return the block for `shown`. It carries the address, and the text for the copy button, as attributes."""
    lexer = get_lexer_by_name(shown.kind.lexer, stripnl=False, ensurenl=False)
    code = highlight(shown.text, lexer, HtmlFormatter(nowrap=True, hl_lines=shown.highlighted))
    if not shown.text.endswith("\n"):
        # Pygments ends every line.
        code = code.removesuffix("\n")
    copied = escape(shown.text).replace("\n", "&#10;").replace("\t", "&#9;")
    return (
        f'<div class="language-{shown.kind.lexer} highlight" data-address="{escape(reference.address)}" '
        f'data-copy="{copied}"><span class="filename"><span class="path">{escape(reference.path)}</span>{label}</span>'
        f"<pre><span></span><code>{code}</code></pre></div>"
    )
