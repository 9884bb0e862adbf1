"""While one process of tests measures, no test of another one runs."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from handbook import quiet
from tests.boot.client import wait_for

# Holds what it is named until its standard input ends, and says when it has all. At a "-" it waits for a line first.
OTHER = """
import sys
from contextlib import ExitStack
from pathlib import Path
from handbook import quiet
with ExitStack() as held:
    print("asks", flush=True)
    for name in sys.argv[2:]:
        if name == "-":
            print("stands", flush=True)
            sys.stdin.readline()
            continue
        held.enter_context(getattr(quiet, name)(Path(sys.argv[1])))
    print("has it", flush=True)
    sys.stdin.read()
"""


class Other:
    """Another process, which holds something or waits for it."""

    def __init__(self, process: subprocess.Popen[str], said: Path) -> None:
        self.process = process
        self._said = said

    def has(self, said: str) -> bool:
        return said in self._said.read_text().splitlines()

    def asks_for_the_rest(self) -> None:
        """Let it go on where it stands, with what it has by then."""
        assert self.process.stdin
        print(file=self.process.stdin, flush=True)

    def goes_on(self) -> None:
        """Let it give back what it has."""
        assert self.process.stdin
        self.process.stdin.close()

    def end(self) -> None:
        self.goes_on()
        assert self.process.wait(10) == 0


@contextmanager
def other(root: Path, *names: str) -> Iterator[Other]:
    said = root / f"{time.monotonic()}.said"
    with (
        said.open("w") as file,
        subprocess.Popen(
            [sys.executable, "-c", OTHER, root, *names], stdin=subprocess.PIPE, stdout=file, text=True
        ) as process,
    ):
        try:
            yield Other(process, said)
        finally:
            process.kill()


def has_it(one: Other) -> None:
    wait_for(lambda: one.has("has it"), "it has it", 10)


def waits(one: Other) -> None:
    """See that a process has asked, and has not got it for longer than one needs that does not wait."""
    wait_for(lambda: one.has("asks"), "it asks", 10)
    time.sleep(0.5)
    assert not one.has("has it")
    assert one.process.poll() is None


def test_tests_run_side_by_side(tmp_path: Path) -> None:
    with other(tmp_path, "running") as one, other(tmp_path, "running") as two:
        has_it(one)
        has_it(two)


def test_no_test_begins_while_another_process_measures(tmp_path: Path) -> None:
    with other(tmp_path, "running", "measuring") as one:
        has_it(one)
        with other(tmp_path, "running") as two:
            waits(two)
            one.end()
            has_it(two)


def test_who_measures_waits_for_the_tests_that_run(tmp_path: Path) -> None:
    with other(tmp_path, "running") as one:
        has_it(one)
        with other(tmp_path, "running", "measuring") as two:
            waits(two)
            one.end()
            has_it(two)


def test_who_waits_to_measure_is_next(tmp_path: Path) -> None:
    with other(tmp_path, "running") as one:
        has_it(one)
        with other(tmp_path, "running", "measuring") as two:
            waits(two)
            with other(tmp_path, "running") as three:
                waits(three)
                one.end()
                has_it(two)
                waits(three)
                two.end()
                has_it(three)


def test_two_that_measure_do_so_one_after_the_other(tmp_path: Path) -> None:
    """Each is in a test by then, and would wait for the end of the other one's."""
    with other(tmp_path, "running", "-", "measuring") as one, other(tmp_path, "running", "-", "measuring") as two:
        wait_for(lambda: one.has("stands") and two.has("stands"), "both run a test", 10)
        one.asks_for_the_rest()
        two.asks_for_the_rest()
        wait_for(lambda: one.has("has it") or two.has("has it"), "one of them has it", 10)
        first, second = (one, two) if one.has("has it") else (two, one)
        waits(second)
        first.goes_on()
        has_it(second)
        # The rest of its test waits, too.
        time.sleep(0.5)
        assert first.process.poll() is None
        second.end()
        assert first.process.wait(10) == 0


def test_who_has_measured_runs_its_test_on(tmp_path: Path) -> None:
    with quiet.running(tmp_path):
        with quiet.measuring(tmp_path), quiet.measuring(tmp_path):
            pass
        with other(tmp_path, "running") as one:
            has_it(one)
            one.end()
        with other(tmp_path, "running", "measuring") as two:
            waits(two)


def test_who_measures_outside_of_tests_gives_it_back(tmp_path: Path) -> None:
    with quiet.measuring(tmp_path):
        pass
    with other(tmp_path, "running", "measuring") as one:
        has_it(one)


def test_a_test_within_a_test_changes_nothing(tmp_path: Path) -> None:
    """As where a test runs pytest in its own process."""
    with quiet.running(tmp_path):
        with quiet.running(tmp_path):
            pass
        with other(tmp_path, "running", "measuring") as one:
            waits(one)


def test_it_is_quiet_from_one_test_to_the_next(tmp_path: Path) -> None:
    with quiet.measuring(tmp_path):
        with quiet.running(tmp_path):
            pass
        with other(tmp_path, "running") as one:
            waits(one)
            with quiet.running(tmp_path):
                waits(one)


def test_who_is_interrupted_while_waiting_goes_at_once(tmp_path: Path) -> None:
    with other(tmp_path, "running", "measuring") as one:
        has_it(one)
        with other(tmp_path, "running") as two:
            waits(two)
            two.process.send_signal(signal.SIGINT)
            assert two.process.wait(10) != 0


def test_a_test_that_fails_gives_it_back(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), quiet.running(tmp_path), quiet.measuring(tmp_path):
        raise RuntimeError
    with other(tmp_path, "running", "measuring") as one:
        has_it(one)
