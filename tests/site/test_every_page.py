"""Every page, in light and dark, at a desk and on a phone: nothing is wrong with it, and nothing else is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from handbook import quiet
from handbook.catalog import Catalog

from .fitness import Looks, judged, picture
from .visits import DESKTOP, PHONE, Visit, address

PAGES = [address(page) for page in Catalog().pages]
WINDOWS = {"desk": DESKTOP, "phone": PHONE}
# The main pages, of which pictures are kept.
SHOWN = ("", "compose/production/", "proof/", "errors/")
# Bytes as they are sent, for a page when nothing of the site is in the browser's cache.
WEIGHT = 150_000


@pytest.fixture(scope="module")
def looks(request: pytest.FixtureRequest, published: str) -> Iterator[Looks]:
    """What is seen of the pages that the tests of this module ask for."""
    # Its browsers are its own: see `browser`.
    with quiet.measuring(), Looks(published, SHOWN) as looks:
        for item in request.session.items:
            asked = getattr(item, "callspec", None)
            if asked and getattr(item, "originalname", "") == test_a_page_is_fit_for_everybody.__name__:
                looks.begin(asked.params["path"], WINDOWS[asked.params["window"]])
        yield looks


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.rstrip("/") or "home")
def test_a_page_is_fit_for_everybody(path: str, window: str, looks: Looks) -> None:
    """Nothing moves while it loads, no part is wider than the window, and no rule of axe is broken."""
    seen = looks.get(path, WINDOWS[window])
    assert seen.wrong == []
    assert seen.moved == []
    assert not seen.sideways
    assert seen.light == []
    assert seen.dark == []


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.rstrip("/") or "home")
def test_pictures_of_the_main_pages_are_kept(path: str, looks: Looks) -> None:
    for window in WINDOWS.values():
        looks.get(path, window)
        for scheme in ("light", "dark"):
            assert picture(path, window, scheme).stat().st_size > 10_000


def test_the_longest_page_is_light(site: Path, published: str, visit: Callable[..., Visit]) -> None:
    """All others have the same scripts and styles. The search index is not among them."""
    longest = max(site.rglob("index.html"), key=lambda path: path.stat().st_size)
    path = longest.parent.relative_to(site).as_posix()
    page = visit(published).context.new_page()
    sent: list[float] = []
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    network.on("Network.loadingFinished", lambda event: sent.append(event["encodedDataLength"]))
    page.goto(f"{published}{path}/", wait_until="networkidle")
    assert len(sent) > 5
    assert sum(sent) <= WEIGHT


def test_what_opens_is_fit_for_everybody_too(published: str, visit: Callable[..., Visit]) -> None:
    """The search, the menu on a phone, and the card of a chip."""
    desk = visit(published, viewport=DESKTOP, reduced_motion="reduce").open("nginx/")
    desk.locator(".chip").first.hover()
    assert desk.locator(".card").first.is_visible()
    assert judged(desk) == []
    desk.keyboard.press("/")
    desk.keyboard.type("timeout")
    desk.locator(".md-search-result__item").first.wait_for()
    assert judged(desk) == []
    phone = visit(published, viewport=PHONE, reduced_motion="reduce").open("nginx/")
    phone.locator(".md-header [for=__drawer]").click()
    phone.locator(".md-nav--primary").wait_for()
    assert judged(phone) == []


@pytest.fixture(scope="module")
def empty(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    page.set_content("<html lang='en'><title>t</title><main></main></html>")
    yield page
    page.close()


@pytest.mark.parametrize(
    ("html", "rule"),
    [
        ("<h1>a</h1><p style='color: #ccc; background: #fff'>pale</p>", "color-contrast"),
        ("<h1>a</h1><button></button>", "button-name"),
    ],
)
def test_axe_objects(empty: Page, html: str, rule: str) -> None:
    empty.evaluate("html => { document.querySelector('main').innerHTML = html }", html)
    assert any(found.startswith(rule) for found in judged(empty))
