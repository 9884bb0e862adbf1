"""A Debian host for the checks of what a host reads: its own tools judge the file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

from handbook import host, tools
from handbook.checks._docker import container, must
from handbook.checks._tool import failed

FILE = "/judged"
"""Where `judge` puts the file, in a folder that holds nothing else."""

_SCRIPT = """
rm -rf "$0" && mkdir "$0" && cat >"$0/$1" && cd "$0" && shift
"$@" && code=0 || code=$?
echo "ended $code"
"""


@contextlib.contextmanager
def machine() -> Iterator[str]:
    """Start a host that has no way out and rules of its own for the network; yield its container."""
    options = ["--network", "none", "--cap-add", "NET_ADMIN"]
    with container(host.image(), options=options, command=["sleep", "infinity"]) as name:
        must(tools.run(["docker", "exec", name, "true"]), "the start of a host")
        yield name


def judge(machine: str, path: Path, *command: str) -> CompletedProcess[str]:
    """Run a command of the host in a folder with the file at `path`. The result has the command's own exit code.

    Raises HandbookError when the host does not say how it ended.
    """
    shell = ["docker", "exec", "--interactive", machine, "bash", "-c", _SCRIPT, FILE, path.name, *command]
    result = tools.run(shell, input=path.read_text(encoding="utf-8"))
    said, found, code = result.stdout.rpartition("ended ")
    if not found or result.returncode:
        raise failed(result, "the host did not say how it ended")
    return CompletedProcess(result.args, int(code), said, result.stderr)
