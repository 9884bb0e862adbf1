"""The pages as Markdown, for whoever reads without a browser. It is made of built pages: what macros say is in it.

Each snippet stands there in full, with the file's own bytes. What only helps a reader of the page is left out: states
and their cards, permalinks, tags, dates, bars of drawings and charts.
"""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

from bs4 import BeautifulSoup, Tag
from markdownify import MarkdownConverter

from handbook.findings import HandbookError

FILE = "index.md"
"""The name of a page's Markdown, beside its `index.html`."""

# The theme's own: permalinks, tags, the date of the last change.
_FURNITURE = {"headerlink", "md-source-file", "md-tags"}
_ARTICLE = re.compile(r"<article\b.*</article>", re.DOTALL)
# The coloured code of a block. It is the most of a page, and its text stands in `data-copy` too.
_COLOURED = re.compile(r'(\bdata-copy="[^"]*"[^>]*>.*?<pre\b[^>]*>).*?(?=</pre>)', re.DOTALL)
# Stands for a block until all else is Markdown: no other text holds a character of the private use area.
_BLOCK = re.compile("^(.*)\ue000(\\d+)\ue000$", re.MULTILINE)
_SPECIAL = re.compile(r"[\\`*\[\]]|<(?=[A-Za-z/!?])|&(?=#?\w+;)|(?<!\w)_|_(?!\w)|~(?=~)")
# Where a backslash keeps a paragraph from being read as something else: a list, a heading, a quote, a line.
_BEGINS = re.compile(r"^(?:\d{1,9}(?=[.)](?:\s|$))|(?=[-+](?:\s|$)|#{1,6}(?:\s|$)|>|-{2,}$|=+$))", re.MULTILINE)


def article(html: str) -> Tag:
    """Return the article of a built page, for the other functions. Raises HandbookError when there is none."""
    found = _ARTICLE.search(html)
    if not found:
        raise HandbookError("the page has no <article>; its theme is none that the handbook knows")
    return BeautifulSoup(_COLOURED.sub(r"\1", found[0]), "html.parser")


def markdown(article: Tag, place: str | None = None) -> str:
    """Return an article as Markdown.

    A link to a page leads to that page's Markdown. Links lead from the page's own folder, or, with `place`, from where
    that folder is `place`: `nginx/`, `https://docs.example.com/nginx/`, or `` for Home.
    """
    return _Converter(place).text(article)


def title(article: Tag) -> str:
    """Return the heading of the page, without marks."""
    heading = article.find("h1")
    return _plain(heading) if heading else ""


def description(article: Tag) -> str:
    """Return what the page says before its first section, the first paragraph of it, as a line without marks."""
    heading = article.find("h1")
    for element in heading.find_next_siblings(["p", "h2"]) if heading else []:
        return _plain(element) if element.name == "p" else ""
    return ""


def _plain(element: Tag) -> str:
    text = "".join(str(part) for part in element.find_all(string=True) if "headerlink" not in _classes(part.parent))
    return " ".join(text.split())


def _classes(element: Tag | None) -> list[str]:
    return list(element.get("class") or []) if element else []


