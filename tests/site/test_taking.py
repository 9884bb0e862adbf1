"""What a reader takes from a page is the file: by the clipboard, as a download, as an archive, on paper."""

from __future__ import annotations

import io
import re
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pypdf
import pytest

from handbook.catalog import ROOT, Catalog, Page
from handbook.site.downloads import archive_of
from handbook.site.shown import Snippets
from handbook.stacks import Stack, names

from .test_every_page import address
from .visits import Visit

CATALOG = Catalog()
SHOWING = [page for page in CATALOG.pages if page.references]


def place(page: Page) -> str:
    """The address of a page below the site's own."""
    return address(page.path.removeprefix("docs/").removesuffix(".md"))


@pytest.mark.parametrize("shown", SHOWING, ids=lambda page: page.path.removeprefix("docs/"))
def test_the_clipboard_gets_the_files_own_bytes(shown: Page, published: str, visit: Callable[..., Visit]) -> None:
    site = visit(published, permissions=["clipboard-read", "clipboard-write"])
    page = site.open(place(shown))
    snippets = Snippets(CATALOG)
    blocks = page.locator(".highlight[data-address]")
    assert blocks.count() == len(shown.references)
    for number, reference in enumerate(shown.references):
        page.evaluate("navigator.clipboard.writeText('nothing yet')")
        blocks.nth(number).get_by_role("button", name=f"Copy {reference.address}", exact=True).click()
        page.wait_for_function("async () => await navigator.clipboard.readText() !== 'nothing yet'")
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied == snippets.show(reference).text, reference.address


@pytest.mark.parametrize("shown", SHOWING, ids=lambda page: page.path.removeprefix("docs/"))
def test_a_download_is_the_file_itself(
    shown: Page, published: str, visit: Callable[..., Visit], tmp_path: Path
) -> None:
    """One file a page, the last that it shows; every other link is compared with its file by the static level."""
    page = visit(published, accept_downloads=True).open(place(shown))
    with page.expect_download() as begun:
        page.locator(".filename > a.path").last.click()
    begun.value.save_as(tmp_path / "file")
    file = ROOT / "snippets" / shown.references[-1].path
    assert (tmp_path / "file").read_bytes() == file.read_bytes()
    assert begun.value.suggested_filename.lstrip(".") == file.name.lstrip(".")


@pytest.mark.parametrize("stack", names(CATALOG))
def test_an_archive_holds_the_stack(stack: str, published: str, visit: Callable[..., Visit], tmp_path: Path) -> None:
    """It is what boots in the tests of the stack."""
    link = f"a[href$='files/{archive_of(stack)}']"
    site = visit(published, accept_downloads=True)
    offering = next(page for page in CATALOG.pages if f'take_along("{stack}"' in (ROOT / page.path).read_text("utf-8"))
    with (page := site.open(place(offering))).expect_download() as begun:
        page.locator(link).click()
    begun.value.save_as(tmp_path / "archive")
    content = (tmp_path / "archive").read_bytes()
    assert content == Stack(stack, CATALOG).archive()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert len(archive.getnames()) == len(Stack(stack, CATALOG).files)


def test_a_page_on_paper_has_its_snippets_whole(published: str, visit: Callable[..., Visit], tmp_path: Path) -> None:
    """Each line as often as the page shows it. In what order a PDF holds its texts says nothing."""
    page = visit(published).open("compose/production/")
    page.pdf(path=tmp_path / "page.pdf")
    printed = "".join(without_space(sheet.extract_text()) for sheet in pypdf.PdfReader(tmp_path / "page.pdf").pages)
    shown = next(page for page in SHOWING if page.path == "docs/compose/production.md")
    snippets = Snippets(CATALOG)
    lines = Counter(
        without_space(line) for reference in shown.references for line in snippets.show(reference).text.splitlines()
    )
    assert [line for line, times in lines.items() if printed.count(line) < times] == []


def without_space(text: str) -> str:
    """A text without what a line break on paper may add or take away."""
    return re.sub(r"\s+", "", text)
