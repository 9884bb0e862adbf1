"""The pages show what is there, and the built site shows the files' own bytes and asks nothing of another host."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from handbook.catalog import ROOT, Catalog
from handbook.site import pages
from handbook.site.downloads import archive_of
from handbook.stacks import find, names
from tests.built_site import (
    Built,
    built_pages,
    dead_links,
    fenced,
    foreign,
    markdown_links,
    style_requests,
    wrong_blocks,
)


def test_every_page_shows_what_is_there() -> None:
    found = pages.findings(Catalog())
    assert not found, "\n" + "\n".join(map(str, found))


@pytest.fixture(scope="module")
def built(site: Path) -> dict[str, Built]:
    return built_pages(site)


def test_every_block_of_every_page_is_the_files_own_bytes(built: dict[str, Built]) -> None:
    assert len(built) > len(Catalog().pages), "404.html and one file a page"
    wrong = {path: wrong_blocks(page, ROOT) for path, page in built.items()}
    assert {path: found for path, found in wrong.items() if found} == {}


def test_every_page_shows_what_its_source_names(built: dict[str, Built]) -> None:
    for page in Catalog().pages:
        name = page.path.removeprefix("docs/").removesuffix(".md")
        path = f"{name}.html" if name == "index" else f"{name}/index.html"
        shown = [block.attributes.get("data-address") for block in built[path].blocks]
        assert shown == [reference.address for reference in page.references], page.path


def test_every_link_leads_to_what_is_there(site: Path, built: dict[str, Built]) -> None:
    """Also those that no Markdown holds: to files, to archives, and to rows of the Proof page."""
    links = {name: page.links for name, page in built.items() if name != "404.html"}
    assert all(links.values())
    assert dead_links(site, built, links) == []


@pytest.fixture(scope="module")
def texts(site: Path) -> dict[str, str]:
    """The Markdown of every page, and what models are given, by its path in the site."""
    paths = [*site.rglob("index.md"), *site.glob("llms*.txt")]
    return {path.relative_to(site).as_posix(): path.read_bytes().decode() for path in sorted(paths)}


def test_every_page_stands_there_as_markdown_too(built: dict[str, Built], texts: dict[str, str]) -> None:
    """And leads to it."""
    pages = [name for name in built if name != "404.html"]
    assert [name for name in texts if name.endswith(".md")] == [f"{name.removesuffix('.html')}.md" for name in pages]
    for name in pages:
        assert "index.md" in built[name].links, name
    assert "index.md" not in built["404.html"].html


def test_every_block_stands_in_the_markdown_byte_for_byte(built: dict[str, Built], texts: dict[str, str]) -> None:
    def shown(page: Built) -> list[tuple[str, str]]:
        blocks = ((block.attributes["data-address"], block.text) for block in page.blocks)
        # A fenced block ends with a line's end, whatever the file does.
        return [(address, text if text.endswith("\n") else f"{text}\n") for address, text in blocks]

    pages = {name: page for name, page in built.items() if name != "404.html"}
    assert sum(len(shown(page)) for page in pages.values()) > 100
    for name, page in pages.items():
        assert list(fenced(texts[name.replace(".html", ".md")])) == shown(page), name
    of_all = [block for name, page in pages.items() if name != "proof/index.html" for block in shown(page)]
    assert sorted(fenced(texts["llms-full.txt"])) == sorted(of_all)


def test_every_link_of_the_markdown_leads_to_what_is_there(
    site: Path, built: dict[str, Built], texts: dict[str, str]
) -> None:
    links = {name: [link for link in markdown_links(text) if not urlsplit(link).netloc] for name, text in texts.items()}
    assert len(links["llms.txt"]) > len(Catalog().pages), "one a page, and one to all of them"
    assert dead_links(site, built, links) == []
    # To a page's Markdown, not to the page.
    assert [link for own in links.values() for link in own if re.search(r"/(#|$)", link)] == []


def test_the_list_for_models_names_every_page_and_says_what_it_is(texts: dict[str, str]) -> None:
    listed = re.findall(r"^- \[[^\]]+\]\((\S+)\): \S.+$", texts["llms.txt"], re.MULTILINE)
    assert sorted(listed) == [name for name in texts if name.endswith(".md")]


def test_what_is_downloaded_is_the_file_itself(site: Path, built: dict[str, Built]) -> None:
    """And an archive is what the tests boot."""
    catalog = Catalog()
    wanted = {path.removeprefix("snippets/"): (ROOT / path).read_bytes() for path in catalog.snippets}
    wanted.update({archive_of(name): find(name, catalog).archive() for name in names(catalog)})
    folder = site / "files"
    there = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert there.keys() == wanted.keys()
    assert there == wanted
    linked = {link.rpartition("files/")[2] for page in built.values() for link in page.links if "files/" in link}
    shown = {reference.path for references in catalog.shown().values() for reference in references}
    assert linked == shown | {archive_of(name) for name in names(catalog)}


def test_every_tag_of_a_page_leads_to_its_list(built: dict[str, Built]) -> None:
    tags = [tag for page in built.values() for tag in re.findall(r'<(?:a|span)[^>]* class="md-tag[^>]*>', page.html)]
    assert [tag for tag in tags if tag.startswith("<a")]
    # Headings of the lists themselves are no links.
    assert [tag for tag in tags if tag.startswith("<span")] == re.findall(
        r'<span[^>]* class="md-tag[^>]*>', built["tags/index.html"].html
    )


def test_the_search_knows_nothing_of_cards(site: Path, built: dict[str, Built]) -> None:
    """What they say of checks and probes would be found in the place of what the page says."""
    cards = {card for page in built.values() for card in re.findall(r'role="tooltip">(.+?)</span></small>', page.html)}
    assert cards
    index = json.loads((site / "search" / "search_index.json").read_text("utf-8"))
    found = "".join(entry["text"] for entry in index["docs"])
    said = {unescape(re.sub(r"<[^>]+>", "", card)) for card in cards}
    assert [text for text in said if text in found] == []


def test_the_policy_names_every_script_that_stands_in_a_page(built: dict[str, Built]) -> None:
    """nginx sends it with each page, and a browser runs no other script."""
    scripts = {script for page in built.values() for script in page.scripts}
    hashes = {f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts}
    assert len(hashes) > 3
    named = re.findall(r"'sha256-[^']+'", (ROOT / "snippets" / "publish" / "nginx.conf").read_text("utf-8"))
    assert named == sorted(hashes), "write this into snippets/publish/nginx.conf: " + " ".join(sorted(hashes))


def test_the_site_asks_nothing_of_another_host(site: Path, built: dict[str, Built]) -> None:
    for name, page in built.items():
        assert page.requests, name
        assert foreign(page.requests) == [], name
        # The theme fetches a drawing library for these, and figures of a public repository.
        assert not re.search(r'class="[^"]*\bmermaid\b|data-md-component="source"', page.html), name
    for path in site.rglob("*.css"):
        assert foreign(style_requests(path.read_text("utf-8"))) == [], path
    for path in (site / "assets").glob("*.js"):
        assert "://" not in path.read_text("utf-8"), path
