"""When a page was last changed: by its own text, or by a file that it shows."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from handbook.catalog import Catalog
from handbook.site.dates import changed


@pytest.fixture
def root(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    write(tmp_path, "snippets/a b.env", "A=1\n")
    write(tmp_path, "snippets/other.env", "A=1\n")
    write(tmp_path, "docs/shows.md", "# Shows\n\n``` snippet\nother.env\n```\n")
    write(tmp_path, "docs/own.md", "# Own\n")
    commit(tmp_path, "2026-01-01")
    return tmp_path


def git(root: Path, *arguments: str, **environment: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *who, *arguments], cwd=root, check=True, env={"PATH": "/usr/bin:/bin", **environment})


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text, "utf-8")


def commit(root: Path, day: str) -> None:
    when = f"{day}T12:00:00Z"
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "a", GIT_AUTHOR_DATE=when, GIT_COMMITTER_DATE=when)


def test_a_page_is_as_new_as_what_it_shows(root: Path) -> None:
    assert changed(Catalog(root)) == {"docs/own.md": "2026-01-01", "docs/shows.md": "2026-01-01"}
    write(root, "snippets/other.env", "A=2\n")
    commit(root, "2026-02-02")
    write(root, "docs/own.md", "# Own words\n")
    commit(root, "2026-03-03")
    assert changed(Catalog(root)) == {"docs/own.md": "2026-03-03", "docs/shows.md": "2026-02-02"}


def test_a_page_without_a_commit_has_no_date(root: Path) -> None:
    write(root, "docs/new.md", "# New\n")
    assert "docs/new.md" not in changed(Catalog(root))


def test_a_shallow_clone_knows_nothing(root: Path, tmp_path: Path) -> None:
    """Its one commit would be the date of every page."""
    git(root, "clone", "--quiet", "--depth", "1", f"file://{root}", str(tmp_path / "clone"))
    assert Catalog(tmp_path / "clone").pages
    assert changed(Catalog(tmp_path / "clone")) == {}
