"""The module that mkdocs-macros loads, afresh for every build, and Zensical for every page."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_FOLDERS = ("docs", "scripts/handbook", "snippets")
_FILES = ("mkdocs.yml", ".cache/proof.json")
# What a build itself writes into these folders.
_WRITTEN = ("docs/files/", "docs/proofs.json")


def define_env(env: Any) -> None:
    """Define what pages may call, with the engine as it is on disk.

    `mkdocs serve` builds again and again in one process, in which imported modules stay. When a file has changed, the
    engine is therefore forgotten here, so that an edit of any of its modules shows and no cache of one build is there
    in the next.
    """
    stamp = sorted(_stamps(Path(env.project_dir)))
    build = sys.modules.get("handbook.site.build")
    if build is None or getattr(build, "stamp", None) != stamp:
        for name in [name for name in sys.modules if name.partition(".")[0] == "handbook"]:
            del sys.modules[name]
        importlib.invalidate_caches()
        build = importlib.import_module("handbook.site.build")
    build.define(env)
    # Not when it has failed: the next build starts from nothing.
    build.stamp = stamp  # pyrefly: ignore[missing-attribute]


def _stamps(root: Path) -> Iterator[tuple[str, int, int]]:
    """Yield each file that a build reads, with when it was changed and how long it is."""
    inside = (path for folder in _FOLDERS for path in (root / folder).rglob("*"))
    for path in (*inside, *(root / name for name in _FILES)):
        name = path.relative_to(root).as_posix()
        if path.is_file() and "__pycache__" not in name and not name.startswith(_WRITTEN):
            found = path.stat()
            yield name, found.st_mtime_ns, found.st_size
