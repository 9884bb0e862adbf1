"""Keeps what is measured quiet: while one process of tests does that, no test of another one runs.

Two processes run the levels side by side (`scripts/all-levels.sh`). Who counts what fails under load, and how long it
takes, would count the work of the other one too. And a browser breaks off what it loads when an address of the machine
changes, as with each network that a boot makes.

What a test has begun in a thread, such as checks of a module, goes on beside that.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from handbook.catalog import ROOT


class _Lock:
    """Tests hold it together, who measures holds it alone. One a process, so what is nested is counted."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._held = os.open(folder / "tests.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        # Who waits for the lock has this one. Else who wants to be alone would wait while the others take turns.
        self._next = os.open(folder / "tests.next", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.tests = self.measuring = 0

    def give(self) -> None:
        """Give back what is held."""
        fcntl.flock(self._held, fcntl.LOCK_UN)

    def take(self) -> None:
        """Wait until what this process does may be done."""
        # Two that both wait for the other one's end would wait for ever.
        self.give()
        if self.tests or self.measuring:
            fcntl.flock(self._next, fcntl.LOCK_EX)
            try:
                fcntl.flock(self._held, fcntl.LOCK_EX if self.measuring else fcntl.LOCK_SH)
            finally:
                fcntl.flock(self._next, fcntl.LOCK_UN)


_lock = cache(_Lock)


@contextmanager
def running(root: Path = ROOT) -> Iterator[None]:
    """Run a test beside those of other processes; wait while one of them measures."""
    lock = _lock(root / ".cache")
    lock.tests += 1
    try:
        if lock.tests == 1 and not lock.measuring:
            lock.take()
        yield
    finally:
        lock.tests -= 1
        if not lock.tests and not lock.measuring:
            lock.give()


@contextmanager
def measuring(root: Path = ROOT) -> Iterator[None]:
    """Wait until the tests of other processes have ended, and let none of them begin; also between tests."""
    lock = _lock(root / ".cache")
    lock.measuring += 1
    try:
        if lock.measuring == 1:
            lock.take()
        yield
    except BaseException:
        # Nobody waits for anything when time is over, or after a Ctrl-C.
        lock.measuring -= 1
        if not lock.measuring:
            lock.give()
        raise
    lock.measuring -= 1
    if not lock.measuring:
        lock.take()
