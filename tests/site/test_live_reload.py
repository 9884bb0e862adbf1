"""`mkdocs serve` shows every edit, and a mistake does not end it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from shutil import copytree, ignore_patterns
from urllib.request import urlopen

import pytest

from handbook.catalog import ROOT

SECONDS = 20


@dataclass
class Server:
    """A running `mkdocs serve` over a copy of the engine and a page of its own."""

    root: Path
    url: str
    log: Path
    process: subprocess.Popen[bytes]

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.root / path
        text = file.read_text("utf-8")
        assert old in text
        file.write_text(text.replace(old, new), "utf-8")

    def page(self) -> str:
        """The page as a browser gets it; empty as long as the server holds the answer back."""
        try:
            with urlopen(self.url, timeout=1) as answer:
                return re.sub(r"<[^>]+>", "", answer.read().decode())
        except (OSError, HTTPException):
            return ""

    def shows(self, text: str) -> None:
        self._wait(lambda: text in self.page(), f"the page does not show {text!r}")

    def says(self, text: str) -> None:
        self._wait(lambda: text in self.log.read_text("utf-8"), f"the server does not say {text!r}")

    def _wait(self, condition: Callable[[], bool], message: str) -> None:
        end = time.monotonic() + SECONDS
        while not condition():
            log = self.log.read_text("utf-8")[-4000:]
            assert self.process.poll() is None, f"the server has ended:\n{log}"
            assert time.monotonic() < end, f"{message}:\n{log}"
            time.sleep(0.2)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("project")
    log = tmp_path_factory.mktemp("log") / "mkdocs.log"
    copytree(ROOT / "scripts" / "handbook", root / "scripts" / "handbook", ignore=ignore_patterns("__pycache__"))
    copytree(ROOT / "docs" / "assets", root / "docs" / "assets", ignore=ignore_patterns("drawings"))
    (root / "mkdocs.yml").write_text(f"INHERIT: {ROOT / 'mkdocs.yml'}\nnav: [index.md]\n")
    (root / "snippets").mkdir()
    (root / "snippets" / "demo.env").write_text("# Where\nHOST=database\nPORT=5432\n")
    (root / "docs" / "index.md").write_text(
        "# Home\n\nThe first words.\n\nPort {{ value('demo.env#PORT') }}, {{ count('snippets') }} files.\n\n"
        "``` snippet\ndemo.env#where\n```\n"
    )
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # PYTHONPATH stands for an environment into which this copy of the engine was installed.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(root / "scripts")}
    command = [sys.executable, "-u", "-m", "mkdocs", "serve", "--dev-addr", f"127.0.0.1:{port}"]
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=root, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        running = Server(root, f"http://127.0.0.1:{port}/", log, process)
        running.shows("The first words.")
        yield running
        assert process.poll() is None, log.read_text("utf-8")[-4000:]
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def test_an_edit_of_a_page_shows(server: Server) -> None:
    server.edit("docs/index.md", "The first words.", "The second words.")
    server.shows("The second words.")


def test_an_edit_of_a_snippet_shows_in_its_block_and_in_prose(server: Server) -> None:
    server.edit("snippets/demo.env", "5432", "6543")
    server.shows("PORT=6543")
    server.shows("Port 6543,")


def test_a_new_snippet_is_seen(server: Server) -> None:
    (server.root / "snippets" / "more.env").write_text("A=1\n")
    server.shows("2 files.")


def test_an_edit_of_a_macro_shows(server: Server) -> None:
    server.edit("scripts/handbook/site/build.py", "return counts[what]()", "return counts[what]() + 1000")
    server.shows("1002 files.")


def test_an_edit_of_a_finder_shows(server: Server) -> None:
    server.edit("scripts/handbook/regions/env.py", 'value=match["value"] or None', 'value="port " + match["value"]')
    server.shows("Port port 6543,")


def test_an_edit_of_the_fence_shows(server: Server) -> None:
    server.edit("scripts/handbook/site/fence.py", "download>", "download>Shown: ")
    server.shows("Shown: demo.env")


def test_an_edit_of_a_module_imported_late_shows(server: Server) -> None:
    server.edit("scripts/handbook/proof.py", '"not run on this machine"', '"nobody ran this"')
    server.shows("nobody ran this")


@pytest.mark.parametrize(
    ("path", "old", "wrong", "says"),
    [
        ("docs/index.md", "demo.env#where", "demo.env#here", "docs/index.md:8: region: "),
        ("docs/index.md", "count('snippets')", "count('stars')", "docs/index.md:5: macro: nothing counts 'stars'"),
        ("docs/index.md", "``` snippet", "``` yaml", "docs/index.md:7: fence: a fence of 'yaml'"),
        ("snippets/demo.env", "HOST=", "export HOST=", "snippets/demo.env:2: unreadable: "),
        ("scripts/handbook/regions/env.py", "def entries(", "def entries((", "SyntaxError"),
        ("scripts/handbook/site/fence.py", "def snippet(", "def snippet((", "SyntaxError"),
    ],
)
def test_a_mistake_is_told_and_the_next_good_edit_shows(
    server: Server, path: str, old: str, wrong: str, says: str
) -> None:
    before = len(server.log.read_text("utf-8"))
    server.edit(path, old, wrong)
    server.says(says)
    if not path.startswith("scripts/"):
        assert "Traceback" not in server.log.read_text("utf-8")[before:]
    server.edit(path, wrong, old)
    # The page itself changes too, so that an old one can't pass for the mended one.
    server.edit("docs/index.md", "words.", "words. More.")
    server.shows("words." + " More." * (server.root / "docs/index.md").read_text("utf-8").count(" More."))
