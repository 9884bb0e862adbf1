"""Reads scripts that install and remove: which file of the repository goes to which path of a host, and what is taken
away again.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path

from handbook.facts import Fact, shell, text_of


@dataclass(frozen=True)
class Put:
    """A file of the repository that a script puts to a path of the host."""

    source: str
    target: str


def puts(root: Path, path: str, files: Iterable[str]) -> list[Fact[Put]]:
    """Return what a script puts where: in a command a file of the repository with an absolute path behind it.

    It is taken to run in its own folder. `files` are those of the repository; patterns in loops stand for some of them.
    """
    there, folder, found = set(files), posixpath.dirname(path), []
    for lines, joined, loops in shell.commands(text_of(root, path)):
        for words in _words_in(joined, [(name, _matching(words, folder, there)) for name, words in loops]):
            for source, target in pairwise(words):
                file = posixpath.normpath(posixpath.join(folder, source))
                if target.startswith("/") and file in there:
                    target += posixpath.basename(file) if target.endswith("/") else ""
                    found.append(Fact(Put(file, target), path, lines[0][0]))
    return found


def _matching(words: list[str], folder: str, files: set[str]) -> list[str]:
    """The words of a loop, with the files that patterns among them stand for, as `../nginx/*.conf` or `units/**` do.

    The latter stands for all files below a folder, by their paths in it.
    """
    found = []
    for word in words:
        if "*" not in word:
            found.append(word)
            continue
        start = posixpath.normpath(posixpath.join(folder, word.removesuffix("/**")))
        if word.endswith("/**"):
            found += sorted(file.removeprefix(f"{start}/") for file in files if file.startswith(f"{start}/"))
            continue
        inside = (file for file in files if fnmatchcase(file, start) and file.count("/") == start.count("/"))
        found += sorted(posixpath.relpath(file, folder) for file in inside)
    return found


def _words_in(command: str, loops: list[tuple[str, list[str]]]) -> Iterator[list[str]]:
    """Yield the words of a command, once for every value of the variables of loops in it."""
    commands = [command]
    for name, values in loops:
        variable = re.compile(rf"\$(?:{name}\b|\{{{name}(?P<last>##\*/)?\}})")
        if name and variable.search(command):
            commands = [
                variable.sub(lambda match, v=value: posixpath.basename(v) if match["last"] else v, each)
                for each in commands
                for value in values
            ]
    for each in commands:
        try:
            yield shlex.split(each)
        except ValueError:
            continue


def _listed(loops: list[tuple[str, list[str]]]) -> list[tuple[str, list[str]]]:
    """The loops whose values are written in them."""
    return [(name, words) for name, words in loops if not any("*" in word for word in words)]


@dataclass(frozen=True)
class Removed:
    """What a script removes: a path, in which `*` stands for anything, and whether with all that is below it."""

    pattern: str
    is_whole: bool

    def covers(self, path: str) -> bool:
        """Whether a path is removed."""
        return fnmatchcase(path, self.pattern) or (self.is_whole and fnmatchcase(path, f"{self.pattern}/*"))


def removes(root: Path, path: str) -> list[Fact[Removed]]:
    """Return the absolute paths that a script removes with `rm`. A variable stands for anything, unless a loop says."""
    found = []
    for lines, joined, loops in shell.commands(text_of(root, path)):
        if re.match(r"(?:\S+ (?:&&|\|\|) )?rm\b", joined):
            for words in _words_in(joined, _listed(loops)):
                is_whole = any(re.fullmatch(r"--recursive|-\w*[rR]\w*", word) for word in words)
                paths = (each for word in words for each in shell.braces(word) if each.startswith("/"))
                found += [Fact(Removed(re.sub(r"\$\{?\w+\}?", "*", p), is_whole), path, lines[0][0]) for p in paths]
    return found


def words(root: Path, path: str) -> set[str]:
    """Return all words that stand in the commands of a script, with the values of its loops."""
    found: set[str] = set()
    for _, joined, loops in shell.commands(text_of(root, path)):
        for each in _words_in(joined, _listed(loops)):
            found |= {*each}
    return found
