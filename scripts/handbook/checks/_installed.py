"""Files that a host reads from folders of its own: what belongs together is installed together, as the reader does."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from handbook.catalog import HOST_FOLDERS, Catalog
from handbook.checks._docker import must
from handbook.checks._host import PACKAGES, ask, machine
from handbook.findings import HandbookError

_CHOICE = re.compile(r"database-[a-z]+\.conf")
# What an earlier installation has left goes first.
_RESET = f"""
set -e
places="{" ".join(HOST_FOLDERS.values())} /etc/passwd /etc/group /etc/shadow /etc/gshadow"
[ -e /clean ] || {{ mkdir --parents /clean {" ".join(HOST_FOLDERS.values())}; cp --archive --parents $places /clean; }}
rm --recursive $places
cp --archive /clean/etc/. /etc
"""
_INSTALL = """
set -e
while [ $# -gt 0 ]; do install -D --mode=0644 "$1" "$2"; shift 2; done
"""


@dataclass(frozen=True)
class Installation:
    """What stands in one folder of the repository and is installed as a whole.

    `files` are the paths in the repository of what stands in its folders that HOST_FOLDERS names. `choices` are
    drop-ins for all of its services, of which a reader takes one: `database-here.conf` becomes `database.conf` in the
    folder of the prefix that they share (`units/assistant-.service.d`).
    """

    folder: str
    files: tuple[str, ...]
    choices: tuple[str, ...] = ()

    def of(self, name: str) -> tuple[str, ...]:
        """The files of the folder `name`, one of HOST_FOLDERS."""
        return tuple(path for path in self.files if path.startswith(f"{self.folder}/{name}/"))

    def place(self, path: str) -> str:
        """Return where the host finds the file at `path`."""
        folder, _, rest = path.removeprefix(f"{self.folder}/").partition("/")
        if path in self.choices:
            return f"{HOST_FOLDERS['units']}/{self._shared()}/{PurePosixPath(path).stem.partition('-')[0]}.conf"
        return f"{HOST_FOLDERS[folder]}/{rest}"

    def install(self, machine: str, *paths: str) -> None:
        """Put `paths` into a host that has the snippets."""
        pairs = [word for path in paths for word in (f"/{path}", self.place(path))]
        must(ask(machine, _INSTALL, *pairs), "the installation")

    def set_up(self, machine: str) -> None:
        """Install all files in a host, in which no earlier installation is left then."""
        must(ask(machine, _RESET), "the clearing of a host")
        self.install(machine, *self.files)

    def variants(self, machine: str) -> Iterator[dict[str, str]]:
        """Install all files, and yield once for each choice, which is installed then; once when there is none.

        What is yielded maps each place in the host to the path in the repository.
        """
        self.set_up(machine)
        origin = {self.place(path): path for path in self.files}
        for choice in self.choices:
            self.install(machine, choice)
            yield {**origin, self.place(choice): choice}
        if not self.choices:
            yield origin

    def _shared(self) -> str:
        folders = {PurePosixPath(path).parent.name for path in self.of("units")}
        shared = sorted(name for name in folders if name.endswith("-.service.d"))
        if len(shared) != 1:
            found = ", ".join(shared) or "none"
            raise HandbookError(
                f"{self.choices[0]}: it goes into the one folder of units/ for the services of a prefix, and there is "
                f"{found}; have one like units/assistant-.service.d"
            )
        return shared[0]


def installations(root: Path, paths: Sequence[str]) -> Iterator[Installation]:
    """Yield what is installed together with `paths`: the files that git tracks or would track."""
    files = Catalog(root).files
    for base in dict.fromkeys(base for path in paths if (base := _base(path))):
        yield _at(base, files)


@dataclass(frozen=True)
class Placed:
    """A file that is installed in a host: its path in the repository, its place there, and the host."""

    path: str
    place: str
    machine: str


@contextlib.contextmanager
def installed(root: Path, paths: Sequence[str]) -> Iterator[Iterator[Placed]]:
    """Start a host, and yield `paths` one after the other, each installed there with all that belongs to it."""
    with machine(root) as name:
        must(ask(name, PACKAGES), "the setting up of a host")
        yield _one_by_one(root, paths, name)


def _one_by_one(root: Path, paths: Sequence[str], name: str) -> Iterator[Placed]:
    for whole in installations(root, paths):
        whole.set_up(name)
        yield from (Placed(path, whole.place(path), name) for path in whole.files if path in paths)


def companions(catalog: Catalog, path: str, *folders: str) -> Iterator[str]:
    """Yield the files that are installed together with the one at `path`: those of `folders`, or all."""
    if base := _base(path):
        whole = _at(base, catalog.files)
        chosen = [file for folder in folders for file in whole.of(folder)]
        yield from chosen if folders else (*whole.files, *whole.choices)


def is_installed(path: str) -> bool:
    """Whether the file at `path` belongs to an installation."""
    return _base(path) is not None


def _at(base: str, files: Sequence[str]) -> Installation:
    own = [path for path in files if _base(path) == base]
    chosen = tuple(path for path in own if _CHOICE.fullmatch(path.removeprefix(f"{base}/")))
    return Installation(base, tuple(path for path in own if path not in chosen), chosen)


def _base(path: str) -> str | None:
    """Return what holds the folder of HOST_FOLDERS in which the file at `path` stands; None when none does."""
    folder, _, name = path.rpartition("/")
    if _CHOICE.fullmatch(name):
        return folder
    for parent in PurePosixPath(path).parents:
        if parent.name in HOST_FOLDERS:
            return parent.parent.as_posix()
    return None
