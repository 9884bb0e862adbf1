"""What files name is read in all its forms, and each thing that can be wrong with a version's support is found."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import pytest

from handbook import support, versions
from handbook.catalog import Catalog
from handbook.facts import products
from handbook.findings import HandbookError
from handbook.site import tables

DAY = date(2030, 1, 1)
STACK = "snippets/compose/demo/compose.yaml"
COMPOSE = """\
services:
  proxy:
    image: nginx:1.30.6
  service:
    build: ../../service
    image: demo:${VERSION:-1.0.0}
  worker:
    image: demo:${VERSION:-1.0.0}
"""
ROW = """\
nginx:
  "1.30":
    until: {}
    source: https://nginx.example/support
    looked_up: 2029-01-01
    note: Until the next one.
"""


def project(root: Path, files: Mapping[str, str]) -> Catalog:
    """A checkout with some files."""
    subprocess.run(["git", "init", "--quiet", root], check=True)
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return Catalog(root)


def demo(root: Path, until: object = "null", compose: str = COMPOSE, rows: str = "") -> Catalog:
    """A checkout with one stack, and what is known of the one product in it."""
    return project(root, {STACK: compose, support.FILE: ROW.format(until) + rows})


def findings(catalog: Catalog) -> list[str]:
    return [str(finding) for finding in versions.findings(catalog, DAY)]


@pytest.mark.parametrize("days", [60, 61, 1000])
def test_enough_days_are_left(tmp_path: Path, days: int) -> None:
    assert findings(demo(tmp_path, DAY + timedelta(days))) == []


def test_a_day_that_nobody_has_published_is_never_near(tmp_path: Path) -> None:
    assert findings(demo(tmp_path)) == []


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (59, "is supported until 2030-03-01, and no longer"),
        (0, "is supported until 2030-01-01, and no longer"),
        (-1, "was supported until 2029-12-31, and no longer"),
    ],
)
def test_too_few_days_are_left(tmp_path: Path, days: int, words: str) -> None:
    """The message has the product, the day, and each place that names the version."""
    other = "snippets/host/walkthrough.sh"
    catalog = demo(tmp_path, DAY + timedelta(days))
    project(tmp_path, {other: "docker run --publish 80:80 nginx:1.30.4\n"})
    assert findings(catalog) == [
        f"{support.FILE}:2: versions.ends: nginx 1.30 {words}; it is used in {STACK}:3, {other}:1; write a newer "
        "version there, or look at https://nginx.example/support whether the day has moved"
    ]


def test_a_row_that_nothing_uses(tmp_path: Path) -> None:
    rows = ROW.format("null").replace("nginx:", "Redis:", 1).replace("1.30", "8.2")
    assert findings(demo(tmp_path, rows=rows)) == [
        f"{support.FILE}:8: versions.unused: nothing uses Redis 8.2; take the row away"
    ]


def test_a_version_without_a_row(tmp_path: Path) -> None:
    catalog = demo(tmp_path, compose=f"{COMPOSE}  other:\n    image: nginx:1.32.0\n")
    assert findings(catalog) == [
        f"{STACK}:10: versions.missing: nothing is known of the support of nginx 1.32; look it up, and add it to "
        f"{support.FILE}"
    ]


def test_files_that_name_nothing_are_not_judged_in_silence(tmp_path: Path) -> None:
    with pytest.raises(HandbookError, match="no file names a version that is known"):
        findings(project(tmp_path, {support.FILE: ROW.format("null")}))


@pytest.mark.parametrize(
    ("path", "text", "named"),
    [
        ("snippets/a/Dockerfile", "FROM python:3.13-slim-trixie AS a\nFROM a\n", "Python 3.13, Debian 13"),
        (
            "snippets/a/Dockerfile",
            f"FROM pgvector/pgvector:0.8.7-pg18-trixie@sha256:{'0' * 64}\n",
            "pgvector 0.8, PostgreSQL 18, Debian 13",
        ),
        ("scripts/images/a/Dockerfile", "FROM bootproof.local/base:forky\n", ""),
        ("scripts/a/Dockerfile", "FROM debian:trixie-slim\n", "Debian 13"),
        ("snippets/a/compose.yaml", "services: {a: {image: 'redis:${V:-8.2.10}-bookworm'}}\n", "Redis 8.2, Debian 12"),
        ("snippets/a/compose.yaml", "services: {a: {image: 'own:1', build: .}, b: {image: 'own:2'}}\n", ""),
        ("snippets/a/app.yaml", "kind: A\n---\nspec:\n  - image: nginx:1.30.6\n    name: a\n", "nginx 1.30"),
        (
            "snippets/helm/a/values.yaml",
            "image: {repository: a.example:5000/nginx, tag: 1.30.6}\n"
            "b:\n  image: {repository: debian, tag: trixie-slim}\n",
            "nginx 1.30, Debian 13",
        ),
        ("snippets/a/task.json", '{"containers": [{"image": "nginx:1.30.6"}]}\n', "nginx 1.30"),
        ("snippets/ci/gitlab/a.yml", "a:\n  image: python:3.13-slim-trixie\n", "Python 3.13, Debian 13"),
        (
            "snippets/ci/github/a.yml",
            'jobs: {a: {runs-on: ubuntu-24.04, steps: [{with: {python-version: "3.13"}}]}}\n',
            "Ubuntu 24.04, Python 3.13",
        ),
        ("snippets/a/docker.sources", "Types: deb\nSuites: noble noble-updates\n", "Ubuntu 24.04"),
        ("snippets/a/docker-repository.sh", "version='5:29.7.2-*'\n", "Docker Engine 29"),
        (
            "snippets/a/walkthrough.sh",
            "# docker run nginx:1.28.0\n"
            'docker run --rm -it --name=a --user redis:redis -v "$PWD:/a" \\\n  nginx:1.30.6 echo redis:1\n'
            'docker pull --quiet redis:8.2.10-bookworm\ndocker run "$image"\ndocker stop nginx:1\n',
            "nginx 1.30, Redis 8.2, Debian 12",
        ),
        (
            "snippets/a/walkthrough.sh",
            "docker build --file a \\\n  --tag own:1 .\ndocker run own:1 true\ndocker run nginx:1.30.6\n",
            "nginx 1.30",
        ),
        ("pyproject.toml", '[project]\nrequires-python = ">=3.11"\n', "Python 3.11"),
        (
            "requirements/a.txt",
            "mkdocs==1.6.1 \\\n    # via mkdocs-material\nmkdocs-material==9.8.1 ; python_version > '3'\nother==1.0\n",
            "MkDocs 1.6, Material for MkDocs 9",
        ),
    ],
)
def test_what_files_name(tmp_path: Path, path: str, text: str, named: str) -> None:
    known, unknown = products.used(project(tmp_path, {path: text}))
    assert unknown == []
    assert ", ".join(dict.fromkeys(f"{fact.value.name} {fact.value.cycle}" for fact in known)) == named
    lines = text.splitlines()
    assert all(fact.value.version in lines[fact.line - 1] for fact in known if "$" not in text)


@pytest.mark.parametrize(
    ("path", "text", "line", "message"),
    [
        (STACK, "services:\n  a:\n    image: valkey/valkey:9.1\n", 3, "the image valkey/valkey:9.1 is none that"),
        (STACK, "services:\n  a:\n    image: x.example:5000/nginx\n", 3, "the image x.example:5000/nginx is none that"),
        (STACK, "services:\n  a:\n    image: nginx\n", 3, "the tag of nginx has another form"),
        (STACK, "services:\n  a:\n    image: nginx:1.30.6-perl\n", 3, "the tag of nginx:1.30.6-perl has another form"),
        (STACK, "services:\n  a:\n    image: nginx:1\n", 3, "the version 1 of nginx does not tell its cycle"),
        (STACK, "services:\n  a:\n    image: redis:8.2.10-alpine\n", 3, "the suite alpine is none that is known"),
        ("snippets/a/Dockerfile", "FROM nginx:1.30.6\nFROM python:3-slim-trixie\n", 2, "the version 3 of Python does"),
        ("snippets/a/app.yaml", "a:\n  image:\n    tag: 1\n", 3, "the image that is named here is none that is known"),
        ("snippets/helm/a/values.yaml", "image:\n  repository: a/b\n", 2, "the image a/b is none that is known"),
        ("snippets/a/docker.sources", "Suites: trixie sid\n", 1, "the suite sid is none that is known"),
        ("snippets/a/walkthrough.sh", "docker run \\\n  -d a/b:1\n", 2, "the image a/b:1 is none that is known"),
        ("snippets/ci/github/a.yml", "a:\n  runs-on: macos-26\n", 2, "the machine macos-26 is none that is known"),
        ("snippets/ci/github/a.yml", 'python-version: ["3.13"]\n', 1, "the version that stands here of Python"),
        ("pyproject.toml", 'requires-python = "~=3.11"\n', 1, "the version ~=3.11 of Python does not tell its cycle"),
    ],
)
def test_what_stands_for_nothing_that_is_known(tmp_path: Path, path: str, text: str, line: int, message: str) -> None:
    catalog = project(tmp_path, {"snippets/proxy/Dockerfile": "FROM nginx:1.30.6\n", support.FILE: ROW.format("null")})
    project(tmp_path, {path: text})
    (found,) = findings(catalog)
    assert found.startswith(f"{path}:{line}: versions.unknown: {message}")
    assert found.endswith("; say what it stands for in the tables of scripts/handbook/facts/products.py")


def test_a_file_that_can_not_be_read_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(HandbookError, match=r"^snippets/a/app\.yaml:3: not YAML: "):
        products.used(project(tmp_path, {"snippets/a/app.yaml": "image: a\nb\nc: 2\n"}))
    (tmp_path / "snippets/a/app.yaml").unlink()
    with pytest.raises(HandbookError, match=rf"^{support.FILE}:3: until: nginx 1\.30: until is no day; write a day"):
        findings(demo(tmp_path, "soon"))


def test_the_table_begins_with_what_ends_first(tmp_path: Path) -> None:
    services = "".join(f"  s{n}:\n    image: nginx:1.{n}.0\n" for n in (28, 32))
    catalog = demo(tmp_path, compose=f"{COMPOSE}{services}  new:\n    image: nginx:1.34.0\n")
    rows = '  "1.28":\n    until: 2031-01-01\n{0}  "1.32":\n    until: 2030-01-01\n{0}'.format(
        "    source: https://www.nginx.example/a?b&c\n    looked_up: 2029-02-02\n"
    )
    project(tmp_path, {support.FILE: ROW.format("null") + rows})
    table = tables.supported(catalog)
    assert re.findall(r"<td>(nginx [\d.]+)</td>", table) == ["nginx 1.32", "nginx 1.28", "nginx 1.30"]
    first, _, last = table.partition("<tbody>")[2].split("</tr><tr>")
    assert first == (
        "<tr><td>nginx 1.32</td><td><time>2030-01-01</time></td>"
        "<td><code>1.32.0</code></td><td><code>snippets/compose/demo/compose.yaml</code></td>"
        '<td><a href="https://www.nginx.example/a?b&amp;c">nginx.example</a> on <time>2029-02-02</time></td>'
    )
    assert "<td>no day is published<br>Until the next one.</td>" in last
