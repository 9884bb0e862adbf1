"""Reads what a target tells PostgreSQL: the flags of its command, and the scripts that make the database."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from handbook.facts import Fact, shell, text_of

# https://www.postgresql.org/docs/18/runtime-config-connection.html and runtime-config-resource.html
DEFAULTS = {
    "max_connections": "100",
    "superuser_reserved_connections": "3",
    "reserved_connections": "0",
    "port": "5432",
    "listen_addresses": "localhost",
    "shared_buffers": "128MB",
    "effective_cache_size": "4GB",
    "maintenance_work_mem": "64MB",
}

# What the image reads: https://github.com/docker-library/docs/blob/master/postgres/README.md
_NAMES = ("POSTGRES_PASSWORD", "POSTGRES_USER", "POSTGRES_DB", "POSTGRES_INITDB_ARGS")
VARIABLES = frozenset(
    (
        *_NAMES,
        *(f"{name}_FILE" for name in _NAMES),
        "POSTGRES_INITDB_WALDIR",
        "POSTGRES_HOST_AUTH_METHOD",
        "PGDATA",
    )
)


def flags(command: Sequence[Fact[str]]) -> dict[str, Fact[str]]:
    """Return the parameters that a command sets: `--name=value`, `-c name=value`, `-p port`, `-N connections`."""
    found: dict[str, Fact[str]] = {}
    before = ""
    for word in command:
        text = f"--{word.value}" if before == "-c" else re.sub(r"^-c(?=\w)", "--", word.value)
        match = re.fullmatch(r"--([\w-]+)=(.*)", text)
        if match:
            found[match[1].replace("-", "_")] = word.having(match[2].strip("'"))
        elif before in ("-p", "-N"):
            found["port" if before == "-p" else "max_connections"] = word
        before = word.value
    return found


def settings(root: Path, path: str) -> dict[str, Fact[str]]:
    """Return the parameters that a file sets: `name = value`, where `=` may be left out. The last one counts.

    https://www.postgresql.org/docs/18/config-setting.html#CONFIG-SETTING-CONFIGURATION-FILE
    """
    found: dict[str, Fact[str]] = {}
    for number, line in enumerate(text_of(root, path).splitlines(), 1):
        match = re.match(r"\s*(?P<name>\w+)(?:\s*=\s*|\s+)(?:'(?P<quoted>[^']*)'|(?P<plain>[^\s#]+))", line)
        if match:
            found[match["name"].lower()] = Fact(match["quoted"] or match["plain"] or "", path, number)
    return found


@dataclass
class Made:
    """What the scripts of a fresh database make, and the secrets that they read."""

    roles: list[Fact[str]] = field(default_factory=list)
    databases: list[Fact[str]] = field(default_factory=list)
    secrets: list[Fact[str]] = field(default_factory=list)


def scripts(root: Path, paths: Sequence[str]) -> Made:
    """Read SQL files, and the SQL in shell scripts."""
    found = Made()
    for path in paths:
        for number, line in enumerate(text_of(root, path).splitlines(), 1):
            if line.lstrip().startswith(("#", "--")):
                continue
            for pattern, facts in (
                (r"CREATE\s+(?:ROLE|USER)\s+\"?([\w-]+)", found.roles),
                (r"CREATE\s+DATABASE\s+\"?([\w-]+)", found.databases),
            ):
                facts += [Fact(match[1], path, number) for match in re.finditer(pattern, line, re.IGNORECASE)]
    found.secrets = shell.secrets(root, paths)
    return found
