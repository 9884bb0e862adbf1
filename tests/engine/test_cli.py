"""The command `handbook` answers a mistake with one message and an exit code that is not 0."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from handbook import __main__ as cli
from handbook.catalog import ROOT


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


def test_a_page_with_a_wrong_macro_does_not_pass(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(cli, "run", lambda *_, **__: Built())
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
