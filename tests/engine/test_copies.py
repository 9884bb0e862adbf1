"""What `handbook copy` puts into a folder, and what it refuses."""

from __future__ import annotations

import errno
import shutil
import subprocess
from pathlib import Path

import pytest

from handbook import __main__ as cli
from handbook.catalog import ROOT, Catalog
from handbook.copies import copy
from handbook.findings import HandbookError
from handbook.site import downloads
from handbook.stacks import find

STACK = "compose/development"


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def test_exactly_the_files_of_the_stack_are_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second time only what is missing, and what else is in the folder stays."""
    (tmp_path / "own.txt").write_text("mine")
    wanted = {path.removeprefix("snippets/") for path in find(STACK, Catalog()).files}
    assert cli.main(["copy", STACK, str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"copied {len(wanted)} files; go on with: cd {tmp_path}/{STACK}\n"
    assert files_of(tmp_path) == {*wanted, "own.txt"}
    for path in wanted:
        assert (tmp_path / path).read_bytes() == (ROOT / "snippets" / path).read_bytes(), path
        assert (tmp_path / path).stat().st_mode & 0o100 == (ROOT / "snippets" / path).stat().st_mode & 0o100, path
    (tmp_path / STACK / "walkthrough.sh").unlink()
    (tmp_path / STACK / "compose.yaml").chmod(0o600)
    before = (tmp_path / STACK / "compose.yaml").stat()
    assert cli.main(["copy", STACK, str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("copied 1 files; ")
    assert files_of(tmp_path) == {*wanted, "own.txt"}
    assert (tmp_path / STACK / "compose.yaml").stat() == before


def test_what_is_there_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edited = tmp_path / STACK / "compose.yaml"
    edited.parent.mkdir(parents=True)
    edited.write_text("services: {}")
    assert cli.main(["copy", STACK, str(tmp_path)]) == 2
    message = f"{edited}: is there already, and is not the file of this stack; name another folder, or move that away"
    assert message in capsys.readouterr().err
    assert files_of(tmp_path) == {f"{STACK}/compose.yaml"}


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("a-file", "a-file: is there already, and is no folder; "),
        ("in-the-way", "in-the-way/service: is there already, and is no folder; "),
        ("a-link", f"a-link/{STACK}/compose.yaml: is there already, and is not the file of this stack; "),
        ("a-file/below", "a-file/below: the stack can't be copied there: "),
        ("/proc/nowhere", "/proc/nowhere: the stack can't be copied there: "),
    ],
)
def test_where_nothing_can_be_written(
    folder: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a-file").touch()
    Path("in-the-way").mkdir()
    Path("in-the-way/service").touch()
    Path(f"a-link/{STACK}").mkdir(parents=True)
    Path(f"a-link/{STACK}/compose.yaml").symlink_to("nowhere")
    before = files_of(tmp_path)
    assert cli.main(["copy", STACK, folder]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert files_of(tmp_path) == before


def test_a_copy_that_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk that is full: such an error names no file."""
    moved: list[Path] = []

    def move(source: Path, target: Path) -> None:
        if len(moved) == 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        moved.append(target)
        source.rename(target)

    monkeypatch.setattr(shutil, "move", move)
    with pytest.raises(HandbookError, match=f"^{tmp_path}: the stack can't be copied there: No space left on device"):
        copy(Catalog(), STACK, tmp_path)
    assert len(moved) == 5
    assert files_of(tmp_path) == set()


def test_a_stack_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HandbookError, match=r"no stack 'compose/prodution': .* there is: compose/development"):
        copy(Catalog(), "compose/prodution", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_stack_of_units_is_copied_and_offered_like_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = {"host/units/app.target", "host/install.sh", "nginx/tls.conf"}
    for path in (*own, "nginx/gzip.conf"):
        file = tmp_path / "checkout" / "snippets" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("cat ../nginx/tls.conf\n")
    subprocess.run(["git", "init", "--quiet", "checkout"], cwd=tmp_path, check=True)
    catalog = Catalog(tmp_path / "checkout")
    assert copy(catalog, "host", tmp_path / "copied") == 3
    assert files_of(tmp_path / "copied") == own
    offered = downloads.take_along(catalog, "host", "host", "../")
    assert '<a href="../files/host/host.tar.gz" download>host.tar.gz</a>' in offered
    assert "<code>.venv/bin/handbook copy host FOLDER</code>" in offered
    assert "The 3 files in it" in downloads.tree(catalog, "host", "../")
    cli._say_who_uses(catalog, "snippets/nginx/tls.conf", [])
    cli._say_who_uses(catalog, "snippets/nginx/gzip.conf", [])
    said = capsys.readouterr().out.splitlines()
    assert said[1::2] == ["snippets/nginx/tls.conf: used by stack host", "snippets/nginx/gzip.conf: no stack uses it"]
