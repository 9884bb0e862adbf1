"""The chip above a block: its card opens for a pointer and for a keyboard, and its link leads to the proof."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from .visits import DESKTOP, PHONE, Visit


@pytest.fixture
def page(published: str, visit: Callable[..., Visit]) -> Page:
    return visit(published, viewport=DESKTOP).open("nginx/")


def test_a_card_opens_under_the_pointer_and_stays_while_it_is_read(page: Page) -> None:
    card = page.locator(".card").first
    expect(card).to_be_hidden()
    page.locator(".chip > a").first.hover()
    expect(card).to_be_visible()
    card.hover()
    expect(card).to_be_visible()
    page.locator("h1").hover()
    expect(card).to_be_hidden()


def test_a_card_opens_for_the_keyboard_and_escape_closes_it(page: Page) -> None:
    page.locator(".filename > a.path").first.focus()
    page.keyboard.press("Tab")
    card = page.locator(".card").first
    expect(card).to_be_visible()
    assert page.locator(":focus").get_attribute("aria-describedby") == card.get_attribute("id")
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    expect(card).to_be_visible()


def test_a_chip_leads_to_its_row(page: Page) -> None:
    chip = page.locator(".chip > a").first
    anchor = (chip.get_attribute("href") or "").partition("#")[2]
    path = page.locator(".filename > a.path").first.inner_text()
    chip.click()
    page.wait_for_url(f"**/proof/#{anchor}")
    row = page.locator(f"[id='{anchor}']")
    assert path in row.inner_text()
    expect(row).to_be_visible()


def test_a_finger_goes_straight_to_the_proof(published: str, visit: Callable[..., Visit]) -> None:
    phone = visit(published, viewport=PHONE, has_touch=True, is_mobile=True).open("nginx/")
    phone.locator(".chip > a").first.tap()
    phone.wait_for_url("**/proof/#proof-*")
