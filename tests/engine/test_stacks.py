"""Which files a stack takes along, which images it names, and what is refused. No Docker is asked."""

import subprocess
from pathlib import Path

import pytest

from handbook.catalog import Catalog
from handbook.findings import HandbookError
from handbook.stacks import Stack, names

COMPOSE = """
services:
  proxy:
    image: nginx:1.30.6
    volumes:
      - ./proxy.conf:/etc/nginx/nginx.conf:ro
      - {type: bind, source: ../../nginx, target: /etc/nginx/shared}
      - data:/data
  app:
    image: app:1.0.0
    build: {context: ../../app}
    env_file: [app.env, {path: ../more.env}]
    secrets: [password]
volumes: {data: {}}
secrets: {password: {file: secrets/password}}
"""
DOCKERFILE = """
ARG INDEX
ARG LEVEL=1
FROM --platform=linux/amd64 python:3.13 AS build
FROM build AS test
FROM debian:13
COPY --from=build /a /a
"""
FILES = {
    ".gitignore": "secrets/\n",
    "snippets/compose/small/compose.yaml": COMPOSE,
    "snippets/compose/small/proxy.conf": "",
    "snippets/compose/small/app.env": "",
    "snippets/compose/small/secrets/password": "PASSWORD=generated\n",
    "snippets/compose/more.env": "",
    "snippets/nginx/tls.conf": "",
    "snippets/app/Dockerfile": DOCKERFILE,
    "snippets/app/app.py": "",
    "snippets/other/file.txt": "",
    "outside/file.txt": "",
}
TAKEN = {
    "app/Dockerfile",
    "app/app.py",
    "compose/more.env",
    "compose/small/app.env",
    "compose/small/compose.yaml",
    "compose/small/proxy.conf",
    "nginx/tls.conf",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "checkout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    subprocess.run(["git", "init", "--quiet", "checkout"], cwd=tmp_path, check=True)
    return tmp_path / "checkout"


def small(root: Path) -> Stack:
    return Stack("compose/small", Catalog(root))


def replace(root: Path, old: str, new: str) -> None:
    path = root / "snippets/compose/small/compose.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_it_takes_what_its_services_need_and_no_more(root: Path) -> None:
    assert names(Catalog(root)) == ("compose/small",)
    assert set(small(root).files) == {f"snippets/{path}" for path in TAKEN}


def test_the_copy_has_the_layout_of_the_snippets(root: Path, tmp_path: Path) -> None:
    folder = small(root).copy(tmp_path / "copy")
    assert folder == tmp_path / "copy" / "compose" / "small"
    assert {str(p.relative_to(tmp_path / "copy")) for p in (tmp_path / "copy").rglob("*") if p.is_file()} == TAKEN


def test_it_knows_the_images_from_a_registry(root: Path) -> None:
    assert small(root).references == ("debian:13", "nginx:1.30.6", "python:3.13")


def test_only_open_build_arguments_are_passed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INDEX", "here")
    monkeypatch.setenv("LEVEL", "2")
    assert small(root).build_arguments("app") == {"INDEX": "here"}


@pytest.mark.parametrize("path", sorted(TAKEN))
def test_every_file_counts(root: Path, path: str) -> None:
    before = small(root).digests()
    with (root / "snippets" / path).open("a") as file:
        file.write("\n# changed\n")
    assert small(root).digests() != before


@pytest.mark.parametrize("path", ["snippets/other/file.txt", "snippets/compose/small/secrets/password"])
def test_no_other_file_counts(root: Path, path: str) -> None:
    before = small(root).digests()
    (root / path).write_text("changed")
    assert small(root).digests() == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "./proxy.conf",
            "./prxy.conf",
            r"compose.yaml:\d+: this needs snippets/compose/small/prxy.conf, and there is no tracked file",
        ),
        ("../../nginx", "../../../outside", r"this needs outside, .*; a stack takes its files from snippets/"),
        ("app.env", "secrets/password", "this needs snippets/compose/small/secrets/password"),
        ("context: ../../app", "context: ../../ap", "this needs snippets/ap,"),
        ("services:", "services: [", r"snippets/compose/small/compose.yaml:\d+: not YAML"),
    ],
)
def test_what_a_reader_would_not_have_is_refused(root: Path, old: str, new: str, message: str) -> None:
    replace(root, old, new)
    with pytest.raises(HandbookError, match=message):
        _ = small(root).files


def test_an_unknown_stack_lists_those_there_are(root: Path) -> None:
    with pytest.raises(HandbookError, match=r"no stack 'compose/big'.*there is: compose/small"):
        _ = Stack("compose/big", Catalog(root)).files
