"""The stack that publishes the handbook, with a small site in the place of the built pages."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from handbook import tools
from handbook.catalog import Catalog
from handbook.stacks import Boot, ComposeStack
from handbook.walkthroughs import Walkthrough

from .building import path_with
from .development import ask_on_loopback

STACK = "publish"
NAME, TAG = "handbook", "handbook:1.0.0"
HASHED = "assets/javascripts/bundle.0123abcd.min.js"
FILES = {
    "index.html": "<title>Home</title>",
    "404.html": "<title>Nothing here</title>",
    "deep/index.html": "<title>Deep</title>",
    "deep/index.md": "# Deep\n",
    "llms.txt": "# Handbook\n",
    "files/.gitlab-ci.yml": "stages: []\n",
    "assets/handbook.js": "1;\n",
    HASHED: "1;\n" * 1000,
}


def inputs() -> str:
    """The digest of all that this module's result depends on."""
    here = Path(__file__)
    helpers = (here.with_name(f"{name}.py") for name in ("building", "client", "conftest", "development"))
    return ComposeStack(STACK, Catalog()).digest([here, *helpers])


@pytest.fixture(scope="module")
def boot(boot: Boot) -> Iterator[Boot]:
    """The copy, with the site where the walkthrough expects it."""
    for path, text in FILES.items():
        file = boot.scratch / "site" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        # As under a strict umask: the web server's user could not read it.
        file.write_text(text, "utf-8")
        file.chmod(0o600)
    ask_on_loopback(boot)
    boot.env["PATH"] = path_with(boot.scratch, boot.stack.references)
    there = tools.run(["docker", "image", "inspect", TAG]).returncode == 0
    assert not there, f"{TAG} is there already, and this test would replace it; remove it: docker image rm {TAG}"
    yield boot
    tools.run(["docker", "rm", "--force", NAME])
    tools.run(["docker", "image", "rm", TAG])


@pytest.fixture
def client(started: Boot) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{started.ports[8080]}", trust_env=False) as client:
        yield client


def test_a_page_comes_with_its_policy(started: Boot, walk: Walkthrough) -> None:
    page, policy = walk.until("ask-it").stdout.splitlines()
    assert page == "200 text/html; charset=utf-8"
    assert "'unsafe-" not in policy
    assert re.search(r"default-src 'none'; script-src 'self'( 'sha256-\S+')+;", policy)


def test_a_page_that_is_not_there_is_told_by_the_site(client: httpx.Client) -> None:
    """With the headers of a page that is there."""
    answer = client.get("/nothing/")
    assert (answer.status_code, answer.text) == (404, FILES["404.html"])
    assert "script-src 'self'" in answer.headers["content-security-policy"]


def test_a_redirect_keeps_what_is_before_nginx(client: httpx.Client) -> None:
    """Whoever reaches it by another name, port or scheme is not sent elsewhere."""
    answer = client.get("/deep", headers={"Host": "handbook.example.com"})
    assert (answer.status_code, answer.headers["location"]) == (301, "/deep/")


def test_a_file_to_take_along_is_of_no_type(client: httpx.Client) -> None:
    """So that a browser adds no ending to its name. One whose name begins with a dot is there, too."""
    answer = client.get("/files/.gitlab-ci.yml")
    assert (answer.text, answer.headers["content-type"]) == (FILES["files/.gitlab-ci.yml"], "application/octet-stream")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert client.get("/deep/index.md").headers["content-type"] == "text/markdown; charset=utf-8"
    assert client.get("/llms.txt").headers["content-type"] == "text/plain; charset=utf-8"


def test_what_has_its_hash_in_its_name_is_kept_and_all_else_is_asked_for_again(client: httpx.Client) -> None:
    kept = client.get(f"/{HASHED}")
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert kept.headers["content-encoding"] == "gzip"
    again = client.get("/assets/handbook.js")
    assert again.headers["cache-control"] == "no-cache"
    assert client.get("/assets/handbook.js", headers={"If-None-Match": again.headers["etag"]}).status_code == 304


def test_new_pages_take_the_place_of_the_old_ones_while_it_runs(
    started: Boot, walk: Walkthrough, client: httpx.Client
) -> None:
    """And what is not among them is gone."""
    assert client.get("/deep/").status_code == 200
    (started.scratch / "site" / "index.html").write_text("<title>New</title>", "utf-8")
    shutil.rmtree(started.scratch / "site" / "deep")
    walk.until("put-new-pages-in-their-place")
    assert client.get("/").text == "<title>New</title>"
    assert client.get("/deep/").status_code == 404


def test_the_image_holds_the_pages(started: Boot, walk: Walkthrough) -> None:
    walk.until("make-an-image-of-it")
    assert walk.until("run-the-image").stdout.splitlines()[-1] == "200 text/html; charset=utf-8"
    inside = tools.run(["docker", "exec", NAME, "cat", "/usr/share/nginx/html/index.html"])
    assert inside.stdout == (started.folder / "site" / "index.html").read_text("utf-8")
    assert tools.run(["docker", "exec", NAME, "touch", "/usr/share/nginx/html/index.html"]).returncode


@pytest.mark.removes
def test_nothing_is_left(started: Boot, walk: Walkthrough) -> None:
    walk.until("remove-it")
    assert tools.run(["docker", "inspect", NAME]).returncode
    assert not (started.folder / "site").exists()
