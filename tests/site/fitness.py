"""Looks at pages as different readers see them: what moves, what is too wide, which rule of axe is broken."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize

from handbook.catalog import ROOT

from .visits import Visit, chromium

AXE = (ROOT / "tools" / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")
PICTURES = ROOT / "build" / "artifacts" / "site"

_JUDGE = """rules => axe.run({resultTypes: ["violations"], ...(rules.length ? {runOnly: rules} : {})})
  .then(found => found.violations)"""
# What a colour scheme changes is colours alone.
_OF_COLOURS = ["color-contrast", "link-in-text-block"]
# Cards are hidden: a test of their own opens one. Of the coloured words of all blocks, one of each kind stays, because
# what colours them looks at nothing but their classes.
_THIN = """() => {
  for (const card of document.querySelectorAll(".card")) card.replaceChildren();
  const seen = new Set();
  for (const word of document.querySelectorAll("pre > code span")) {
    const kind = `${word.parentElement.className} ${word.className}`;
    if (seen.has(kind) && !word.matches(".hll")) word.replaceWith(...word.childNodes);
    seen.add(kind);
  }
}"""
_WIDER = "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"
# From when the whole page was read: a page that is painted while it arrives, as large ones on slow machines are, moves.
_MOVED = """() => new Promise(resolve => {
  const moved = [];
  const [page] = performance.getEntriesByType("navigation");
  const observer = new PerformanceObserver(list => {
    for (const shift of list.getEntries().filter(shift => shift.startTime >= page.domInteractive)) {
      const nodes = shift.sources.map(source => source.node?.outerHTML ?? source.node?.textContent ?? "what is gone");
      moved.push(`by ${shift.value}: ${nodes.map(node => node.slice(0, 120)).join(", ")}`);
    }
  });
  observer.observe({type: "layout-shift", buffered: true});
  requestAnimationFrame(() => setTimeout(() => resolve(moved), 50));
})"""


@dataclass(frozen=True)
class Look:
    """What was seen of a page in a window: what moved while it loaded, whether it scrolls sideways, what axe objects to
    in light and in dark colours, and what else went wrong.
    """

    moved: list[str]
    sideways: bool
    light: list[str]
    dark: list[str]
    wrong: list[str]


class Looks:
    """Looks at many pages of the site at `address`, two at a time. Use it in a `with` statement.

    `pictures` are the pages of which a picture is kept.
    """

    def __init__(self, address: str, pictures: tuple[str, ...]) -> None:
        self._address = address
        self._pictures = pictures
        self._found: dict[tuple[str, int], Future[Look]] = {}
        self._own = threading.local()

    def __enter__(self) -> Looks:
        self._threads = ThreadPoolExecutor(2)
        return self

    def __exit__(self, *error: object) -> None:
        # A browser has to be closed by the thread that has opened it.
        gate = threading.Barrier(2)
        list(self._threads.map(lambda _: self._close(gate), range(2)))
        self._threads.shutdown(cancel_futures=True)

    def begin(self, path: str, window: ViewportSize) -> None:
        """Look at a page (`compose/production/`) as soon as somebody is free."""
        self._found[path, window["width"]] = self._threads.submit(self._look, path, window)

    def get(self, path: str, window: ViewportSize) -> Look:
        """What was seen of a page."""
        if (path, window["width"]) not in self._found:
            self.begin(path, window)
        return self._found[path, window["width"]].result()

    def _look(self, path: str, window: ViewportSize) -> Look:
        # Colours that change in steps would be judged half-way.
        context = self._browser().new_context(viewport=window, color_scheme="light", reduced_motion="reduce")
        visit = Visit(context, self._address)
        try:
            page = visit.open(path)
            moved, sideways = page.evaluate(_MOVED), page.evaluate(_WIDER)
            self._keep(page, path, window, "light")
            page.evaluate(_THIN)
            light = judged(page)
            page.emulate_media(color_scheme="dark")
            self._keep(page, path, window, "dark")
            return Look(moved, sideways, light, judged(page, _OF_COLOURS), visit.wrong)
        finally:
            context.close()

    def _browser(self) -> Browser:
        if not hasattr(self._own, "stack"):
            self._own.stack = ExitStack()
            self._own.browser = self._own.stack.enter_context(chromium())
        browser: Browser = self._own.browser
        return browser

    def _close(self, gate: threading.Barrier) -> None:
        gate.wait()
        if hasattr(self._own, "stack"):
            self._own.stack.close()

    def _keep(self, page: Page, path: str, window: ViewportSize, scheme: str) -> None:
        if path in self._pictures:
            picture(path, window, scheme).unlink(missing_ok=True)
            page.screenshot(path=picture(path, window, scheme))


def picture(path: str, window: ViewportSize, scheme: str) -> Path:
    """Where the picture of a page is kept."""
    name = path.rstrip("/").replace("/", "-") or "home"
    return PICTURES / f"{name}-{scheme}-{window['width']}.png"


def judged(page: Page, rules: list[str] | None = None) -> list[str]:
    """What axe objects to on a page as it is: `rules`, or all that it has."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE)
    found = page.evaluate(_JUDGE, rules or [])
    return [f"{rule['id']}: {node['html'][:120]}: {node['failureSummary']}" for rule in found for node in rule["nodes"]]
