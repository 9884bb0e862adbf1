"""Reads typed values from snippets, each with the file and line it stands in, so that contracts can compare them.

One module reads one kind of file and takes `(root, path)`: the folder of the repository and the path in it. Nothing
that is read is ever imported or run. A file that can't be read raises `HandbookError` with file and line. What the
readers find is put together by `deployment.read`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from handbook.findings import HandbookError

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Fact(Generic[T]):
    """A value, and the place where it is written. `path` is relative to the repository, `line` counts from 1."""

    value: T
    path: str
    line: int

    def having(self, value: U) -> Fact[U]:
        """Return another value that stands in the same place."""
        return Fact(value, self.path, self.line)

    def read(self, parse: Callable[[T], U]) -> Fact[U]:
        """Return what `parse` makes of the value. Its ValueError becomes a HandbookError with file and line."""
        try:
            return self.having(parse(self.value))
        except ValueError as error:
            raise unreadable(self.path, self.line, str(error)) from None


def unreadable(path: str, line: int, message: str) -> HandbookError:
    """Return the error that a reader raises for a text that it can't read."""
    return HandbookError(f"{path}:{line}: {message}")


def below(files: Iterable[str], places: Collection[str]) -> set[str]:
    """Return those of `files` that are one of `places`, or lie in one that is a folder."""
    return {file for file in files if any(file == place or file.startswith(f"{place}/") for place in places)}


def text_of(root: Path, path: str) -> str:
    """Return the text of a file. Raises HandbookError when it can't be opened or is not UTF-8."""
    try:
        return (root / path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise unreadable(path, 0, f"the file can't be read: {reason}") from None
