"""Builds the Go programs that `tools/` pins, one folder with a `go.mod` each, and keeps them as long as the pins stay.

Where Go gets modules from is the business of its own environment (`GOPROXY`, `GOFLAGS`).
"""

from __future__ import annotations

import fcntl
import os
import re
import sys
import tempfile
import time
from pathlib import Path

from handbook import catalog
from handbook.findings import HandbookError
from handbook.proof import digest
from handbook.tools import run

_BUILD_SECONDS = 1500
_LOG_LINES = 30
_TOOLS = re.compile(r"^tool[ \t]+(?:\(\n(?P<block>(?:[^)\n]*\n)*?)\)|(?P<one>\S+))", re.MULTILINE)
_REQUIRED = re.compile(r"^(?:require)?[ \t]+(\S+) (v\S+)", re.MULTILINE)
_MAJOR = re.compile(r"/v[0-9]+$")


def pins(name: str, root: Path = catalog.ROOT) -> list[str]:
    """The files that decide what the programs of `tools/<name>` are, as paths in the repository."""
    own = (path.relative_to(root).as_posix() for path in sorted((root / "tools" / name).rglob("*.go")))
    return [f"tools/{name}/go.mod", f"tools/{name}/go.sum", *own]


def pinned(name: str, root: Path = catalog.ROOT) -> dict[str, str]:
    """Map each module that `tools/<name>/go.mod` requires to its version."""
    text = (root / "tools" / name / "go.mod").read_text(encoding="utf-8")
    return dict(_REQUIRED.findall(text))


def programs(name: str, root: Path = catalog.ROOT) -> dict[str, str]:
    """Map each program that `tools/<name>/go.mod` pins with a `tool` line to the package that it is built from."""
    text = (root / "tools" / name / "go.mod").read_text(encoding="utf-8")
    lines = "\n".join(match["block"] or match["one"] for match in _TOOLS.finditer(text)).splitlines()
    packages = filter(None, (line.partition("//")[0].strip() for line in lines))
    # Go names a program after the last part of its package, without the major version: `.../kustomize/v5`.
    return {_MAJOR.sub("", package).rpartition("/")[2]: package for package in packages}


def version(name: str, program: str | None = None, root: Path = catalog.ROOT) -> str:
    """Return the version of the module that a program comes from. Raises HandbookError when none is required."""
    package = programs(name, root).get(program or name, "")
    modules = [found for found in pinned(name, root).items() if f"{package}/".startswith(f"{found[0]}/")]
    if not modules:
        raise HandbookError(f"tools/{name}/go.mod: it requires no module that {program or name} is a part of")
    return max(modules, key=lambda found: len(found[0]))[1]


def built(name: str, program: str | None = None, ldflags: str = "", root: Path = catalog.ROOT) -> Path:
    """Return a program that `tools/<name>/go.mod` pins as a tool, built in `.cache/go/` when it is not there.

    `program` is its name, by default that of the folder. `ldflags` go to Go's linker, such as `-X` for a version that
    is stamped in: other ones make another program. It is static, so it runs in any container. Raises MissingTool when
    there is no Go, with the command that installs it, and HandbookError when no `tool` line pins the program, or with
    the end of the log when it can't be built.
    """
    program = program or name
    packages = programs(name, root)
    if program not in packages:
        known = ", ".join(packages) or "none"
        raise HandbookError(f"tools/{name}/go.mod: no `tool` line pins {program}; it has {known}")
    version = run(["go", "env", "GOVERSION"])
    content = [(root / path).read_bytes() for path in pins(name, root)]
    store = root / ".cache" / "go"
    found = store / digest(version.stdout, ldflags, *content)[:12] / program
    found.parent.mkdir(parents=True, exist_ok=True)
    # One lock a program: what takes seconds does not wait for what takes minutes.
    with (store / f"{program}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not found.is_file():
            _build(root / "tools" / name, packages[program], ldflags, found)
    return found


def _build(folder: Path, package: str, ldflags: str, program: Path) -> None:
    pin = f"tools/{folder.name}/go.mod"
    print(f"building {program.name} from {pin} ...", file=sys.stderr, flush=True)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(dir=program.parent.parent) as scratch:
        flags = f"-s -w {ldflags}".strip()
        command = ["go", "build", "-trimpath", "-ldflags", flags, "-o", f"{scratch}/out/", package]
        # GOGC: the compiler takes more memory and less time.
        env = {"CGO_ENABLED": "0", "GOWORK": "off", "GOGC": os.environ.get("GOGC", "200")}
        result = run(command, cwd=folder, env=env, timeout=_BUILD_SECONDS)
        made = Path(scratch, "out", program.name)
        if result.returncode or not made.is_file():
            said = "\n".join((result.stdout + result.stderr).strip().splitlines()[-_LOG_LINES:])
            hint = "see whether Go reaches its module proxy (`go env GOPROXY`)"
            raise HandbookError(f"{pin}: {program.name} can't be built; {hint}:\n{said or 'no such program'}")
        made.replace(program)
    print(f"built {program.name} in {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
