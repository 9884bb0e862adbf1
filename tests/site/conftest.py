"""The built handbook as readers get it: served by nginx as the handbook says, and opened in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from handbook.catalog import Catalog
from handbook.stacks import Boot, ComposeStack
from handbook.walkthroughs import Walkthrough

from .visits import Visit, chromium

PORT = 8080


@pytest.fixture(scope="session")
def published(site: Path) -> Iterator[str]:
    """The address of the handbook, which the stack `publish` serves."""
    with Boot(ComposeStack("publish", Catalog())) as boot:
        shutil.copytree(site, boot.scratch / "site")
        script = boot.folder / "walkthrough.sh"
        with Walkthrough(script, cwd=boot.folder, env=boot.env, name="snippets/publish/walkthrough.sh") as walk:
            walk.until("start-it")
        yield f"http://127.0.0.1:{boot.ports[PORT]}/"


# Not for the session: as long as it is open, no other test of this process could run an event loop.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Visits a site: `visit(address, **options)`, with the options of a browser's context.

    At the end no visit may have had an error on its console, a request to another host, or an answer that is an error.
    """
    visits: list[Visit] = []

    def begin(address: str, **options: object) -> Visit:
        visits.append(Visit(browser.new_context(**options), address))  # pyrefly: ignore[bad-argument-type]
        return visits[-1]

    yield begin
    for each in visits:
        each.context.close()
    assert [wrong for each in visits for wrong in each.wrong] == []
