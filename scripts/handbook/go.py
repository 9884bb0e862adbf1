"""Builds the Go programs that `tools/` pins, one folder with a `go.mod` each, and keeps them as long as the pins stay.

Where Go gets modules from is the business of its own environment (`GOPROXY`, `GOFLAGS`).
"""

from __future__ import annotations

import fcntl
import shutil
import sys
import tempfile
from pathlib import Path

from handbook import catalog
from handbook.findings import HandbookError
from handbook.proof import digest
from handbook.tools import run

_BUILD_SECONDS = 900
_LOG_LINES = 30


def pins(name: str) -> list[str]:
    """The files that pin the programs of `tools/<name>`, as paths in the repository."""
    return [f"tools/{name}/go.mod", f"tools/{name}/go.sum"]


def built(name: str, root: Path = catalog.ROOT) -> Path:
    """Return the program `name` that `tools/<name>/go.mod` pins as a tool, built in `.cache/go/` when it is not there.

    It is static, so it runs in any container. Raises MissingTool when there is no Go, with the command that installs
    it, and HandbookError with the end of the log when the program can't be built.
    """
    version = run(["go", "env", "GOVERSION"])
    content = [(root / path).read_bytes() for path in pins(name)]
    store = root / ".cache" / "go"
    program = store / digest(version.stdout, *content)[:12] / name
    store.mkdir(parents=True, exist_ok=True)
    with (store / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.is_file():
            _build(name, root / "tools" / name, program)
    return program


def _build(name: str, folder: Path, program: Path) -> None:
    print(f"building {name} from tools/{name}/go.mod ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=program.parent.parent) as scratch:
        command = ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", f"{scratch}/out/", "tool"]
        result = run(command, cwd=folder, env={"CGO_ENABLED": "0", "GOWORK": "off"}, timeout=_BUILD_SECONDS)
        made = Path(scratch, "out", name)
        if result.returncode or not made.is_file():
            said = "\n".join((result.stdout + result.stderr).strip().splitlines()[-_LOG_LINES:])
            hint = "see whether Go reaches its module proxy (`go env GOPROXY`)"
            raise HandbookError(f"tools/{name}/go.mod: {name} can't be built; {hint}:\n{said or 'no such program'}")
        shutil.rmtree(program.parent, ignore_errors=True)
        made.parent.rename(program.parent)
