"""The built handbook as readers get it: served by nginx as the handbook says, and opened in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from handbook import quiet
from handbook.catalog import Catalog
from handbook.stacks import Boot, ComposeStack
from handbook.walkthroughs import Walkthrough
from tests.boot.client import wait_for

from .visits import Visit, chromium

PORT = 8080
# A flag of an address in /proc/net/if_inet6: the kernel still asks whether another host has it (RFC 4862, 5.4).
TENTATIVE = 0x40


@pytest.fixture(scope="session")
def published(site: Path) -> Iterator[str]:
    """The address of the handbook, which the stack `publish` serves."""
    with Boot(ComposeStack("publish", Catalog())) as boot:
        shutil.copytree(site, boot.scratch / "site")
        script = boot.folder / "walkthrough.sh"
        with Walkthrough(script, cwd=boot.folder, env=boot.env, name="snippets/publish/walkthrough.sh") as walk:
            walk.until("start-it")
        # A change of an address ends what Chromium is loading, with net::ERR_NETWORK_CHANGED; also what it asks of
        # 127.0.0.1. The bridge that was just made has an address that still becomes valid.
        wait_for(lambda: not tentative(), "all addresses of this machine are valid", 15)
        yield f"http://127.0.0.1:{boot.ports[PORT]}/"


# Not for the session: as long as it is open, no other test of this process could run an event loop.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Other processes make networks, and with them addresses; see `published`.
    with quiet.measuring(), chromium() as browser:
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


def tentative() -> list[str]:
    """The IPv6 addresses of this machine that are not valid yet; see proc_net_if_inet6 in the kernel's sources."""
    known = Path("/proc/net/if_inet6")
    lines = known.read_text(encoding="ascii").splitlines() if known.exists() else []
    return [line for line in lines if int(line.split()[4], 16) & TENTATIVE]
