"""What is built while other levels run yields to them, and ends with them."""

import os
from pathlib import Path

import pytest

from tests.boot.client import wait_for
from tests.cluster.beforehand import built

AUTOGROUP = Path("/proc/self/autogroup")
# A process, and one that it has started, which both would go on for long.
LONG = "import subprocess, pathlib; child = subprocess.Popen(['sleep', '100']); "
LONG += "pathlib.Path('{noted}').write_text(f'{{os.getpid()}} {{child.pid}}'); child.wait()"

DEAF = "['sh', '-c', 'trap \"\" INT; sleep 100']"


def runs(pid: int) -> bool:
    """Whether there is a process of that number that has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_it_prints_is_told() -> None:
    with built("print('built')") as wait:
        assert wait() == "built\n"


def test_why_it_failed_is_told() -> None:
    with built("raise SystemExit('no module proxy')") as wait:
        assert wait() == "no module proxy\n"


def test_it_takes_what_others_leave() -> None:
    with built("yield_to_others(); print(os.sched_getscheduler(0) == os.SCHED_IDLE)") as wait:
        assert wait() == "True\n"
    assert os.sched_getscheduler(0) != os.SCHED_IDLE


def test_its_session_does_too() -> None:
    """Where the kernel has autogroups."""
    with built(f"yield_to_others(); print(open('{AUTOGROUP}').read().split()[-1])") as wait:
        assert wait() == "19\n" or not AUTOGROUP.exists()


@pytest.mark.parametrize("deaf", ["", "it", "its child"])
def test_its_end_ends_what_it_started(deaf: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.cluster.beforehand._END_SECONDS", 1)
    noted = tmp_path / "pids"
    before = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    code = {"": LONG, "it": before + LONG, "its child": LONG.replace("['sleep', '100']", DEAF)}[deaf]
    with built(code.format(noted=noted)):
        wait_for(lambda: noted.is_file() and noted.read_text(), "it has begun", 30)
        pids = [int(pid) for pid in noted.read_text().split()]
        assert [runs(pid) for pid in pids] == [True, True]
    wait_for(lambda: not any(map(runs, pids)), "nothing of it runs", 10)
