"""Zensical, which succeeds Material for MkDocs, builds the same site of the same files.

It passes over plugins and hooks that it does not know without a word, so its exit code says little: what it built is
compared with what MkDocs built.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from handbook.catalog import ROOT, Catalog
from handbook.proof import Judge, Proof
from handbook.site import downloads, make, proofs_json
from handbook.tools import run
from tests.built_site import ENVIRONMENT, Build, Built, built_pages, dead_links, foreign


@pytest.fixture(scope="module")
def successor(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as Zensical builds it. It does so in a copy, because it writes into the folder of `mkdocs.yml` only."""
    root = tmp_path_factory.mktemp("successor")
    for file in Catalog().files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, root / file, follow_symlinks=False)
    # That of now may be another one: a second process of tests writes it, too.
    if build.proof is not None:
        (root / ".cache").mkdir()
        (root / ".cache" / "proof.json").write_bytes(build.proof)
    subprocess.run(["git", "init", "--quiet", root], check=True)
    # It looks at what there is to publish before it calls `define_env`, which makes them.
    catalog = Catalog(root)
    downloads.write(catalog)
    proofs_json.write(catalog, Judge(Proof.read(root), root))
    environment = {**ENVIRONMENT, "PYTHONPATH": str(root / "scripts")}
    result = run(["zensical", "build", "--strict"], cwd=root, env=environment, timeout=240)
    assert result.returncode == 0, result.stdout + result.stderr
    make.add_texts(root / "site", root / "mkdocs.yml")
    return root / "site"


@pytest.fixture(scope="module")
def ours(site: Path) -> dict[str, Built]:
    return built_pages(site)


@pytest.fixture(scope="module")
def theirs(successor: Path) -> dict[str, Built]:
    return built_pages(successor)


def test_it_builds_the_same_pages(ours: dict[str, Built], theirs: dict[str, Built]) -> None:
    assert theirs.keys() == ours.keys()


def test_it_publishes_the_same_downloads(site: Path, successor: Path) -> None:
    def files(folder: Path) -> dict[str, bytes]:
        there = folder / downloads.FOLDER
        return {path.relative_to(there).as_posix(): path.read_bytes() for path in there.rglob("*") if path.is_file()}

    assert files(site)
    assert files(successor).keys() == files(site).keys()
    assert files(successor) == files(site)


def test_it_shows_the_same_blocks(ours: dict[str, Built], theirs: dict[str, Built]) -> None:
    """Which are the files' own bytes, as the level static sees."""
    assert any(page.blocks for page in ours.values())
    for name, page in ours.items():
        assert theirs[name].blocks == page.blocks, name


def test_it_says_the_same_states(ours: dict[str, Built], theirs: dict[str, Built]) -> None:
    def chips(page: Built) -> list[tuple[str, str]]:
        return re.findall(r'class="(proof proof--[a-z-]+)"[^>]*>([^<]+)', page.html)

    assert sum(len(chips(page)) for page in ours.values()) > sum(len(page.blocks) for page in ours.values())
    for name, page in ours.items():
        assert chips(theirs[name]) == chips(page), name


def test_it_shows_the_same_drawings(ours: dict[str, Built], theirs: dict[str, Built]) -> None:
    def drawings(page: Built) -> list[str]:
        return re.findall(r"<svg\b[^>]*\baria-labelledby=.*?</svg>", page.html, re.DOTALL)

    assert any(map(drawings, ours.values()))
    for name, page in ours.items():
        assert drawings(theirs[name]) == drawings(page), name


def test_it_says_the_same_with_the_same_links(site: Path, successor: Path) -> None:
    """The Markdown of a page is all that its article says, and where its links lead."""
    paths = [path.relative_to(site) for path in [*site.rglob("*.md"), *site.glob("llms*.txt")]]
    assert paths
    for path in paths:
        assert (successor / path).read_bytes().decode() == (site / path).read_bytes().decode(), path


def test_its_links_lead_to_what_is_there(successor: Path, theirs: dict[str, Built]) -> None:
    links = {name: page.links for name, page in theirs.items() if name != "404.html"}
    assert all(links.values())
    assert dead_links(successor, theirs, links) == []


def test_it_asks_nothing_of_another_host(theirs: dict[str, Built]) -> None:
    for name, page in theirs.items():
        assert page.requests, name
        assert foreign(page.requests) == [], name
