"""The pages show what is there, and the built site shows the files' own bytes and asks nothing of another host."""

from __future__ import annotations

import posixpath
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from handbook.catalog import ROOT, Catalog
from handbook.site import pages
from handbook.site.downloads import archive_of
from handbook.stacks import Stack, names
from tests.built_site import Built, foreign, style_requests, wrong_blocks


def test_every_page_shows_what_is_there() -> None:
    found = pages.findings(Catalog())
    assert not found, "\n" + "\n".join(map(str, found))


@pytest.fixture(scope="module")
def built(site: Path) -> dict[str, Built]:
    """Every HTML file of the site, by its path there."""
    return {path.relative_to(site).as_posix(): Built(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}


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
    dead = []
    for name, page in built.items():
        assert page.links, name
        for link in page.links:
            if name == "404.html" or urlsplit(link).netloc:
                continue
            path, _, anchor = link.partition("#")
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(path))) if path else name
            target = f"{target}/index.html".removeprefix("./") if (site / target).is_dir() else target
            if not (site / target).is_file() or (anchor and unquote(anchor) not in built[target].ids):
                dead.append(f"{name}: {link}")
    assert dead == []


def test_what_is_downloaded_is_the_file_itself(site: Path, built: dict[str, Built]) -> None:
    """And an archive is what the tests boot."""
    catalog = Catalog()
    wanted = {path.removeprefix("snippets/"): (ROOT / path).read_bytes() for path in catalog.snippets}
    wanted.update({archive_of(name): Stack(name, catalog).archive() for name in names(catalog)})
    folder = site / "files"
    there = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert there.keys() == wanted.keys()
    assert there == wanted
    linked = {link.rpartition("files/")[2] for page in built.values() for link in page.links if "files/" in link}
    shown = {reference.path for references in catalog.shown().values() for reference in references}
    assert linked == shown | {archive_of(name) for name in names(catalog)}


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
