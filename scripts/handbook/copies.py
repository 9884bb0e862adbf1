"""Copies a stack into a reader's folder: `handbook copy compose/production FOLDER`."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from handbook.catalog import Catalog
from handbook.findings import HandbookError
from handbook.stacks import find


def copy(catalog: Catalog, name: str, folder: Path) -> int:
    """Put the files of the stack called `name` into `folder`, laid out as below `snippets/`; return how many were new.

    A file that is there already has to be the same, and is left alone. Raises HandbookError when it is not, when there
    is no such stack, and when the folder can't be written; then nothing was copied.
    """
    stack = find(name, catalog)
    new = [path for path in stack.files if _is_new(catalog.root / path, folder, path.removeprefix("snippets/"))]
    copied: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # On the same file system, so that what is complete only has to change its place.
        with tempfile.TemporaryDirectory(prefix=".copy-", dir=folder) as scratch:
            stack.unpack(Path(scratch))
            for path in (path.removeprefix("snippets/") for path in new):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                copied.append(folder / path)
                shutil.move(Path(scratch) / path, folder / path)
    except OSError as error:
        for path in copied:
            path.unlink(missing_ok=True)
        raise HandbookError(f"{error.filename or folder}: the stack can't be copied there: {error.strerror}") from None
    return len(new)


def _is_new(source: Path, folder: Path, path: str) -> bool:
    """Whether a file is still to be copied to `path` below `folder`. Raises HandbookError when another one is there."""
    target = folder / path
    hint = "name another folder, or move that away first"
    for above in [above for above in target.parents if above.is_relative_to(folder)]:
        if above.is_symlink() or (above.exists() and not above.is_dir()):
            raise HandbookError(f"{above}: is there already, and is no folder; {hint}")
    if not target.is_symlink() and not target.exists():
        return True
    if target.is_symlink() or not target.is_file() or target.read_bytes() != source.read_bytes():
        raise HandbookError(f"{target}: is there already, and is not the file of this stack; {hint}")
    return False
