"""A program of Go is built once for its pins; what is missing is told with what to do."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from handbook import go, tools
from handbook.catalog import ROOT
from handbook.findings import HandbookError


class Go:
    """What stands for Go: it makes the programs in `names`, or says why it can't."""

    def __init__(self, root: Path) -> None:
        self.names, self.version, self.builds = ["it"], "go1.26.8\n", 0
        self.root = root

    def __call__(self, command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        if command[:2] == ["go", "env"]:
            return subprocess.CompletedProcess([], 0, self.version, "")
        self.builds += 1
        out = Path(command[command.index("-o") + 1])
        out.mkdir()
        for name in self.names:
            (out / name).write_text(str(self.builds))
        return subprocess.CompletedProcess([], not self.names, "", "" if self.names else "dial tcp: no such host\n")


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Go:
    found = Go(tmp_path)
    (tmp_path / "tools" / "it").mkdir(parents=True)
    for pin in go.pins("it"):
        (tmp_path / pin).write_text("pinned\n")
    monkeypatch.setattr(go, "run", found)
    return found


def test_it_is_built_once(there: Go) -> None:
    first = go.built("it", there.root)
    assert first.read_text() == "1"
    assert go.built("it", there.root) == first
    assert there.builds == 1


@pytest.mark.parametrize("what", ["go.mod", "go.sum", "version"])
def test_other_pins_and_another_go_build_it_again(there: Go, what: str) -> None:
    first = go.built("it", there.root)
    if what == "version":
        there.version = "go1.27.3\n"
    else:
        (there.root / "tools" / "it" / what).write_text("others\n")
    assert go.built("it", there.root) != first
    assert there.builds == 2


@pytest.mark.parametrize(("names", "said"), [([], "dial tcp: no such host"), (["another"], "no such program")])
def test_what_can_not_be_built_is_told_and_not_kept(there: Go, names: list[str], said: str) -> None:
    there.names = names
    with pytest.raises(HandbookError, match=rf"(?s)tools/it/go\.mod: it can't be built; .*GOPROXY.*{said}"):
        go.built("it", there.root)
    there.names = ["it"]
    assert go.built("it", there.root).is_file()


def test_without_go_the_command_is_told_that_brings_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tools.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(tools.MissingTool, match=r"^go is not installed; run `make venv`$"):
        go.built("pebble")


@pytest.mark.parametrize("folder", sorted(path.parent.name for path in (ROOT / "tools").glob("*/go.mod")))
def test_pins_name_no_place_and_no_other_source(folder: str) -> None:
    """A replaced module would be another one than its name says; addresses are the business of Go's environment."""
    text = (ROOT / "tools" / folder / "go.mod").read_text(encoding="utf-8")
    assert "\ntool " in text
    assert "replace" not in text
    assert "://" not in text
