"""SQL runs in the stack's own Postgres, without an error or a warning."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from handbook.catalog import Catalog
from handbook.checks._compose import compose_of
from handbook.checks._docker import engine, must
from handbook.checks._postgres import POSTGRES, postgres, psql
from handbook.checks._tool import failed
from handbook.findings import Finding

NEEDS = "docker"

_SAID = re.compile(r"^psql:<stdin>:(?P<line>\d+): (?:(?P<level>ERROR|FATAL|WARNING): +)?(?P<message>.*)$")


def version() -> str:
    return f"psql, {engine()}"


def inputs(catalog: Catalog, path: str) -> Iterator[str]:
    yield compose_of(catalog.root, *POSTGRES)


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Run each file as the superuser in a new database, as the image's own init does; each statement commits itself."""
    findings = []
    with postgres(root) as server:
        for number, path in enumerate(paths):
            database = f"check_{number}"
            must(psql(server, f"CREATE DATABASE {database};\n"), "the creation of a database")
            findings += _judge(root, path, server, database)
    return findings


def _judge(root: Path, path: str, server: str, database: str) -> Iterator[Finding]:
    script = (root / path).read_text(encoding="utf-8")
    result = psql(server, f"{script}\n\\echo ended\n", database=database)
    found = False
    for line in result.stderr.splitlines():
        if (match := _SAID.match(line)) and (match["level"] or result.returncode):
            found = True
            yield Finding(path, int(match["line"]), (match["level"] or "psql").lower(), match["message"])
    ended = result.stdout.rstrip().endswith("ended")
    if not found and (result.returncode or not ended):
        raise failed(result, f"{path} did not run to its end")
