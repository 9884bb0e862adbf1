"""The site gets to its folder when it is whole, and with its Markdown; what is in the way is told."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from handbook import __main__ as cli
from handbook.site import make

HTML = "<html><head><title>Page</title></head><body><article><h1>Page</h1><p>Said.</p></article></body></html>"
CONFIG = """
site_name: Site
site_description: What it is.
site_url: !ENV [SITE_URL, ""]
nav: [index.md, {Parts: [a.md, {Deep: [{Named: b/c.md}, b/index.md]}]}, {Elsewhere: https://example.com/}]
"""


class Builder:
    """What stands for MkDocs: it builds the pages of CONFIG, or says why it can't when it is half done."""

    def __init__(self) -> None:
        self.page = HTML
        self.fails = False
        self.calls = 0

    def __call__(self, command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert command[:-1] == ["mkdocs", "build", "--strict", "--site-dir"]
        self.calls += 1
        for name in ("404.html", "index.html", "a/index.html", "b/c/index.html", "b/index.html"):
            path = Path(command[-1]) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.page)
        aborted = "\nAborted with 1 warnings in strict mode!\n" if self.fails else ""
        return subprocess.CompletedProcess([], self.fails, aborted, "INFO    -  Building\nWARNING -  docs/a.md: x\n")


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builder:
    builder = Builder()
    (tmp_path / "checkout" / "docs").mkdir(parents=True)
    (tmp_path / "checkout" / "mkdocs.yml").write_text(CONFIG)
    monkeypatch.setattr(make, "ROOT", tmp_path / "checkout")
    monkeypatch.setattr(make, "run", builder)
    monkeypatch.delenv("SITE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    return builder


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


PAGES = {"index.html", "a/index.html", "b/index.html", "b/c/index.html"}
TEXTS = {name.replace(".html", ".md") for name in PAGES}
WHOLE = PAGES | TEXTS | {"404.html", "llms.txt", "llms-full.txt"}


def test_an_old_site_makes_room_for_the_new_one(
    builder: Builder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What begins with a dot stays: a branch of pages may be checked out there."""
    site = tmp_path / "site"
    for name in ("404.html", "gone/index.html", ".git/HEAD"):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text("old")
    assert cli.main(["site", "site"]) == 0
    assert files(site) == WHOLE | {".git/HEAD"}
    assert (site / "404.html").read_text() == HTML
    assert capsys.readouterr().out == "4 pages, each as HTML and as Markdown: site\n"
    assert list((tmp_path / "checkout" / ".cache").iterdir()) == []


def test_a_page_leads_to_its_markdown(builder: Builder, tmp_path: Path) -> None:
    make.site(tmp_path / "a" / "site")
    html = (tmp_path / "a" / "site" / "b" / "c" / "index.html").read_text()
    link = '<a href="index.md" type="text/markdown">This page as Markdown</a>'
    assert f'<p class="as-markdown">{link}</p></article>' in html
    assert (tmp_path / "a" / "site" / "b" / "c" / "index.md").read_text() == "# Page\n\nSaid.\n"


@pytest.mark.parametrize("url", ["", "https://docs.example.com/x/"])
def test_the_list_for_models_follows_the_navigation(
    builder: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("SITE_URL", url.removesuffix("/"))
    make.site(tmp_path / "site")
    assert (tmp_path / "site" / "llms.txt").read_text().partition("\n\n## ")[2] == (
        f"Start here\n\n- [Page]({url}index.md): Said.\n\n## Parts\n\n- [Page]({url}a/index.md): Said.\n"
        f"- [Named]({url}b/c/index.md): Said.\n- [Page]({url}b/index.md): Said.\n"
    )


def test_a_build_that_fails_leaves_the_older_site(
    builder: Builder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    builder.fails = True
    assert cli.main(["site", "new"]) == 2
    assert not (tmp_path / "new").exists()
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "404.html").write_text("old")
    assert cli.main(["site", "site"]) == 2
    assert files(tmp_path / "site") == {"404.html"}
    message = "handbook: the site can't be built:\nWARNING -  docs/a.md: x\nAborted with 1 warnings in strict mode!\n"
    assert capsys.readouterr().err == 2 * message
    assert list((tmp_path / "checkout" / ".cache").iterdir()) == []


def test_a_page_of_another_theme_is_told(builder: Builder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    builder.page = HTML.replace("article", "main")
    assert cli.main(["site", "site"]) == 2
    assert not (tmp_path / "site").exists()
    assert capsys.readouterr().err.startswith("handbook: docs/index.md: the page has no <article>; ")


def test_a_folder_with_something_else_is_left_alone(
    builder: Builder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Home\n")
    (tmp_path / "file").touch()
    assert cli.main(["site", "docs"]) == 2
    assert cli.main(["site", "file"]) == 2
    assert not builder.calls
    assert cli.main(["site", "file/site"]) == 2
    assert files(tmp_path / "docs") == {"index.md"}
    assert capsys.readouterr().err.splitlines() == [
        "handbook: docs: is not empty, and no site; name another folder for the site, or empty it",
        "handbook: file: the site can't be written: Not a directory",
        "handbook: file/site: the site can't be written: Not a directory",
    ]
