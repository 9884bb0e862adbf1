"""Builds the programs of a cluster while other levels run, with the CPU time that nobody else wants."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from handbook.catalog import ROOT

_END_SECONDS = 10
_BUILD = "import os; from handbook import cluster; from tests.cluster.beforehand import yield_to_others; {}"


def yield_to_others() -> None:
    """Let this process, and what it starts, take only the CPU time that is left over.

    The policy decides that within a session, and where the kernel has autogroups their niceness between sessions:
    https://man7.org/linux/man-pages/man7/sched.7.html.
    """
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with suppress(FileNotFoundError):
        Path("/proc/self/autogroup").write_text("19", encoding="ascii")


@contextmanager
def built(code: str = "yield_to_others(); cluster.build()") -> Iterator[Callable[[], str]]:
    """A process that builds while the `with` block runs; by default it builds the programs of a cluster.

    Yields what waits for its end, however that is, and returns what it printed. After the block nothing that it
    started runs any more.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        # A session of its own: it is ended as a whole, and a Ctrl-C does not reach it twice.
        process = subprocess.Popen(
            [sys.executable, "-c", _BUILD.format(code)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

        def wait() -> str:
            process.wait()
            said.seek(0)
            return said.read()

        try:
            yield wait
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
    # Also what it left behind.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
