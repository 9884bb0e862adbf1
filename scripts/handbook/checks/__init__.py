"""One module a tool. Each takes paths and returns findings.

A module in this folder is a check when it has:

- `NEEDS`: what must be there beside the locked requirements, a key of `READY`;
- `version() -> str`: the tool's name and version as the proof shows it;
- `run(root: Path, paths: Sequence[str]) -> list[Finding]`: one process for all `paths` (relative to `root`) where the
  tool can do that. It raises `HandbookError` when the tool did not do its work: an exit code that it does not know,
  fewer files read than were given, output that it can't understand. A file that it could not judge is a finding;
- `inputs(catalog: Catalog, path: str) -> Iterable[str]`, when more files than `path` decide about it: the paths of
  those. It runs no tool.

The catalog names the checks of each kind; nothing else has to know of a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, cast

from handbook import tools
from handbook.catalog import Catalog
from handbook.findings import Finding, HandbookError


class Check(Protocol):
    """What the catalog's names stand for."""

    NEEDS: str

    def version(self) -> str: ...

    def run(self, root: Path, paths: Sequence[str]) -> list[Finding]: ...


def load(name: str) -> Check:
    """Return the check named `name`. Raises HandbookError when `checks/` has no such module."""
    if find_spec(f"handbook.checks.{name}") is None:
        raise HandbookError(f"there is no scripts/handbook/checks/{name}.py; write it, or mend KINDS in catalog.py")
    return cast(Check, import_module(f"handbook.checks.{name}"))


def inputs(name: str, catalog: Catalog, path: str) -> tuple[str, ...]:
    """Return the files that decide what the check named `name` says of `path`: itself, and those it judges it with."""
    more = getattr(load(name), "inputs", None)
    found = more(catalog, path) if more else ()
    return tuple(sorted({path, *(file for file in found if (catalog.root / file).is_file())}))


def _docker() -> None:
    if tools.run(["docker", "info", "--format", "{{.ServerVersion}}"], timeout=20).returncode:
        raise HandbookError("no Docker engine answers; run `make docker`")


READY: dict[str, Callable[[], None]] = {"nothing": lambda: None, "docker": _docker}
"""For each need: what raises HandbookError, with the command that provides it, when it is not there."""


def ready(need: str) -> None:
    """Return when what `need` names is there. Raises HandbookError, with the command that provides it, when not."""
    READY[need]()
