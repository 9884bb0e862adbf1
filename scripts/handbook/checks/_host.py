"""A Debian host for the checks of what a host reads: its own tools judge the file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from subprocess import CompletedProcess

from handbook import host, tools
from handbook.checks._docker import container, must
from handbook.checks._tool import failed

FILE = "/judged"
"""Where `judge` puts the file, in a folder that holds nothing else."""

PACKAGES = """
set -e
cp --archive --no-clobber /waiting/. /
for user in postgres redis; do useradd --system --user-group "$user"; done
"""
"""A script for `ask`: what a file may name of the packages that wait in the host. Their own scripts make the users."""

_SCRIPT = """
rm -rf "$0" && mkdir "$0" && cat >"$0/$1" && cd "$0" && shift
"$@" && code=0 || code=$?
echo "ended $code"
"""
# The script comes through the pipe: what it runs must not read the rest of it.
_ASK = """
script=$(cat) && code=0
bash -c "$script" "$0" "$@" </dev/null || code=$?
echo "ended $code"
"""


@contextlib.contextmanager
def machine(root: Path | None = None, *, options: Sequence[str] = ()) -> Iterator[str]:
    """Start a host that has no way out and rules of its own for the network; yield its container.

    Given `root`, the snippets below it stand in the host where they stand in the repository: at `/snippets`. `options`
    are more of `docker run`.
    """
    own = ["--network", "none", "--cap-add", "NET_ADMIN"]
    if root:
        own += ["--volume", f"{root / 'snippets'}:/snippets:ro"]
    with container(host.image(), options=[*own, *options], command=["sleep", "infinity"]) as name:
        must(tools.run(["docker", "exec", name, "true"]), "the start of a host")
        yield name


def ask(machine: str, script: str, *arguments: str, timeout: float = 120) -> CompletedProcess[str]:
    """Run a script in the host under bash, with `arguments` as `$1` and so on. The result has its own exit code.

    Raises HandbookError when the host does not say how it ended. `timeout` is in seconds.
    """
    shell = ["docker", "exec", "--interactive", machine, "bash", "-c", _ASK, "check", *arguments]
    return _ended(tools.run(shell, input=script, timeout=timeout))


def judge(machine: str, path: Path, *command: str) -> CompletedProcess[str]:
    """Run a command of the host in a folder with the file at `path`. The result has the command's own exit code.

    Raises HandbookError when the host does not say how it ended.
    """
    shell = ["docker", "exec", "--interactive", machine, "bash", "-c", _SCRIPT, FILE, path.name, *command]
    return _ended(tools.run(shell, input=path.read_text(encoding="utf-8")))


def _ended(result: CompletedProcess[str]) -> CompletedProcess[str]:
    said, found, code = result.stdout.rpartition("ended ")
    if not found or result.returncode:
        raise failed(result, "the host did not say how it ended")
    return CompletedProcess(result.args, int(code), said, result.stderr)
