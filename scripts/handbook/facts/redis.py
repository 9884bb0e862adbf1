"""Reads what a target tells a Redis server: the file that its command names, and the options behind it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from handbook.facts import Fact, quantities, text_of, unreadable
from handbook.facts.workload import Workload

# https://redis.io/docs/latest/operate/oss_and_stack/management/config-file/
DEFAULTS = {
    "port": "6379",
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
    "appendonly": "no",
    "save": "3600 1 300 100 60 10000",
    "dir": "/data",
}


@dataclass
class Redis:
    """A Redis server, and what it is told."""

    workload: Workload
    options: dict[str, Fact[str]]

    def option(self, name: str) -> Fact[str]:
        """The value of an option; where none is given, Redis's default, which stands at the workload's name."""
        return self.options.get(name) or self.workload.name.having(DEFAULTS[name])

    @property
    def port(self) -> Fact[int]:
        """Where it listens."""
        return self.option("port").read(quantities.whole)

    @property
    def maxmemory_bytes(self) -> Fact[int]:
        """What its data may take; 0: nothing limits it."""
        return self.option("maxmemory").read(quantities.redis_bytes)

    @property
    def appends(self) -> bool:
        """Whether it writes each change to a file."""
        return self.option("appendonly").value == "yes"

    @property
    def snapshots(self) -> bool:
        """Whether it writes all its data to a file now and then."""
        return bool(self.option("save").value)


def read(root: Path, workload: Workload, lookup: Callable[[str], str | None]) -> Redis:
    """Read the server that a workload runs. `lookup` turns a path that it sees into one of the repository, or None."""
    options: dict[str, Fact[str]] = {}
    words = list(workload.command)
    for word in words:
        if word.value.endswith(".conf") and (path := lookup(word.value)) and (root / path).is_file():
            options |= of(root, path, lookup)
    return Redis(workload, options | _flags(words))


def of(root: Path, path: str, lookup: Callable[[str], str | None] = lambda path: None) -> dict[str, Fact[str]]:
    """Return the options of a file, by name: the last one counts, also of those that stand in files it includes.

    `lookup` turns the path of an included file into one of the repository. Raises HandbookError for a quote left open,
    and for an included file that is not there.
    """
    found: dict[str, Fact[str]] = {}
    for number, line in enumerate(text_of(root, path).splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, *values = Fact(line, path, number).read(shlex.split).value
        if name.lower() != "include":
            found[name.lower()] = Fact(" ".join(values), path, number)
            continue
        included = lookup(values[0])
        if included is None:
            raise unreadable(path, number, f"nothing of the repository stands at {values[0]}; put the file there")
        found |= of(root, included, lookup)
    return found


def _flags(words: Sequence[Fact[str]]) -> dict[str, Fact[str]]:
    """Read `--maxmemory 128mb --save ""`: each option has the words up to the next one."""
    found: dict[str, Fact[str]] = {}
    name = ""
    for word in words:
        if word.value.startswith("--"):
            name = word.value.removeprefix("--").lower()
            found[name] = word.having("")
        elif name:
            found[name] = word.having(f"{found[name].value} {word.value}".strip())
    return found
