"""A list of requirements is locked: every line pinned and hashed, and no address of an index in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from handbook.checks._tool import wheel
from handbook.findings import Finding

NEEDS = "nothing"

_HASH = re.compile(r"\s--hash=(\S+)")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_COMMENT = re.compile(r"(^|\s)#.*$")


def version() -> str:
    return wheel("packaging")


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Judge `paths` line by line, as `pip install --require-hashes` reads them."""
    return [
        finding
        for path in paths
        for line, text in _logical_lines((root / path).read_text(encoding="utf-8"))
        for finding in _judge(path, line, text)
    ]


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield what pip takes as one line, without its comments, and the number of its first line."""
    start, joined = 0, ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = _COMMENT.sub("", raw).rstrip()
        if not joined:
            start = number
        if line.endswith("\\"):
            joined += line[:-1] + " "
            continue
        joined += line
        if joined.strip():
            yield start, joined.strip()
        joined = ""
    if joined.strip():
        yield start, joined.strip()


def _judge(path: str, line: int, text: str) -> Iterator[Finding]:
    if text.startswith("-"):
        hint = "the index comes from the environment of whoever installs"
        yield Finding(path, line, "option", f"`{text.split()[0].partition('=')[0]}` stands in a lock", hint)
        return
    hashes = _HASH.findall(text)
    try:
        requirement = Requirement(_HASH.sub("", text))
    except InvalidRequirement as error:
        yield Finding(path, line, "syntax", str(error).splitlines()[0])
        return
    if requirement.url:
        yield Finding(path, line, "address", f"{requirement.name} comes from an address", "name a version")
        return
    exact = [s for s in requirement.specifier if s.operator in ("==", "===") and not s.version.endswith("*")]
    if not exact:
        yield Finding(path, line, "pin", f"{requirement.name} is not pinned with ==", "run `make lock`")
    if not hashes:
        yield Finding(path, line, "hash", f"{requirement.name} has no hash", "run `make lock`")
    for value in hashes:
        if not _SHA256.fullmatch(value):
            yield Finding(path, line, "hash", f"{requirement.name}: {value[:20]!r} is not a sha256", "run `make lock`")
