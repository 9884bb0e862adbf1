"""The command `handbook` answers a mistake with one message and an exit code that is not 0."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from handbook import __main__ as cli
from handbook.catalog import ROOT, Catalog, Kind
from handbook.site import make


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone.yaml", "gone.yaml: there is no such file"),
        ("snippets", "snippets: is a folder; name a file in it"),
        ("compose/production", "compose/production: is a folder; name a file in it"),
        (".venv/.ready", "not a file that git tracks or would track"),
        ("/etc/hostname", "not a file that git tracks or would track"),
        (".gitignore", "no kind matches this path; add a row to KINDS"),
    ],
)
def test_check_refuses_what_it_cannot_check(
    name: str, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    (ROOT / ".venv/.ready").touch()
    assert cli.main(["check", name]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("handbook: ")
    assert message in said.err
    assert said.err.count("\n") == 1


def test_check_takes_the_path_that_a_page_shows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert cli.main(["check", "ci/gitlab/.gitlab-ci.yml"]) == 0
    assert capsys.readouterr().out.startswith("snippets/ci/gitlab/.gitlab-ci.yml: yamllint")


def test_check_without_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check"]) == 2
    assert "run `make check FILE=snippets/...`" in capsys.readouterr().err


def test_check_counts_and_names_its_findings(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert cli.main(["check", "README.md"]) == 0
    assert "README.md: spelling" in capsys.readouterr().out
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    monkeypatch.setattr(cli, "_tracked", lambda catalog, name: name)
    (tmp_path / "README.md").write_text("Recieve [it](gone.md).\n")
    assert cli.main(["check", "README.md"]) == 1
    said = capsys.readouterr()
    assert "README.md:1: spelling: " in said.err
    assert "links" in said.out
    assert "1 finding\n" in said.out


COMPOSE = "services:\n  app:\n    image: app:1\n    volumes: [./app.sh:/app.sh:ro]\n"
SCRIPT = "#!/bin/sh\n\n# Start it\ntrue\n\n# Stop it\nfalse\n"
PAGE = "# Page\n\n``` snippet\nsmall/app.sh#start-it\n```\n\n``` snippet\nsmall/app.sh#stop-it\n```\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a stack and a page that shows a script of it twice."""
    files = {
        "snippets/small/compose.yaml": COMPOSE,
        "snippets/small/app.sh": SCRIPT,
        "snippets/other/compose.yaml": "services: {a: {image: a}}\n",
        "docs/page.md": PAGE,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "snippets/small/app.sh").chmod(0o755)
    (tmp_path / ".editorconfig").write_text((ROOT / ".editorconfig").read_text())
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    monkeypatch.setattr(cli, "Catalog", lambda: Catalog(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_check_says_where_a_snippet_is_shown_and_used(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "small/app.sh"]) == 0
    assert capsys.readouterr().out.splitlines()[-4:] == [
        "snippets/small/app.sh: addresses on the pages that show it: no findings",
        "snippets/small/app.sh: shown at docs/page.md:4: small/app.sh#start-it",
        "snippets/small/app.sh: shown at docs/page.md:8: small/app.sh#stop-it",
        "snippets/small/app.sh: used by stack small",
    ]


def test_check_says_that_nobody_uses_a_snippet(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "snippets/alone.json").write_text("{}\n")
    assert cli.main(["check", "alone.json"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "snippets/alone.json: no fence on a page shows it",
        "snippets/alone.json: no stack uses it",
    ]


def test_check_of_a_snippet_does_not_fail_for_a_stack_that_can_not_be_read(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "snippets/other/compose.yaml").write_text("services: [\n")
    assert cli.main(["check", "small/app.sh"]) == 0
    said = capsys.readouterr().out
    assert "app.sh: nobody can say whether stack other uses it: snippets/other/compose.yaml:2: not YAML" in said
    assert said.endswith("used by stack small\n")


def test_check_judges_the_pages_that_show_a_snippet(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "snippets/small/app.sh").write_text(SCRIPT.replace("Stop it", "Stop it all"))
    (project / "docs/other.md").write_text("``` yaml\na: 1\n```\n")
    assert cli.main(["check", "small/app.sh"]) == 1
    assert capsys.readouterr().err == (
        "docs/page.md:8: region: snippets/small/app.sh: no region 'stop-it'; did you mean stop-it-all? "
        "the file has: start-it, stop-it-all; name one of these\n"
    )


def test_check_without_docker_says_so_after_all_that_it_can_do(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    (project / "snippets/small/compose.yaml").write_text(COMPOSE.replace("volumes", "volume"))
    assert cli.main(["check", "small/compose.yaml"]) == 2
    said = capsys.readouterr()
    assert "compose_schema" in said.out
    finding, unable = said.err.splitlines()
    assert finding.startswith("snippets/small/compose.yaml:4: schema: ")
    assert unable.startswith("handbook: snippets/small/compose.yaml: compose_config can't run: ")
    assert unable.endswith("run `make docker`")


def test_check_of_a_kind_that_can_not_be_shown(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handbook.catalog.KINDS", (Kind("odd", ("*.json",), "nowhere", ("json",), "text"),))
    (project / "snippets/alone.json").write_text("{}\n")
    assert cli.main(["check", "alone.json"]) == 2
    assert capsys.readouterr().err.startswith("handbook: kind odd: there is no finder 'nowhere'; there are: ")


def test_a_page_with_a_wrong_macro_does_not_pass(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(make, "run", lambda *_, **__: Built())
    assert cli.main(["check", "docs/index.md"]) == 2
    assert capsys.readouterr().err == "handbook: the site can't be built:\nERROR   -  docs/index.md:3: macro: x\n"


class Built:
    """What a failing build of the site returns."""

    returncode = 1
    stdout = ""
    stderr = "INFO    -  Building\nERROR   -  docs/index.md:3: macro: x\n"


@pytest.mark.parametrize("address", ["here", "127.0.0.1:port", "127.0.0.1:99999"])
def test_serve_refuses_a_wrong_address(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", address]) == 2
    assert f"{address}: nothing can be served there" in capsys.readouterr().err


def test_serve_refuses_an_address_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.main(["serve", f"127.0.0.1:{port}"]) == 2
    assert "make serve ADDRESS=" in capsys.readouterr().err
