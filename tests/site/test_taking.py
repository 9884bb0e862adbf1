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
from playwright.sync_api import expect

from handbook.catalog import ROOT, Catalog, Page
from handbook.site.downloads import archive_of
from handbook.site.shown import Snippets
from handbook.stacks import find, names

from .visits import Visit, address

CATALOG = Catalog()
SHOWING = [page for page in CATALOG.pages if page.references]


# What is folded up is unfolded by who looks at it.
UNFOLD = "document.querySelectorAll('details').forEach(details => { details.open = true })"

# Each button of a page is pressed, and what the clipboard holds then is kept beside the button's name.
_COPY_ALL = """async () => {
  const copied = [];
  for (const button of document.querySelectorAll(".highlight[data-address] [data-clipboard-target]")) {
    await navigator.clipboard.writeText("nothing yet");
    button.click();
    let text;
    for (let i = 0; i < 200 && (text ?? "nothing yet") === "nothing yet"; i++) {
      await new Promise(resolve => setTimeout(resolve, 5));
      text = await navigator.clipboard.readText();
    }
    copied.push([button.getAttribute("aria-label"), text]);
  }
  return copied;
}"""


@pytest.mark.parametrize("shown", SHOWING, ids=lambda page: page.path.removeprefix("docs/"))
def test_the_clipboard_gets_the_files_own_bytes(shown: Page, published: str, visit: Callable[..., Visit]) -> None:
    site = visit(published, permissions=["clipboard-read", "clipboard-write"])
    page = site.open(address(shown))
    page.evaluate(UNFOLD)
    snippets = Snippets(CATALOG)
    copied = page.evaluate(_COPY_ALL)
    assert copied == [[f"Copy {r.address}", snippets.show(r).text] for r in shown.references]
    # As a hand does it.
    page.evaluate("navigator.clipboard.writeText('nothing yet')")
    page.locator("[data-clipboard-target]").first.click()
    expect(page.locator(".md-dialog")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == copied[0][1]


@pytest.mark.parametrize("path", ["compose/production/compose.yaml", "service/Dockerfile", "ci/gitlab/.gitlab-ci.yml"])
def test_a_download_is_the_file_itself(path: str, published: str, visit: Callable[..., Visit], tmp_path: Path) -> None:
    """Under its own name, but for a dot at its beginning, which browsers take off. The level static follows every link
    and compares every file.
    """
    showing = CATALOG.shown()[f"snippets/{path}"][0].page
    page = visit(published, accept_downloads=True).open(address(Page(showing)))
    page.evaluate(UNFOLD)
    with page.expect_download() as begun:
        page.locator(f"a.path[href$='files/{path}']").first.click()
    begun.value.save_as(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == (ROOT / "snippets" / path).read_bytes()
    assert begun.value.suggested_filename == Path(path).name.lstrip(".")


@pytest.mark.parametrize("stack", names(CATALOG))
def test_an_archive_holds_the_stack(stack: str, published: str, visit: Callable[..., Visit], tmp_path: Path) -> None:
    """It is what boots in the tests of the stack."""
    link = f"a[href$='files/{archive_of(stack)}']"
    site = visit(published, accept_downloads=True)
    offering = next(page for page in CATALOG.pages if f'take_along("{stack}"' in (ROOT / page.path).read_text("utf-8"))
    with (page := site.open(address(offering))).expect_download() as begun:
        page.locator(link).click()
    begun.value.save_as(tmp_path / "archive")
    content = (tmp_path / "archive").read_bytes()
    assert content == find(stack, CATALOG).archive()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert len(archive.getnames()) == len(find(stack, CATALOG).files)


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
