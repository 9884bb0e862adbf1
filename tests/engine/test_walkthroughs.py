"""What a step keeps for the next one, and how one that fails is told."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from handbook.findings import HandbookError
from handbook.walkthroughs import StepFailed, Walkthrough, steps


def write(folder: Path, text: str) -> Path:
    path = folder / "walkthrough.sh"
    path.write_text(text)
    return path


def test_steps_are_the_headed_paragraphs(tmp_path: Path) -> None:
    found = steps(write(tmp_path, "#!/bin/bash\n\n# Start it\ntrue\n\n# Check it\necho a\necho b\n"))
    assert [(step.name, step.line, step.text) for step in found] == [
        ("start-it", 4, "true\n"),
        ("check-it", 7, "echo a\necho b\n"),
    ]


@pytest.mark.parametrize(
    ("text", "message"), [("true\n", ":1: no steps"), ("# A\ntrue\n\n# A\ntrue\n", ":4: a second")]
)
def test_a_file_without_clear_steps_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(HandbookError, match=message):
        steps(write(tmp_path, text))


def test_folder_variables_and_functions_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path, '# One\nmkdir in; cd in\nname=x\nsay() { echo "$name $1"; }\n\n# Two\nsay "${PWD##*/}"\n')
    with Walkthrough(path, cwd=tmp_path) as walk:
        assert walk.until("two").stdout == "x in\n"
        assert set(walk.results) == {"one", "two"}


def test_a_step_runs_once(tmp_path: Path) -> None:
    with Walkthrough(write(tmp_path, "# One\necho x >>log\n"), cwd=tmp_path) as walk:
        walk.until("one")
        walk.until("one")
    assert (tmp_path / "log").read_text() == "x\n"


def test_environment_and_empty_input(tmp_path: Path) -> None:
    with Walkthrough(write(tmp_path, '# One\ncat\necho "$GIVEN"\n'), cwd=tmp_path, env={"GIVEN": "y"}) as walk:
        assert walk.until("one").stdout == "y\n"


@pytest.mark.parametrize(
    ("commands", "line"),
    [
        ("true\nfalse\ntrue", 6),
        ("false | cat", 5),
        ("true\ntrue\necho $unset", 7),
        ("say() {\n  true\n  false\n}\nsay", 7),
        ("exit 3", 5),
        ("if true", 5),
    ],
    ids=["command", "pipe", "unset variable", "function", "exit", "syntax"],
)
def test_a_failing_step_names_its_line(tmp_path: Path, commands: str, line: int) -> None:
    path = write(tmp_path, f"# Before\ntrue\n\n# Bad\n{commands}\n\n# After\ntouch after\n")
    with Walkthrough(path, cwd=tmp_path, name="w.sh") as walk, pytest.raises(StepFailed) as failed:
        walk.until("after")
    text = str(failed.value)
    named = text.startswith(f"w.sh:{line}: step 'Bad' ended with ")
    # Bash ends on an unset variable or a syntax error before the trap: then its own message has the line.
    assert named or (text.startswith("w.sh:5: step 'Bad' ended with ") and f"line {line}" in text), text
    assert not (tmp_path / "after").exists()


def test_a_failure_shows_the_output_and_stays(tmp_path: Path) -> None:
    path = write(tmp_path, "# One\necho to-out\necho to-err >&2\nfalse\n")
    with Walkthrough(path, cwd=tmp_path) as walk:
        for _ in range(2):
            with pytest.raises(StepFailed, match=r"(?s)walkthrough.sh:4.*to-out.*to-err"):
                walk.until("one")


def test_a_step_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    path = write(tmp_path, "# One\nsleep 300 &\necho $! >pid\nwait\n")
    with Walkthrough(path, cwd=tmp_path) as walk, pytest.raises(StepFailed, match=r"did not end within 0.3 s"):
        walk.until("one", timeout=0.3)
    child = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and running(child):
        time.sleep(0.01)
    assert not running(child)


def running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_it_runs_in_a_process_that_has_nothing_open(tmp_path: Path) -> None:
    """The pipes then have the low numbers that the shell wants for itself."""
    write(tmp_path, "# One\necho done\n")
    program = (
        "import os; os.closerange(3, 64)\n"
        "from pathlib import Path\nfrom handbook.walkthroughs import Walkthrough\n"
        "with Walkthrough(Path('walkthrough.sh'), cwd=Path()) as walk: print(walk.until('one').stdout)"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == "done", ran.stderr


def test_an_unknown_step_lists_those_there_are(tmp_path: Path) -> None:
    path = write(tmp_path, "# One\ntrue\n")
    with Walkthrough(path, cwd=tmp_path) as walk, pytest.raises(HandbookError, match="no step 'two'; it has: one"):
        walk.until("two")


def test_nothing_is_left_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with Walkthrough(write(tmp_path, "# One\ntrue\n"), cwd=tmp_path) as walk:
        walk.until("one")
    assert len(os.listdir("/proc/self/fd")) == before
