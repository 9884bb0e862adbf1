"""Runs each check once over all its files, and the same check over files that are wrong on purpose."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from handbook import catalog
from handbook.checks import Need, load
from handbook.findings import Finding


def names(need: Need) -> tuple[str, ...]:
    """Return the checks of the catalog that need `need`."""
    return tuple(name for name in catalog.checks() if need == load(name).NEEDS)


def cases(need: Need) -> list[tuple[str, str]]:
    """Return every check that needs `need` with every file of this repository that it judges."""
    own = catalog.Catalog()
    return [(name, path) for name in names(need) for path in own.of_check(name)]


def asked(request: pytest.FixtureRequest, test: str) -> list[str]:
    """Return the checks that the selected tests named `test` in the requesting module ask for, each once."""
    own = (item for item in request.session.items if item.path == request.path)
    calls = (item for item in own if isinstance(item, pytest.Function) and item.originalname == test)
    return list(dict.fromkeys(str(item.callspec.params["check"]) for item in calls))


@dataclass(frozen=True)
class Verdict:
    """What one run of a check said of its files: with which tool, in how many seconds."""

    tool: str
    seconds: float
    paths: tuple[str, ...]
    findings: tuple[Finding, ...]

    def of(self, path: str) -> list[Finding]:
        """Return the findings about the file at `path`, and those about a file that was not given."""
        return [finding for finding in self.findings if finding.path == path or finding.path not in self.paths]


@dataclass(frozen=True)
class Example:
    """A file that a check must judge in a known way: `rule` at `line`, or nothing when `rule` is empty.

    `name` is the file's path in a folder of its own below `snippets/`; `beside` are other files in that folder (one of
    the same name gives way).
    """

    name: str
    text: str
    rule: str = ""
    line: int = 0
    beside: Mapping[str, str] = field(default_factory=dict)


def write(root: Path, examples: Sequence[Example]) -> tuple[str, ...]:
    """Write the examples below `root`, each in its own folder, and return the paths of their files."""
    paths = []
    for number, example in enumerate(examples):
        folder = root / "snippets" / f"example{number}"
        for name, text in {**example.beside, example.name: example.text}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        paths.append((folder / example.name).relative_to(root).as_posix())
    return tuple(paths)


Examples = Mapping[str, Sequence[Example]]
"""For each check what it must accept and what it must find."""


def numbered(examples: Examples) -> list[tuple[str, int]]:
    """Return each example as its check and its place in that check's list."""
    return [(check, number) for check, rows in examples.items() for number in range(len(rows))]


def lacking(examples: Examples, need: Need) -> list[str]:
    """Return the checks that need `need` and have no good example or no bad one, and those that are no such check."""
    wanted = set(names(need))
    whole = {check for check, rows in examples.items() if {bool(row.rule) for row in rows} == {True, False}}
    return sorted(wanted ^ whole | set(examples) - wanted)


class Verdicts:
    """The verdicts about the files in `paths` (check -> files below `root`). Each check runs once, when first asked."""

    def __init__(self, root: Path, paths: Mapping[str, Sequence[str]], pool: ThreadPoolExecutor) -> None:
        self._root = root
        self._paths = paths
        self._pool = pool
        self._runs: dict[str, Future[Verdict]] = {}

    def start(self, checks: Iterable[str]) -> None:
        """Begin with `checks`, as many at a time as the pool has workers: their verdicts are there when asked for."""
        for check in checks:
            if check not in self._runs:
                self._runs[check] = self._pool.submit(self._run, check)

    def get(self, check: str) -> Verdict:
        """Return the verdict of `check`. Raises what it raised."""
        self.start([check])
        return self._runs[check].result()

    def wait(self) -> None:
        """Wait for all that was started; what it raised is for `get` to say."""
        wait(self._runs.values())

    def _run(self, check: str) -> Verdict:
        module = load(check)
        paths = tuple(self._paths[check])
        start = time.monotonic()
        findings = tuple(sorted(module.run(self._root, paths)))
        return Verdict(module.version(), round(time.monotonic() - start, 3), paths, findings)
