"""`make test-snippets` runs the levels in two processes: it fails when one does, and ends when both have ended."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from handbook.catalog import ROOT
from tests.boot.client import wait_for

# Stands for pytest: says what it was given, waits for as long as there is a file, and ends as it is told to.
PYTHON = """\
#!/usr/bin/env bash
case "$*" in
  *" tests "*) name=first ;;
  *) name=second ;;
esac
trap 'echo "$name is told to end"; sleep 0.5; echo "$name has ended"; exit 2' TERM INT
echo "$*" >"$name.given"
echo "$name begins"
while [ -f "$name.waits" ]; do sleep 0.05; done
echo "=== levels ==="
echo "$name: 1 passed"
exit "$(cat "$name.code" 2>/dev/null || echo 0)"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "all-levels.sh", tmp_path / "scripts")
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    return tmp_path


def ran(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([root / "scripts" / "all-levels.sh"], capture_output=True, text=True, timeout=20, check=False)


@contextmanager
def running(root: Path, waits: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """The script, in a group of its own as a terminal's is, once both have begun; what its shell does is in `trace`."""
    for name in waits:
        (root / f"{name}.waits").touch()
    command = ["bash", "-x", root / "scripts" / "all-levels.sh"]
    with (
        (root / "trace").open("w") as trace,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=trace, text=True, start_new_session=True) as process,
    ):
        wait_for(lambda: (root / "first.given").exists() and (root / "second.given").exists(), "both have begun", 10)
        try:
            yield process
        finally:
            for name in waits:
                (root / f"{name}.waits").unlink(missing_ok=True)
            process.kill()


def test_every_level_runs_in_one_of_them(root: Path) -> None:
    assert ran(root).returncode == 0
    first, second = ((root / f"{name}.given").read_text().split() for name in ("first", "second"))
    beside = second[second.index("--junitxml=build/junit/beside.xml") + 1 :]
    rest = first[first.index("--junitxml=build/junit/rest.xml") + 1 :]
    assert rest == ["tests", *(f"--ignore={path}" for path in beside)]
    assert [path for path in beside if not [*ROOT.glob(path)]] == []
    assert "snippets/service/tests" in beside


def test_what_passed_is_told_from_its_levels_on(root: Path) -> None:
    said = ran(root).stdout
    assert "first begins" in said
    assert "second begins" not in said
    assert said.endswith("=== levels ===\nsecond: 1 passed\n")


@pytest.mark.parametrize("name", ["first", "second"])
def test_when_one_fails_all_has_failed(name: str, root: Path) -> None:
    (root / f"{name}.code").write_text("3")
    result = ran(root)
    assert result.returncode == 3
    assert f"{name} begins" in result.stdout


@pytest.mark.parametrize(("ends", "stays", "taken"), [("first", "second", "code"), ("second", "first", "code_beside")])
def test_the_code_of_the_one_that_ends_first_is_taken_at_once(ends: str, stays: str, taken: str, root: Path) -> None:
    """Minutes later its number may be that of a process of the script, and bash no longer knows the code."""
    (root / f"{ends}.code").write_text("3")
    with running(root, [stays]) as process:
        wait_for(lambda: f"+ {taken}=3\n" in (root / "trace").read_text(), "its code is taken", 10)
        (root / f"{stays}.waits").unlink()
        process.communicate(timeout=20)
    assert process.returncode == 3


@pytest.mark.parametrize(("first", "second", "all_of_it"), [(5, 0, 0), (0, 5, 0), (5, 1, 1), (5, 5, 5)])
def test_a_selection_may_leave_nothing_for_one_of_them(first: int, second: int, all_of_it: int, root: Path) -> None:
    (root / "first.code").write_text(str(first))
    (root / "second.code").write_text(str(second))
    assert ran(root).returncode == all_of_it


@pytest.mark.parametrize("waits", [["first", "second"], ["first"], ["second"]])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_it_ends_when_both_have_ended(number: int, waits: list[str], root: Path) -> None:
    with running(root, waits) as process:
        # As a terminal does with the last two.
        os.killpg(process.pid, number)
        said, _ = process.communicate(timeout=20)
    assert process.returncode == 2
    for name in waits:
        assert said.count(f"{name} is told to end") == 1
        assert f"{name} has ended" in said
