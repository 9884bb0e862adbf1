"""Shell scripts are formatted as shfmt does it by `.editorconfig`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory

from handbook import tools
from handbook.catalog import Catalog
from handbook.checks._tool import expect, failed, wheel
from handbook.findings import Finding

NEEDS = "nothing"

_FILE = re.compile(r"^\+\+\+ (?P<path>.+)$")
_HUNK = re.compile(r"^@@ -(?P<line>\d+)")
_SYNTAX = re.compile(r"^(?P<path>.+?):(?P<line>\d+):\d+: (?P<message>.+)$")


def version() -> str:
    return wheel("shfmt-py", "shfmt")


def inputs(catalog: Catalog, path: str) -> tuple[str, ...]:
    return (".editorconfig",)


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Report the first line of every place that shfmt would write otherwise.

    shfmt is silent about good files. So it gets a bad one along with them, which it has to speak of.
    """
    with TemporaryDirectory(prefix="bootproof-check-") as scratch:
        canary = Path(scratch) / "canary.sh"
        canary.write_text("if true; then\n   echo\nfi\n", encoding="utf-8")
        result = tools.run(["shfmt", "--diff", "--", *paths, str(canary)], cwd=root)
    expect(result, {0, 1})
    findings = [*_places(result.stdout), *_errors(result)]
    if str(canary) not in {finding.path for finding in findings}:
        raise failed(result, "said nothing of a badly formatted file")
    return [finding for finding in findings if finding.path != str(canary)]


def _places(diff: str) -> Iterator[Finding]:
    """Yield the first line of each hunk of a diff that would change, counted in the file as it is."""
    path, line = "", 0
    for text in diff.splitlines():
        if match := _FILE.match(text):
            path = match["path"]
        elif match := _HUNK.match(text):
            line = int(match["line"])
        elif path and line:
            if text[:1] in ("+", "-"):
                yield Finding(path, line, "format", "shfmt would write this otherwise", "run `make format`")
                line = 0
            else:
                line += 1


def _errors(result: CompletedProcess[str]) -> Iterator[Finding]:
    for text in result.stderr.splitlines():
        if not (match := _SYNTAX.match(text)):
            raise failed(result, "wrote something unknown to stderr")
        yield Finding(match["path"], int(match["line"]), "syntax", match["message"])
