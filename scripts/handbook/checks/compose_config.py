"""Compose itself accepts the file, and has nothing to remark."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from handbook import tools
from handbook.catalog import Catalog
from handbook.checks._compose import bodies
from handbook.checks._docker import compose
from handbook.checks._lines import line_of
from handbook.checks._tool import failed
from handbook.findings import Finding, HandbookError

NEEDS = "docker"

_LOG = re.compile(r'^time="[^"]*" level=(?P<level>\w+) msg="(?P<message>(?:[^"\\]|\\.)*)"$')
_LINE = re.compile(r"\bline (\d+)")
_KEYS = re.compile(r"\b(?:services|networks|volumes|secrets|configs)\.[\w.-]+")


def version() -> str:
    return compose()


def inputs(catalog: Catalog, path: str) -> Iterator[str]:
    """The env files beside it and those that it names: Compose fills in variables from them."""
    folder = Path(path).parent.as_posix()
    yield from (file for file in catalog.files if file.startswith(f"{folder}/") and file.endswith(".env"))
    try:
        found = bodies((catalog.root / path).read_text(encoding="utf-8"), path)
    except HandbookError:
        # What is wrong with it is for Compose to say.
        return
    for service in found.values():
        named = service.get("env_file") or []
        for entry in named if isinstance(named, list) else [named]:
            name = str(entry.get("path") or "") if isinstance(entry, dict) else str(entry)
            yield os.path.normpath(f"{folder}/{name}")


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Resolve each file with all its profiles. A warning counts, since Compose ends with 0 after it."""
    return [finding for path in paths for finding in _judge(root, path)]


def _judge(root: Path, path: str) -> list[Finding]:
    command = ["docker", "compose", "--profile", "*", "--file", path]
    result = tools.run([*command, "config", "--quiet"], cwd=root)
    text = (root / path).read_text(encoding="utf-8")
    findings = []
    for line in result.stderr.splitlines():
        match = _LOG.match(line)
        rule, message = (match["level"], match["message"].replace('\\"', '"')) if match else ("config", line)
        message = message.replace(f"{root / path}", path)
        if message.strip():
            findings.append(Finding(path, _place(text, message), rule, message))
    if result.returncode and not findings:
        raise failed(result, f"exit code {result.returncode} without a word")
    if not findings:
        # Silence has to mean that the file was read: what it lists are the services that stand in it.
        listed = tools.run([*command, "config", "--services"], cwd=root)
        if not listed.stdout.split():
            raise failed(listed, "named no service")
    return findings


def _place(text: str, message: str) -> int:
    """Return the line that a message speaks of: it names one, or a path of keys, a variable or a key in quotes."""
    if match := _LINE.search(message):
        return int(match[1])
    if match := _KEYS.search(message):
        keys = match[0].split(".")
        extra = re.search(r"Additional property (\S+)", message)
        return line_of(text, [*keys, extra[1]] if extra else keys)
    for name in re.findall(r"""[`"]([\w.-]+)[`"]""", message):
        for pattern in (rf"\$\{{?{re.escape(name)}\b", rf"^\s*{re.escape(name)}:"):
            if match := re.search(pattern, text, re.MULTILINE):
                return text.count("\n", 0, match.end()) + 1
    return 0
