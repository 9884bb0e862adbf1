"""Runs the steps of a walkthrough one at a time, the way a reader would: in one shell, in one folder.

A step is what stands under a heading comment of the file. All steps share one bash under `-euo pipefail`, so a step
finds the folder, the variables and the functions that an earlier one left; between two the caller may look around.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from handbook import tools
from handbook.findings import HandbookError
from handbook.regions import cut, headed

_TAIL = 40
_END_SECONDS = 10

# A step is read from a file whose lines stand where they stand in the walkthrough: so the trap and bash's own messages
# name the right line, also inside a function of an earlier step.
_DRIVER = """
set -E
trap 'echo "$LINENO" >"$BOOTPROOF_STEPS/line"' ERR
while IFS= read -r -u 3 BOOTPROOF_STEP; do
  source "$BOOTPROOF_STEPS/$BOOTPROOF_STEP" \
    </dev/null >"$BOOTPROOF_STEPS/out" 2>"$BOOTPROOF_STEPS/err" 3<&- 4>&-
  echo done >&4
done
"""


@dataclass(frozen=True)
class Step:
    """One step: `name` is its address in the file, `line` the line of its first command."""

    title: str
    name: str
    line: int
    text: str


@dataclass(frozen=True)
class Result:
    """What a step that succeeded printed, and how long it took."""

    stdout: str
    stderr: str
    seconds: float


class StepFailed(HandbookError):
    """A step failed, ended the shell or took too long. The message has the file, the line and what was printed."""


def steps(path: Path) -> tuple[Step, ...]:
    """Return the steps of the walkthrough at `path`. Raises HandbookError when it has none or two of one name."""
    text = path.read_text(encoding="utf-8")
    found = tuple(Step(p.title, p.slug, p.region.first, cut(text, p.region)) for p in headed.paragraphs(text))
    if not found:
        raise HandbookError(f"{path}:1: no steps; write a heading comment (`# Start it`) above the commands of each")
    for index, step in enumerate(found):
        if step.name in (earlier.name for earlier in found[:index]):
            raise HandbookError(f"{path}:{step.line - 1}: a second step {step.title!r}; give each a name of its own")
    return found


class Walkthrough:
    """A walkthrough that is being run in `cwd`, with `env` added to the environment. Use it in a `with` statement.

    `name` is what messages call the file.
    """

    def __init__(self, path: Path, *, cwd: Path, env: Mapping[str, str] | None = None, name: str = "") -> None:
        self.name = name or path.name
        self.steps = steps(path)
        self.results: dict[str, Result] = {}
        self._failed: StepFailed | None = None
        self._cwd = cwd
        self._env = {**os.environ, **(env or {})}

    def __enter__(self) -> Walkthrough:
        self._scratch = tempfile.TemporaryDirectory(prefix="bootproof-steps-")
        self._folder = Path(self._scratch.name)
        read_names, self._names = _pipe()
        self._done, write_done = _pipe()
        # The shell finds its two pipes as 3 and 4, and no step inherits them.
        command = f"exec 3<&{read_names} 4>&{write_done} {read_names}<&- {write_done}>&-\n{_DRIVER}"
        self._shell = subprocess.Popen(
            [tools.find("bash"), "--noprofile", "--norc", "-euo", "pipefail", "-c", command],
            cwd=self._cwd,
            env={**self._env, "BOOTPROOF_STEPS": str(self._folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(read_names, write_done),
            start_new_session=True,
        )
        os.close(read_names)
        os.close(write_done)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._names)
        self._end()
        os.close(self._done)
        self._scratch.cleanup()

    def until(self, name: str, timeout: float = 180) -> Result:
        """Run the steps up to and with `name` that have not run yet, and return what that one printed.

        `timeout` is in seconds, for each step. Raises StepFailed, also again when an earlier step has failed before,
        and HandbookError when there is no such step.
        """
        names = [step.name for step in self.steps]
        if name not in names:
            raise HandbookError(f"{self.name}: no step {name!r}; it has: {', '.join(names)}")
        for step in self.steps[: names.index(name) + 1]:
            if step.name not in self.results:
                self.results[step.name] = self._run(step, timeout)
        return self.results[name]

    def _run(self, step: Step, timeout: float) -> Result:
        if self._failed:
            raise self._failed
        (self._folder / step.name).write_text("\n" * (step.line - 1) + step.text, encoding="utf-8")
        (self._folder / "line").unlink(missing_ok=True)
        started = time.monotonic()
        with contextlib.suppress(BrokenPipeError):
            os.write(self._names, f"{step.name}\n".encode())
        ready, _, _ = select.select([self._done], [], [], timeout)
        ended_well = bool(ready) and os.read(self._done, 64) != b""
        seconds = time.monotonic() - started
        if not ended_well:
            self._end()
            how = f"ended with {self._shell.returncode}" if ready else f"did not end within {timeout:g} s"
            self._failed = StepFailed(self._message(step, how))
            raise self._failed
        return Result(self._output("out"), self._output("err"), seconds)

    def _message(self, step: Step, how: str) -> str:
        at = self._output("line").strip()
        line = int(at) if at.isdigit() else step.line
        printed = (self._output("out") + self._output("err")).splitlines()[-_TAIL:]
        shown = "\n".join(f"    {text}" for text in printed) or "    (nothing)"
        return f"{self.name}:{line}: step {step.title!r} {how}; it printed:\n{shown}"

    def _output(self, name: str) -> str:
        path = self._folder / name
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def _end(self) -> None:
        """End the shell and all that still runs in its session's group."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._shell.wait(timeout=0.2)
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._shell.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._shell.wait(timeout=_END_SECONDS)
                return


def _pipe() -> tuple[int, int]:
    """Return the two ends of a pipe, with numbers above those that the shell gives them."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return high[0], high[1]
