"""What decides about a verdict, and when it is looked at."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from handbook import checks
from handbook.catalog import Catalog
from handbook.findings import Finding, HandbookError
from handbook.proof import Proof, Record, digests
from tests import verdicts

COMPOSE = """\
services:
  nginx:
    image: nginx:1
    volumes: [./nginx.conf:/etc/nginx/nginx.conf:ro, ../nginx:/etc/nginx/shared:ro]
  app:
    image: app:1
    env_file: [app.env, {path: ../more.env}]
  database: {image: postgres:1}
"""
FILES = {
    ".hadolint.yaml": "",
    "pyproject.toml": "",
    "snippets/a/compose.yaml": COMPOSE,
    "snippets/a/nginx.conf": "",
    "snippets/a/app.env": "",
    "snippets/more.env": "",
    "snippets/nginx/tls.conf": "",
    "snippets/app/Dockerfile": "",
    "snippets/app/.dockerignore": "",
    "snippets/app/app.py": "",
    "snippets/app/pyproject.toml": "",
    "snippets/app/migrations/env.py": "",
    "snippets/init.sql": "",
    "snippets/other.py": "",
}
NGINX = {"a/compose.yaml", "a/nginx.conf", "nginx/tls.conf"}
APP = {"app/Dockerfile", "app/.dockerignore", "app/app.py", "app/pyproject.toml", "app/migrations/env.py"}
IMPORTED = {"app/app.py", "app/pyproject.toml", "app/migrations/env.py", "../pyproject.toml"}


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    return Catalog(tmp_path)


@pytest.mark.parametrize(
    ("check", "path", "decide"),
    [
        ("nginx_t", "nginx/tls.conf", NGINX),
        ("gixy", "a/nginx.conf", NGINX),
        ("docker_build", "app/Dockerfile", APP),
        ("docker_context", "app/.dockerignore", APP),
        ("migrations", "app/migrations/env.py", APP | {"a/compose.yaml"}),
        ("sql", "init.sql", {"init.sql", "a/compose.yaml"}),
        ("compose_config", "a/compose.yaml", {"a/compose.yaml", "a/app.env", "more.env"}),
        ("compose_schema", "a/compose.yaml", {"a/compose.yaml"}),
        ("pyrefly", "app/app.py", IMPORTED),
        ("hadolint", "app/Dockerfile", {"app/Dockerfile", "../.hadolint.yaml"}),
    ],
)
def test_what_decides_besides_the_file(catalog: Catalog, check: str, path: str, decide: set[str]) -> None:
    wanted = {name[3:] if name.startswith("../") else f"snippets/{name}" for name in decide}
    assert set(checks.inputs(check, catalog, f"snippets/{path}")) == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nservices: 3\n", r"^snippets/a/compose.yaml:2: `services` does not map"),
        ("services:\n  a:\n", r"^snippets/a/compose.yaml:2: the service a has no body"),
        ("services: [\n", r"^snippets/a/compose.yaml:2: not YAML"),
        ("", r"^snippets/a/compose.yaml:0: `services` does not map"),
    ],
)
def test_a_stack_that_can_not_be_read_is_one_message(catalog: Catalog, text: str, message: str) -> None:
    (catalog.root / "snippets/a/compose.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(HandbookError, match=message):
        checks.load("gixy").run(catalog.root, ["snippets/a/nginx.conf"])


def test_the_content_counts_that_the_tool_was_given(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    path = "snippets/other.py"

    def edited_meanwhile(root: Path, paths: Sequence[str]) -> list[Finding]:
        (root / path).write_text("edited = True\n", encoding="utf-8")
        return []

    module = SimpleNamespace(run=edited_meanwhile, version=lambda: "tool 1")
    monkeypatch.setattr(verdicts, "load", lambda name: module)
    monkeypatch.setattr(checks, "load", lambda name: module)
    before = digests(catalog.root, [path])
    with ThreadPoolExecutor(1) as pool:
        verdict = verdicts.Verdicts(catalog.root, {"check": [path]}, pool).get("check")
    assert verdict.files == {path: before}


def test_all_that_a_check_with_docker_stands_on_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "docker_version", lambda: "1")
    monkeypatch.setattr(verdicts, "image_ids", lambda references: dict.fromkeys(references, "id"))
    found = verdicts.with_docker(__file__)
    own = {"tests/engine/test_verdicts.py", "tests/verdicts.py", "tests/conftest.py", "docker", "nginx:1.30.6"}
    engine = {"findings.py", "tools.py", "facts/compose.py", "checks/_tool.py", "checks/sql.py", "images.py"}
    locks = {"requirements/handbook.txt", "snippets/service/requirements.txt"}
    assert {*own, *locks, *(f"scripts/handbook/{name}" for name in engine), *Catalog().snippets} <= found.keys()
    assert not [name for name in found if name.startswith("scripts/handbook/site/")]
    assert verdicts.one({"a": "1"}) != verdicts.one({"b": "1"})


def test_the_slowest_check_starts_first() -> None:
    files = {check: Catalog().of_check(check)[0] for check in ("ruff", "pyrefly")}
    where = {"digest": "", "commit": "", "time": "", "passed": True}
    times = {"ruff": 1.0, "pyrefly": 2.0}
    proof = Proof(Path("proof.json"), (Record(files[c], c, "", seconds=s, **where) for c, s in times.items()))
    assert verdicts.slowest_first(["shfmt", "ruff", "pyrefly"], proof) == ["pyrefly", "ruff", "shfmt"]


def test_what_examples_lack_is_said_in_words() -> None:
    lacking = verdicts.lacking({"json": [verdicts.Example("a.json", "{}")], "nowhere": []}, "nothing")
    assert "check json: EXAMPLES has no bad example of it; add one to the list under its name" in lacking
    assert "check json: EXAMPLES has no good example of it; add one to the list under its name" not in lacking
    assert "check toml: EXAMPLES has no good example of it; add one to the list under its name" in lacking
    assert lacking[-1] == "check nowhere: no kind names it, or it does not need 'nothing'; take its examples away"


def test_a_need_that_is_not_there_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess(["docker"], 1, "", "Cannot connect")
    monkeypatch.setattr("handbook.tools.run", lambda *arguments, **options: failed)
    checks.ready("nothing")
    with pytest.raises(HandbookError, match="run `make docker`"):
        checks.ready("docker")
