"""Visits to a site in a real browser: pages of one context, with all that went wrong in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    ViewportSize,
    WebError,
    sync_playwright,
)

from handbook import tools
from handbook.catalog import Page as Source

DESKTOP: ViewportSize = {"width": 1280, "height": 900}
# In milliseconds.
PATIENCE = 10_000
PHONE: ViewportSize = {"width": 360, "height": 740}


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium, which finds no host but 127.0.0.1, and close it at the end."""
    with sync_playwright() as playwright:
        blocked = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
        browser = playwright.chromium.launch(executable_path=tools.browser(), args=[blocked])
        yield browser
        browser.close()


def address(page: Source) -> str:
    """The address of a page of the handbook, below the site's own: `compose/production/`."""
    return f"{page.path.removeprefix('docs/').removesuffix('.md')}/".removesuffix("index/")


@dataclass
class Visit:
    """`address` is the site's own, with a slash at its end. `wrong` is what a reader would never want to happen."""

    context: BrowserContext
    address: str
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context.set_default_timeout(PATIENCE)
        self.context.on("console", self._said)
        self.context.on("weberror", self._failed)
        self.context.on("request", self._asked)
        self.context.on("response", self._answered)

    def open(self, path: str = "") -> Page:
        """Open a page of the site (`compose/production/`) and wait until it is loaded."""
        page = self.context.new_page()
        page.goto(self.address + path)
        return page

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"{message.page.url if message.page else ''}: console: {message.text}")

    def _failed(self, error: WebError) -> None:
        self.wrong.append(f"{error.page.url if error.page else ''}: {error.error}")

    def _asked(self, request: Request) -> None:
        asked = urlsplit(request.url)
        if asked.scheme not in ("data", "blob") and asked.netloc != urlsplit(self.address).netloc:
            self.wrong.append(f"a request to another host: {request.url}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.wrong.append(f"{response.url}: {response.status}")