class _Converter(MarkdownConverter):
    """Turns an article into Markdown. What it does for an element is in the method `convert_<name>`."""

    def __init__(self, place: str | None) -> None:
        super().__init__(heading_style="atx", bullets="-", wrap=True, wrap_width=None)
        self._place = place
        self._blocks: list[str] = []

    def text(self, article: Tag) -> str:
        return _BLOCK.sub(self._put, self.convert_soup(article).strip()) + "\n"

    def _put(self, match: re.Match[str]) -> str:
        """Put a block where it stands, each line behind the marks of the lists and quotes that it stands in."""
        marks, lines = match[1], self._blocks[int(match[2])].split("\n")
        return "\n".join(marks + line if line else marks.rstrip() for line in lines)

    def process_tag(self, node: Tag, parent_tags: set[str] | None = None) -> str:
        if node.has_attr("data-search-exclude") or _FURNITURE & {*_classes(node)}:
            return ""
        if node.name == "svg":
            return _drawing(node)
        return str(super().process_tag(node, parent_tags))

    def escape(self, text: str, parent_tags: set[str]) -> str:
        return _SPECIAL.sub(r"\\\g<0>", text)

    def convert_p(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        if "admonition-title" in _classes(el):
            text = f"**{text.strip()}**"
        elif "_inline" not in parent_tags:
            text = _BEGINS.sub(r"\g<0>\\", re.sub("\n ", "\n", text.strip()))
        return str(super().convert_p(el, text, parent_tags))

    def convert_div(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        classes = _classes(el)
        if el.has_attr("data-copy"):
            return self._block(el)
        if "admonition" in classes:
            return f"\n\n{self.convert_blockquote(el, text, parent_tags).strip()}\n\n"
        if "tabbed-labels" in classes:
            return ""
        if "tabbed-block" in classes:
            text = f"**{self._label(el)}**\n\n{text.strip()}"
        return str(super().convert_div(el, text, parent_tags))

    def _block(self, el: Tag) -> str:
        text, address, path = str(el["data-copy"]), str(el["data-address"]), el.find("a", class_="path")
        languages = [name.removeprefix("language-") for name in _classes(el) if name.startswith("language-")]
        runs = [len(run) for run in re.findall("`+", text)]
        fence = "`" * max(3, *(run + 1 for run in runs), 0)
        end = "" if text.endswith("\n") else "\n"
        self._blocks.append(f"{fence}{''.join(languages)}\n{text}{end}{fence}")
        name = f"`{address}`"
        if path:
            name = f"[{name}]({self._lead(str(path['href']))})"
        return f"\n\n{name}:\n\n\ue000{len(self._blocks) - 1}\ue000\n\n"

    def _label(self, block: Tag) -> str:
        """What the tab says whose content is `block`."""
        content = block.parent
        labels = content.find_previous_sibling(class_="tabbed-labels") if content else None
        names = labels.find_all("label") if isinstance(labels, Tag) else []
        return _plain(names[len(block.find_previous_siblings("div"))])

    def convert_span(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        # A state that no chip shows: a word of a sentence, told from it by its look.
        return f"**{text}**" if "proof" in _classes(el) else text

    def convert_details(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        return str(super().convert_div(el, text, parent_tags))

    def convert_summary(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        return f"\n\n**{text.strip()}**\n\n"

    def convert_br(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        return "<br>" if parent_tags & {"td", "th"} else str(super().convert_br(el, text, parent_tags))

    def convert_td(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        return str(super().convert_td(el, text.replace("|", r"\|"), parent_tags))

    def convert_th(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        return str(super().convert_th(el, text.replace("|", r"\|"), parent_tags))

    def convert_a(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        if not el.get("href") or "_noformat" in parent_tags or not text.strip():
            return text
        before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
        return f"{before}[{text.strip()}]({self._lead(str(el['href']))}){after}"

    def _lead(self, href: str) -> str:
        """Return where a link of the page leads, with the Markdown of a page in the place of the page."""
        link = urlsplit(href)
        if link.scheme or link.netloc:
            return href
        path = link.path + "/" if link.path.rpartition("/")[2] in (".", "..") else link.path
        if path.endswith("/") or (not path and self._place is not None):
            path = f"{path}{FILE}".removeprefix("./")
        led = link._replace(path=path).geturl()
        return led if self._place is None else urljoin(self._place, led)


def _drawing(svg: Tag) -> str:
    """What a drawing says that it shows, as a paragraph. A chart says it in its caption and its table."""
    said = [_plain(element) for element in svg.find_all(["title", "desc"])]
    if not said or svg.find_parent("figure"):
        return ""
    return f"\n\nDrawing: {' '.join(text if text.endswith('.') else f'{text}.' for text in said)}\n\n"
