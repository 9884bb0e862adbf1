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

# Nothing is built from these: files are read from the modules.
DATA = ("schemas",)

MODULE = """\
module bootproof/tools/it

tool (
\texample.org/it/cmd/it
\texample.org/it/other/v5 // a note
)

tool example.org/alone

require example.org/it v1.0.0 // indirect
"""


class Go:
    """What stands for Go: it makes the program it is asked for, or those in `names`, or says why it can't."""

    def __init__(self, root: Path) -> None:
        self.version, self.commands = "go1.26.8\n", list[Sequence[str]]()
        self.names: list[str] | None = None
        self.root = root

    @property
    def builds(self) -> int:
        return len(self.commands)

    def __call__(self, command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        if command[:2] == ["go", "env"]:
            return subprocess.CompletedProcess([], 0, self.version, "")
        self.commands.append(command)
        out = Path(command[command.index("-o") + 1])
        out.mkdir()
        names = [command[-1].removesuffix("/v5").rpartition("/")[2]] if self.names is None else self.names
        for name in names:
            (out / name).write_text(str(self.builds))
        return subprocess.CompletedProcess([], not names, "", "" if names else "dial tcp: no such host\n")


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Go:
    found = Go(tmp_path)
    (tmp_path / "tools" / "it").mkdir(parents=True)
    (tmp_path / "tools" / "it" / "go.mod").write_text(MODULE)
    (tmp_path / "tools" / "it" / "go.sum").write_text("pinned\n")
    monkeypatch.setattr(go, "run", found)
    return found


def test_it_is_built_once(there: Go) -> None:
    first = go.built("it", root=there.root)
    assert first.read_text() == "1"
    assert go.built("it", root=there.root) == first
    assert there.builds == 1


@pytest.mark.parametrize("what", ["go.mod", "go.sum", "version"])
def test_other_pins_and_another_go_build_it_again(there: Go, what: str) -> None:
    first = go.built("it", root=there.root)
    if what == "version":
        there.version = "go1.27.3\n"
    else:
        with (there.root / "tools" / "it" / what).open("a") as pins:
            pins.write("// others\n")
    assert go.built("it", root=there.root) != first
    assert there.builds == 2


@pytest.mark.parametrize(("names", "said"), [([], "dial tcp: no such host"), (["another"], "no such program")])
def test_what_can_not_be_built_is_told_and_not_kept(there: Go, names: list[str], said: str) -> None:
    there.names = names
    with pytest.raises(HandbookError, match=rf"(?s)tools/it/go\.mod: it can't be built; .*GOPROXY.*{said}"):
        go.built("it", root=there.root)
    there.names = None
    assert go.built("it", root=there.root).is_file()


def test_programs_are_found_by_the_last_part_of_their_package(there: Go) -> None:
    found = {"it": "example.org/it/cmd/it", "other": "example.org/it/other/v5", "alone": "example.org/alone"}
    assert go.programs("it", there.root) == found


def test_a_program_has_the_version_of_the_module_that_it_is_in(there: Go) -> None:
    with (there.root / "tools" / "it" / "go.mod").open("a") as pins:
        pins.write("require (\n\texample.org/it/other/v5 v5.1.0 // indirect\n\texample.org/al v2.0.0\n)\n")
    assert go.version("it", root=there.root) == "v1.0.0"
    assert go.version("it", "other", there.root) == "v5.1.0"
    with pytest.raises(HandbookError, match=r"^tools/it/go\.mod: it requires no module that alone is a part of$"):
        go.version("it", "alone", there.root)


def test_one_of_several_programs_is_built_without_the_rest(there: Go, capfd: pytest.CaptureFixture[str]) -> None:
    first = go.built("it", root=there.root)
    other = go.built("it", "other", root=there.root)
    assert first.parent == other.parent
    assert [command[-1] for command in there.commands] == ["example.org/it/cmd/it", "example.org/it/other/v5"]
    assert (first.read_text(), other.read_text()) == ("1", "2")
    assert go.built("it", "other", root=there.root) == other
    assert there.builds == 2
    said = capfd.readouterr().err
    assert "building other from tools/it/go.mod ..." in said
    assert "built other in 0 s" in said


def test_a_stamp_makes_another_program(there: Go) -> None:
    plain = go.built("it", root=there.root)
    stamped = go.built("it", ldflags="-X a/b.c=v1", root=there.root)
    assert stamped != plain
    assert there.commands[1][there.commands[1].index("-ldflags") + 1] == "-s -w -X a/b.c=v1"


def test_a_program_that_no_line_pins_is_told(there: Go) -> None:
    with pytest.raises(HandbookError, match=r"^tools/it/go\.mod: no `tool` line pins that; it has it, other, alone$"):
        go.built("it", "that", root=there.root)
    assert there.builds == 0


def test_without_go_the_command_is_told_that_brings_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tools.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(tools.MissingTool, match=r"^go is not installed; run `make venv`$"):
        go.built("pebble")


@pytest.mark.parametrize("folder", sorted(path.parent.name for path in (ROOT / "tools").glob("*/go.mod")))
def test_pins_name_no_place_and_no_other_source(folder: str) -> None:
    """A module replaced by another is not what its name says; addresses are the business of Go's environment."""
    text = (ROOT / "tools" / folder / "go.mod").read_text(encoding="utf-8")
    assert ("\ntool " in text) is (folder not in DATA)
    replaced = [line.split() for line in text.splitlines() if "=>" in line]
    assert [words for words in replaced if words.index("=>") + 2 > len(words) or words[-2] != words[0]] == []
    assert "://" not in text
