"""The handbook below any path of any server, and without JavaScript: it can be read, and its files be taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from handbook.catalog import ROOT

from .served import Served
from .visits import PHONE, Visit


@pytest.fixture(scope="module")
def elsewhere(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "some").mkdir()
    (folder / "some" / "where").symlink_to(site)
    with Served(folder) as url:
        yield f"{url}some/where/"


@pytest.mark.parametrize("script", [True, False], ids=["with-scripts", "without"])
def test_pages_lead_to_each_other_and_to_the_files(
    script: bool, elsewhere: str, visit: Callable[..., Visit], tmp_path: Path
) -> None:
    page = visit(elsewhere, java_script_enabled=script, accept_downloads=True).open()
    page.get_by_role("article").get_by_role("link", name="Compose: production").click()
    page.wait_for_url(f"{elsewhere}compose/production/")
    assert page.locator("pre").first.is_visible()
    with page.expect_download() as begun:
        page.locator("a.path", has_text="compose/production/compose.yaml").first.click()
    begun.value.save_as(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == (ROOT / "snippets/compose/production/compose.yaml").read_bytes()
    page.locator(".chip > a").first.hover()
    assert page.locator(".card").first.is_visible()
    page.locator(".chip > a").first.click()
    page.wait_for_url(f"{elsewhere}proof/#proof-*")


def test_a_phone_without_scripts_can_open_the_menu(elsewhere: str, visit: Callable[..., Visit]) -> None:
    page = visit(elsewhere, java_script_enabled=False, viewport=PHONE).open()
    page.locator(".md-header [for=__drawer]").click()
    page.locator(".md-nav--primary").get_by_text("nginx and TLS").wait_for()
