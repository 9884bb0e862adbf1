"""Builds a site and reads it: whether its blocks are the files' own bytes, where its links lead, and what a browser
would ask for."""

from __future__ import annotations

import os
import posixpath
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from handbook import regions
from handbook.catalog import kind_of
from handbook.site.downloads import FOLDER

# What the person at the keyboard has set for a site of their own is left out: links lead to what is there.
ENVIRONMENT = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "COLUMNS": "400", "SITE_URL": "", "EDIT_URL": ""}
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


def mkdocs(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", *arguments]
    return subprocess.run(command, cwd=root, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)


def made(root: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Make the site of the handbook at `root` in `folder`, as it is published."""
    command = [sys.executable, "-m", "handbook", "site", str(folder)]
    return subprocess.run(command, cwd=root, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)


@dataclass(frozen=True)
class Build:
    """A build of the site that has begun, the folder that it writes, and the proof that it tells, if there is any."""

    folder: Path
    process: Future[subprocess.CompletedProcess[str]]
    proof: bytes | None


@dataclass
class Block:
    """A `<pre>` of a built page: its text, and the attributes of the nearest element above that has an address."""

    attributes: dict[str, str]
    text: str = ""


@dataclass
class Built(HTMLParser):
    """A built page: its blocks of code, what its text says, where its links lead, what a browser asks for
    and which scripts stand in it."""

    html: str
    blocks: list[Block] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    scripts: list[str] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[tuple[str, dict[str, str]]] = []
        self.feed(self.html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.ids.add(attributes.get("id", ""))
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        if tag == "pre":
            above = (a for _, a in reversed([*self._open, (tag, attributes)]) if "data-address" in a)
            self.blocks.append(Block(next(above, {})))
        if not (tag == "a" or (tag == "link" and attributes.get("rel") in ("alternate", "canonical", "next", "prev"))):
            names = ("src", "href", "srcset", "data", "poster", "action")
            self.requests += [attributes[name] for name in names if attributes.get(name)]
            self.requests += style_requests(attributes.get("style", ""))
        if tag not in VOID:
            self._open.append((tag, attributes))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.text += data
        if any(tag == "pre" for tag, _ in self._open):
            self.blocks[-1].text += data
        if self._open and self._open[-1][0] == "script" and "type" not in self._open[-1][1]:
            self.scripts.append(data)
        if self._open and self._open[-1][0] in ("script", "style"):
            self.requests += style_requests(data) + re.findall(r"(?:fetch|import)\([\"']([^\"')\s]+)", data)


def wrong_blocks(page: Built, root: Path) -> list[str]:
    """Say which blocks of `page` are not the bytes of the region they name."""
    found = []
    for block in page.blocks:
        address = block.attributes.get("data-address", "")
        path, _, region = address.partition("#")
        file = root / "snippets" / path
        if not address or not file.is_file():
            found.append(f"{address or 'no address'}: {block.text[:40]!r}")
            continue
        text = file.read_bytes().decode()
        kind = kind_of(f"snippets/{path}")
        expected = regions.cut(text, regions.find(kind.finder, text, region)) if region and kind else text
        if block.text != expected:
            found.append(f"{address}: shown is not the file")
        if block.attributes.get("data-copy") != expected:
            found.append(f"{address}: copied is not the file")
    return found


def built_pages(site: Path) -> dict[str, Built]:
    """Every page of a site, by its path there. A snippet that is HTML is none."""
    paths = {path.relative_to(site).as_posix(): path for path in sorted(site.rglob("*.html"))}
    return {name: Built(path.read_text("utf-8")) for name, path in paths.items() if not name.startswith(f"{FOLDER}/")}


def dead_links(site: Path, pages: Mapping[str, Built], links: Mapping[str, Iterable[str]]) -> list[str]:
    """Say which `links` of the files of a site lead nowhere: to no file, or to an id that the page there does not have.

    `links` are by the path of their file; what leads to another host is not looked at.
    """
    dead = []
    for name, own in links.items():
        for link in own:
            if urlsplit(link).netloc:
                continue
            path, _, anchor = link.partition("#")
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(path))) if path else name
            target = f"{target}/index.html".removeprefix("./") if (site / target).is_dir() else target
            # The Markdown of a page has the anchors of the page.
            page = target.removesuffix(".md") + ".html" if target.endswith(".md") else target
            if not (site / target).is_file() or (anchor and unquote(anchor) not in pages[page].ids):
                dead.append(f"{name}: {link}")
    return dead


_FENCE = re.compile(r"(?P<marks>[ >]*)(?P<fence>`{3,})[^`\s]*")
_ADDRESS = re.compile(r"`(?P<address>[^`]+)`(?:\]\(\S+\))?:$")


def fenced(markdown: str) -> Iterator[tuple[str, str]]:
    """Yield the address and the text of each fenced block, as CommonMark reads it: without the marks around it."""
    before, lines = "", iter(markdown.split("\n"))
    for line in lines:
        opening = _FENCE.fullmatch(line)
        if not opening:
            before = line if line.strip(" >") else before
            continue
        marks, text = opening["marks"], []
        while (line := next(lines)) != marks + opening["fence"]:
            assert line.startswith(marks) or line == marks.rstrip(), line
            text.append(f"{line.removeprefix(marks)}\n" if line.startswith(marks) else "\n")
        address = _ADDRESS.search(before)
        yield address["address"] if address else before, "".join(text)


def markdown_links(markdown: str) -> list[str]:
    """Return where the links of a Markdown text lead, those of code left out."""
    prose, fence = [], ""
    for line in markdown.split("\n"):
        opening = _FENCE.fullmatch(line)
        if opening and fence in ("", opening["fence"]):
            fence = "" if fence else opening["fence"]
        elif not fence:
            prose.append(re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", line))
    return re.findall(r"\]\(([^)\s]+)\)", "\n".join(prose))


def style_requests(css: str) -> list[str]:
    return re.findall(r"""(?:url\(\s*["']?|@import\s+["'])([^"')\s]+)""", css)


def foreign(addresses: list[str]) -> list[str]:
    return [address for address in addresses if urlsplit(address.strip()).netloc]
