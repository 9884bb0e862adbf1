"""What one sees in a terminal at night is found: parts of names, addresses, texts of errors."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from handbook.catalog import ROOT
from tests.built_site import mkdocs

from .served import Served
from .visits import Visit

WORDS = """\
apiVersion: autoscaling/v2
spec:
  terminationGracePeriodSeconds: 90
  address: "127.0.0.1"
  settings: proxy_read_timeout
"""
PAGE = """\
# Words

An answer: `502 Bad Gateway`.

=== "Debian"

    ## In a tab

    Text of the one tab.

=== "Ubuntu"

    ## In another

    Text of the other tab.

``` snippet
words/words.yaml
```
"""


def results(page: Page, query: str) -> list[str]:
    """The titles of the first pages that the search finds for what a reader types."""
    page.locator(".md-search__input").focus()
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.press("Delete")
    meta = page.locator(".md-search-result__meta")
    expect(meta).to_have_text(re.compile("start searching|Initializing"))
    # All at once, and then one key: typed letter by letter, what an earlier part of it finds may be read instead.
    page.keyboard.insert_text(query)
    page.keyboard.press("End")
    expect(meta).to_have_text(re.compile("match"))
    return page.locator(".md-search-result__item h1").all_inner_texts()


@pytest.fixture(scope="module")
def searched(published: str, browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    page.goto(published)
    yield page
    page.close()


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("proxy_read_timeout", "nginx and TLS"),
        ("read_timeout", "nginx and TLS"),
        ("127.0.0.1", "Run it on your machine"),
        ("502 Bad Gateway", "Troubleshooting Compose"),
        ("stop_grace_period", "Compose: production"),
        ("pg_dump", "Compose: production"),
    ],
)
def test_the_handbook_is_searched(query: str, title: str, searched: Page) -> None:
    assert title in results(searched, query)


def test_what_is_nowhere_is_not_found(searched: Page) -> None:
    assert results(searched, "qzxjkvwy") == []


def test_the_index_is_fetched_by_who_searches(published: str, visit: Callable[..., Visit]) -> None:
    """It is the largest part of a page, and most readers of a page do not search."""
    site = visit(published)
    asked: list[str] = []
    site.context.on("request", lambda request: asked.append(request.url))
    page = site.open()
    assert not any("search_index" in url for url in asked)
    results(page, "nginx")
    assert any("search_index" in url for url in asked)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a handbook with one page, below a path of its server: a proxy may put it anywhere."""
    root = tmp_path_factory.mktemp("made")
    subprocess.run(["git", "init", "--quiet", root], check=True)
    (root / "scripts").symlink_to(ROOT / "scripts")
    files = {
        "mkdocs.yml": f"INHERIT: {ROOT / 'mkdocs.yml'}\nnav: [index.md]\n",
        "snippets/words/words.yaml": WORDS,
        "docs/index.md": PAGE,
    }
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, "utf-8")
    (root / "docs" / "assets").symlink_to(ROOT / "docs" / "assets")
    built = mkdocs(root, "build", "--site-dir", str(root / "served" / "some" / "where"))
    assert built.returncode == 0, built.stderr
    with Served(root / "served") as url:
        yield f"{url}some/where/"


@pytest.mark.parametrize(
    "query", ["gracePeriod", "127.0.0.1", "proxy_read_timeout", "autoscaling/v2", "502 Bad Gateway"]
)
def test_a_part_of_a_name_is_found(query: str, made: str, visit: Callable[..., Visit]) -> None:
    assert results(visit(made).open(), query), query


@pytest.mark.parametrize(("anchor", "text"), [("in-a-tab", "the one tab"), ("in-another", "the other tab")])
def test_a_link_into_a_tab_opens_it(anchor: str, text: str, made: str, visit: Callable[..., Visit]) -> None:
    page = visit(made).open(f"#{anchor}")
    page.get_by_text(text).wait_for()
