"""Redis itself starts with a file, and has nothing to remark that is about the file."""

from __future__ import annotations

import re
from pathlib import Path

from handbook import tools
from handbook.checks._tool import failed
from handbook.findings import Finding

# The file's own users are secrets, and its folder is a volume: here it gets others. What stands behind the file wins.
_SCRIPT = r"""
set -u
printf 'user default on nopass ~* &* +@all\n' >/tmp/acl
own="--supervised no --daemonize no --port 0 --unixsocket /tmp/socket --aclfile /tmp/acl --dir /tmp"
redis-server "$1" $own --logfile '' &
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
    r"^Reading the configuration file, at line (?P<line>\d+)\n(?:>>> '(?P<option>.*)'\n)?(?P<message>.+)$", re.MULTILINE
)
_MISSING = re.compile(r"# Fatal error, (?P<message>can't open config file '(?P<file>.*)': .*)$", re.MULTILINE)
# What no part of the server knows, it names without a line.
_UNKNOWN = re.compile(r"# >>> '(?P<option>.*)'$", re.MULTILINE)
_WARNING = re.compile(r"# (?:WARNING:?|Warning:?) (?P<message>.*)$", re.MULTILINE)
# About the machine, not about the file.
_HOST = re.compile(r"overcommit|Transparent Huge Pages|TCP backlog|somaxconn", re.IGNORECASE)


def judge(root: Path, path: str, server: str) -> list[Finding]:
    """Start Redis with the file at `path`, ask it, and stop it, in a container that has Redis and the snippets."""
    result = tools.run(["docker", "exec", server, "bash", "-c", _SCRIPT, "check", f"/{path}"], timeout=60)
    said = result.stdout + result.stderr
    lines = [" ".join(line.split()) for line in (root / path).read_text(encoding="utf-8").splitlines()]
    found = [
        Finding(path, _line(lines, int(match["line"]), match["option"] or ""), "config", match["message"])
        for match in _FATAL.finditer(said)
    ]
    for match in _MISSING.finditer(said):
        include = f"include {match['file']}"
        found.append(Finding(path, lines.index(include) + 1 if include in lines else 0, "config", match["message"]))
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


def _line(lines: list[str], line: int, option: str) -> int:
    """Return `line`, or 0 when it is that of a file which this one includes: Redis does not tell which."""
    return line if lines[line - 1 : line] == [" ".join(option.split())] or not option else 0
