"""The catalog sees what git would track, knows what each file is, and reads the addresses on pages."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from handbook import catalog
from handbook.catalog import KINDS, Catalog, Reference, fences, kind_of, parse_address
from handbook.findings import HandbookError


def write(root: Path, path: str, text: str = "") -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    return tmp_path


def test_files_are_what_git_tracks_or_would_track(root: Path) -> None:
    write(root, ".gitignore", "secrets/\n")
    write(root, "snippets/a/secrets/password", "x")
    write(root, "snippets/a/ä b.yaml", "a: 1\n")
    write(root, "snippets/a/gone.yaml", "a: 1\n")
    subprocess.run(["git", "add", "snippets/a/gone.yaml"], cwd=root, check=True)
    (root / "snippets/a/gone.yaml").unlink()
    assert Catalog(root).files == (".gitignore", "snippets/a/ä b.yaml")


def test_snippets_leave_out_what_is_wrong_on_purpose(root: Path) -> None:
    for path in ("snippets/a/compose.yaml", "snippets/faults/b/compose.yaml", "mkdocs.yml", "scripts/x.sh", "notes"):
        write(root, path)
    found = Catalog(root)
    assert found.snippets == ("snippets/a/compose.yaml",)
    assert found.checked == ("snippets/a/compose.yaml", "mkdocs.yml", "scripts/x.sh")
    assert found.of_check("yamllint") == ("snippets/a/compose.yaml", "mkdocs.yml")
    assert found.of_check("shellcheck") == ("scripts/x.sh",)


def test_outside_of_git_nobody_can_tell(tmp_path: Path) -> None:
    with pytest.raises(HandbookError, match=f"{tmp_path}: git can't list the files"):
        _ = Catalog(tmp_path).files


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("snippets/compose/production/compose.yaml", "compose"),
        ("snippets/compose/production/service.env", "env"),
        ("snippets/service/Dockerfile", "dockerfile"),
        ("snippets/service/.dockerignore", "dockerignore"),
        ("snippets/nginx/tls.conf", "nginx"),
        ("snippets/service/migrations/versions/a.py", "migration"),
        ("snippets/service/assistant/app.py", "python"),
        ("snippets/compose/production/walkthrough.sh", "walkthrough"),
        ("snippets/ci/github/test-snippets.yml", "github-actions"),
        (".github/workflows/ci.yml", "github-actions"),
        ("sub/.github/workflows/ci.yml", "github-actions"),
        ("mkdocs.yml", "yaml"),
        ("LICENSE", None),
    ],
)
def test_the_path_decides_the_kind(path: str, name: str | None) -> None:
    kind = kind_of(path)
    assert (kind and kind.name) == name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n``` snippet\nx\n```\nb\n", [(2, "snippet", ["x"])]),
        ("~~~~ snippet\n~~~\nx\n~~~~\n", [(1, "snippet", ["~~~", "x"])]),
        ("- a\n\n    ```snippet\n    x\n    ```\n", [(3, "snippet", ["    x"])]),
        ("> ``` snippet\n> x\n> ```\n", [(1, "snippet", ["x"])]),
        ("``` yaml\n``` snippet\n```\n", [(1, "yaml", ["``` snippet"])]),
        ("```\na\n```\n```\nb\n", [(1, "", ["a"]), (4, "", ["b"])]),
        ("```inline``` code and ``` more\n", []),
        ("`` ` ``\n", []),
    ],
)
def test_fences(text: str, expected: list[tuple[int, str, list[str]]]) -> None:
    assert list(fences(text)) == expected


def test_an_address_is_a_path_a_region_and_highlights() -> None:
    assert parse_address(["", " a/b.yaml ", ""]) == ("a/b.yaml", None, ())
    assert parse_address(["    a.conf#server api.example.com", "    highlight server api.example.com.listen"]) == (
        "a.conf",
        "server api.example.com",
        ("server api.example.com.listen",),
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "the fence is empty"),
        (["", " "], "the fence is empty"),
        (["a b.yaml"], "'a b.yaml' is not the path of a snippet"),
        (["/etc/passwd"], "'/etc/passwd' is not the path of a snippet"),
        (["a/../../b"], "'a/../../b' is not the path of a snippet"),
        (["#services"], "'#services' is not the path of a snippet"),
        (["a.yaml", "b.yaml"], "'b.yaml' is not `highlight REGION`"),
        (["a.yaml", "highlight"], "'highlight' is not `highlight REGION`"),
    ],
)
def test_what_is_no_address_is_told(lines: list[str], message: str) -> None:
    with pytest.raises(ValueError, match="^" + message.replace(".", r"\.")):
        parse_address(lines)


def test_a_page_knows_what_it_shows_and_where(root: Path) -> None:
    write(root, "snippets/a.yaml", "a: 1\n")
    write(
        root,
        "docs/sub/page.md",
        "---\ntitle: x\n---\n\n``` snippet\na.yaml#a\nhighlight a\n```\n\n``` yaml\n```\n\n``` snippet\n```\n",
    )
    found = Catalog(root)
    (page,) = found.pages
    reference = Reference("docs/sub/page.md", 6, "a.yaml", "a", ("a",))
    assert page.references == [reference]
    assert reference.address == "a.yaml#a"
    assert found.shown() == {"snippets/a.yaml": [reference]}
    assert [(finding.line, finding.rule, finding.message) for finding in page.findings] == [
        (10, "fence", "a fence of 'yaml'"),
        (13, "fence", "the fence is empty"),
    ]


def test_checks_are_named_once() -> None:
    names = catalog.checks()
    assert len(names) == len(set(names))
    assert set(names) == {check for kind in KINDS for check in kind.checks}
