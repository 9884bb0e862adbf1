"""Every page, in light and dark, at a desk and on a phone: nothing is wrong with it, and nothing else is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page

from handbook.catalog import ROOT, Catalog

from .visits import DESKTOP, PHONE, Visit

AXE = (ROOT / "tools" / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")
PAGES = [page.path.removeprefix("docs/").removesuffix(".md").removesuffix("index") for page in Catalog().pages]
# Bytes as they are sent, for a page that nothing of the site is in the cache of.
WEIGHT = 150_000

_AXE = "rules => axe.run(rules.length ? {runOnly: rules} : {}).then(found => found.violations)"
_WIDER = "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"
_SHIFTED = """() => new Promise(resolve => {
  let sum = 0;
  const observer = new PerformanceObserver(list => list.getEntries().forEach(entry => { sum += entry.value; }));
  observer.observe({type: "layout-shift", buffered: true});
  requestAnimationFrame(() => setTimeout(() => resolve(sum), 50));
})"""


def address(path: str) -> str:
    """The address of a page, below the site's own, by its path below `docs/` without an ending."""
    return f"{path}/" if path else ""


def judged(page: Page, rules: list[str]) -> list[str]:
    """What axe objects to on a page as it is: the rules of that name, all without one."""
    found = page.evaluate(_AXE, rules)
    return [f"{rule['id']}: {node['html'][:120]}" for rule in found for node in rule["nodes"]]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path or "home")
def test_a_page_is_fit_for_everybody(path: str, published: str, visit: Callable[..., Visit]) -> None:
    """No rule of axe is broken, nothing moves while it loads, and no part is wider than the window."""
    for window in (DESKTOP, PHONE):
        # Colours that change in steps would be judged half-way.
        site = visit(published, viewport=window, color_scheme="light", reduced_motion="reduce")
        page = site.open(address(path))
        assert page.evaluate(_SHIFTED) == 0, f"parts of it move at {window}"
        assert not page.evaluate(_WIDER), f"it scrolls sideways at {window}"
        page.evaluate(AXE)
        assert judged(page, []) == [], f"light, {window}"
        page.emulate_media(color_scheme="dark")
        # What a scheme changes is colours alone.
        assert judged(page, ["color-contrast", "link-in-text-block"]) == [], f"dark, {window}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path or "home")
def test_a_page_is_light(path: str, published: str, visit: Callable[..., Visit]) -> None:
    site = visit(published)
    page = site.context.new_page()
    sent: list[float] = []
    network = site.context.new_cdp_session(page)
    network.send("Network.enable")
    network.on("Network.loadingFinished", lambda event: sent.append(event["encodedDataLength"]))
    page.goto(published + address(path), wait_until="networkidle")
    assert len(sent) > 5
    assert sum(sent) <= WEIGHT


@pytest.fixture(scope="module")
def judge(browser: Browser) -> Iterator[Page]:
    """An empty page with axe."""
    page = browser.new_page()
    page.set_content("<html lang='en'><title>t</title><main></main></html>")
    page.evaluate(AXE)
    yield page
    page.close()


@pytest.mark.parametrize(
    ("html", "rule"),
    [
        ("<h1>a</h1><p style='color: #ccc; background: #fff'>pale</p>", "color-contrast"),
        ("<h1>a</h1><button></button>", "button-name"),
    ],
)
def test_axe_objects(judge: Page, html: str, rule: str) -> None:
    judge.evaluate("html => { document.querySelector('main').innerHTML = html }", html)
    assert any(found.startswith(rule) for found in judged(judge, []))


def test_what_opens_is_fit_for_everybody_too(published: str, visit: Callable[..., Visit]) -> None:
    """The search, the menu on a phone, and the card of a chip."""
    desk = visit(published, viewport=DESKTOP, reduced_motion="reduce").open("nginx/")
    desk.evaluate(AXE)
    desk.locator(".chip").first.hover()
    assert desk.locator(".card").first.is_visible()
    assert judged(desk, []) == []
    desk.locator(".md-search__input").fill("timeout")
    desk.locator(".md-search-result__item").first.wait_for()
    assert judged(desk, []) == []
    phone = visit(published, viewport=PHONE, reduced_motion="reduce").open("nginx/")
    phone.evaluate(AXE)
    phone.locator(".md-header [for=__drawer]").click()
    phone.locator(".md-nav--primary").first.wait_for()
    assert judged(phone, []) == []


SHOWN = ("", "compose/production/", "proof/", "errors/")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("window", [DESKTOP, PHONE], ids=["desk", "phone"])
def test_pictures_of_the_main_pages_are_kept(
    scheme: str, window: dict[str, int], published: str, visit: Callable[..., Visit]
) -> None:
    folder = ROOT / "build" / "artifacts" / "site"
    site = visit(published, viewport=window, color_scheme=scheme)
    for path in SHOWN:
        name = path.rstrip("/").replace("/", "-") or "home"
        picture = folder / f"{name}-{scheme}-{window['width']}.png"
        picture.unlink(missing_ok=True)
        site.open(path).screenshot(path=picture)
        assert picture.stat().st_size > 10_000
