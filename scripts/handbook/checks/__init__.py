"""One module a tool. Each takes paths and returns findings.

A module in this folder is a check when it has:

- `NEEDS`: "nothing" or "docker", what must be there beside the locked requirements;
- `version() -> str`: the tool's name and version as the proof shows it;
- `run(root: Path, paths: Sequence[str]) -> list[Finding]`: one process for all `paths` (relative to `root`) where the
  tool can do that. It raises `HandbookError` when the tool did not do its work: an exit code that it does not know,
  fewer files read than were given, output that it can't understand.

The catalog names the checks of each kind; nothing else has to know of a new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Literal, Protocol, cast

from handbook.findings import Finding

Need = Literal["nothing", "docker"]


class Check(Protocol):
    """What the catalog's names stand for."""

    NEEDS: Need

    def version(self) -> str: ...

    def run(self, root: Path, paths: Sequence[str]) -> list[Finding]: ...


def load(name: str) -> Check:
    """Return the check named `name`. Raises ModuleNotFoundError when `checks/` has no such module."""
    return cast(Check, import_module(f"handbook.checks.{name}"))
