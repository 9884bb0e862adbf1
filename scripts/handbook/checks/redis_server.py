"""Redis itself starts with the file, and has nothing to remark that is about the file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from handbook import images, tools
from handbook.catalog import Catalog
from handbook.checks._compose import compose_of, image_of
from handbook.checks._docker import container, engine
from handbook.checks._tool import failed
from handbook.findings import Finding

NEEDS = "docker"

# The file's own users are secrets, and its folder is a volume: here it gets others. What stands behind the file wins.
_SCRIPT = r"""
set -u
printf 'user default on nopass ~* &* +@all\n' >/tmp/acl
redis-server "$1" --port 0 --unixsocket /tmp/socket --aclfile /tmp/acl --dir /tmp --daemonize no --logfile '' &
server=$!
until [ "$(redis-cli -s /tmp/socket ping 2>/dev/null)" = PONG ]; do
  kill -0 "$server" 2>/dev/null || { wait "$server"; exit 1; }
  sleep 0.05
done
redis-cli -s /tmp/socket shutdown nosave
wait "$server"
echo started
"""
_FATAL = re.compile(
    r"^Reading the configuration file, at line (?P<line>\d+)\n(?:>>> .*\n)?(?P<message>.+)$", re.MULTILINE
)
# What no part of the server knows, it names without a line.
_UNKNOWN = re.compile(r"# >>> '(?P<option>.*)'$", re.MULTILINE)
_WARNING = re.compile(r"# (?:WARNING:?|Warning:?) (?P<message>.*)$", re.MULTILINE)
# About the machine, not about the file.
_HOST = re.compile(r"overcommit|Transparent Huge Pages|TCP backlog|somaxconn", re.IGNORECASE)


def version() -> str:
    return f"redis-server, {engine()}"


def inputs(catalog: Catalog, path: str) -> Iterator[str]:
    yield compose_of(catalog.root, "redis")


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Start the Redis that the stacks name with each file, ask it, and stop it."""
    reference = image_of(root, "redis")
    image = images.ensure([reference])[reference].local
    options = ["--network", "none", "--user", "999:999", "--workdir", "/tmp", "--entrypoint", "sleep"]
    options += ["--volume", f"{root / 'snippets'}:/snippets:ro"]
    with container(image, options=options, command=["600"]) as name:
        return [finding for path in paths for finding in _judge(root, path, name)]


def _judge(root: Path, path: str, server: str) -> list[Finding]:
    result = tools.run(["docker", "exec", server, "bash", "-c", _SCRIPT, "check", f"/{path}"], timeout=60)
    said = result.stdout + result.stderr
    found = [Finding(path, int(match["line"]), "config", match["message"]) for match in _FATAL.finditer(said)]
    lines = [" ".join(line.split()) for line in (root / path).read_text(encoding="utf-8").splitlines()]
    for match in _UNKNOWN.finditer(said):
        option = " ".join(match["option"].split())
        line = lines.index(option) + 1 if option in lines else 0
        found.append(Finding(path, line, "config", f"no part of the server knows {option!r}"))
    found += [
        Finding(path, 0, "warning", match["message"])
        for match in _WARNING.finditer(said)
        if not _HOST.search(match["message"])
    ]
    started = result.returncode == 0 and result.stdout.rstrip().endswith("started")
    if not started and not found:
        raise failed(result, f"{path}: it neither started nor said why")
    return found
