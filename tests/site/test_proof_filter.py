"""The filter of the Proof page in a browser: what it leaves and says, and that a link leads to what it has hidden."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, Page, expect

from handbook.catalog import ROOT, Catalog
from handbook.proof import Judge, Outcome
from handbook.site import proof_page
from tests.records import STORY, WALKTHROUGH, WORK, booted, checked, record, write

PROBES = (Outcome("test_answers", True, 0.1), Outcome("test_survives", False, 0.2))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with a stack of two modules, one of which has two probes, and of three snippets."""
    root = tmp_path_factory.mktemp("checkout")
    subprocess.run(["git", "init", "--quiet", root], check=True)
    store = checked(root, WALKTHROUGH)
    for path in (WORK, "snippets/nginx/gzip.conf", "snippets/nginx/stream.conf"):
        write(root, path)
    store.add(record(root, "snippets/nginx/gzip.conf", "gixy", passed=False))
    store.add(replace(booted(root, STORY, files=[WALKTHROUGH], passed=False), probes=PROBES))
    judge = Judge(store, root)
    parts = (proof_page.filter_bar(), proof_page.stacks(judge), proof_page.snippets(Catalog(root), judge))
    assets = (ROOT / "docs" / "assets").as_uri()
    head = f'<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="{assets}/handbook.css">'
    tall = '<div style="block-size: 3000px"></div>'
    body = f'<main class="md-typeset">{"".join(parts)}{tall}</main><script src="{assets}/proof.js"></script>'
    write(root, "page.html", head + body)
    return (root / "page.html").as_uri()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    page = browser.new_page()
    page.goto(address)
    yield page
    page.close()


def says(page: Page, words: str) -> None:
    expect(page.get_by_role("status")).to_have_text(words)


def test_without_a_script_nobody_sees_it(browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    expect(page.locator(".proof-filter")).to_be_hidden()
    expect(page.get_by_text("nginx/gzip.conf")).to_be_visible()
    context.close()


def test_it_counts_all_rows_and_leaves_them(page: Page) -> None:
    says(page, "8 of 8 rows")
    expect(page.locator("tr[data-state]:visible")).to_have_count(3)
    expect(page.locator("details")).not_to_have_attribute("open", "")


def test_text_leaves_the_rows_that_have_all_its_words(page: Page) -> None:
    page.get_by_label("Text").fill("GIXY  gzip")
    says(page, "1 of 8 rows")
    expect(page.locator("tr[data-state]:visible")).to_contain_text(["nginx/gzip.conf"])
    expect(page.locator("section")).to_be_hidden()
    page.get_by_label("Text").fill("")
    says(page, "8 of 8 rows")


def test_a_state_leaves_its_rows(page: Page) -> None:
    page.get_by_label("State").select_option("failed")
    # The stack, its module, the probe, and the two snippets that failed.
    says(page, "5 of 8 rows")
    expect(page.locator("li[data-state]:visible")).to_contain_text(["survives"])
    page.get_by_label("Text").fill("nginx")
    says(page, "1 of 8 rows")
    page.get_by_label("State").select_option("changed since its proof")
    says(page, "0 of 8 rows")


def test_a_probe_is_found_with_what_it_stands_in(page: Page) -> None:
    page.get_by_label("Text").fill("compose/demo survives")
    says(page, "3 of 8 rows")
    expect(page.locator("li[data-state]:visible")).to_contain_text(["survives"])
    expect(page.locator("details")).to_have_attribute("open", "")
    expect(page.get_by_role("heading", name="compose/demo")).to_be_visible()


@pytest.mark.parametrize("anchor", ["proof-nginx-stream-conf", "proof-stack-compose-demo"])
def test_a_link_leads_to_what_is_hidden(anchor: str, page: Page) -> None:
    page.get_by_label("Text").fill("gzip")
    page.get_by_label("State").select_option("failed")
    expect(page.locator(f"#{anchor}")).to_be_hidden()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.evaluate(f"location.hash = '{anchor}'")
    says(page, "8 of 8 rows")
    expect(page.locator(f"#{anchor}")).to_be_in_viewport()
    expect(page.get_by_label("Text")).to_have_value("")


def test_a_link_to_what_is_seen_leaves_the_filter(page: Page) -> None:
    page.get_by_label("Text").fill("gzip")
    page.evaluate("location.hash = 'proof-nginx-gzip-conf'")
    page.evaluate("new Promise(requestAnimationFrame)")
    says(page, "1 of 8 rows")
