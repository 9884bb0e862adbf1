"""Writes and reads proof: which check or boot passed for which content, with which tools and images, and when.

Proof lives in `.cache/proof.json`, which is never committed: a fresh clone has proven nothing. Test runs write it from
pytest's own results (see `pytest_plugin.py`); the site reads it. Everything is keyed by content, so an edited file
shows as changed since its proof until it is tested again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from handbook.catalog import ROOT, checks, kind_of
from handbook.findings import HandbookError

FORMAT = 4
READ = (3, FORMAT)
"""The formats that are understood: what the older one has no field for, its records say nothing of."""

ACTED = "acted"
"""The name of the record of who acted on the objects of a folder below `snippets/` that was given to a cluster."""

State = Literal["proven", "changed", "failed", "not run", "not proven here"]

WORDS: dict[State, str] = {
    "proven": "proven",
    "changed": "changed since its proof",
    "failed": "failed",
    "not run": "not run on this machine",
    "not proven here": "not proven here",
}


@dataclass(frozen=True)
class Outcome:
    """What one check said of one snippet, or what one probe saw in a stack."""

    name: str
    passed: bool
    seconds: float


@dataclass(frozen=True)
class Ran:
    """An image that the files name, and what ran under its name: the official one, or what stood for it."""

    name: str
    official: bool
    what: str

    @property
    def word(self) -> str:
        """Which of both it was."""
        return "official" if self.official else "substitute"


@dataclass(frozen=True)
class Record:
    """One proof. For a check: the snippet's path and the check. For a contract: its module and its name. For a boot:
    the stack's name, the module of tests that booted it, and every probe of that module. For objects of a cluster:
    their folder and `ACTED`.

    `digest` stands for everything that went in, `files` maps each file that went in to the digest of its content,
    `images` maps each image of the files to the one that ran (`nginx:1.30.6` -> `... from Debian packages`), `acted`
    each object of a cluster to who acted on it (`Deployment/api` -> `kube-controller-manager, kubelet`; empty: nobody).
    `seconds` is the time of the tool or of the whole boot, `time` is UTC in ISO 8601.
    """

    subject: str
    name: str
    tool: str
    passed: bool
    seconds: float
    digest: str
    commit: str
    time: str
    files: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    probes: tuple[Outcome, ...] = ()
    acted: Mapping[str, str] = field(default_factory=dict)

    @property
    def ran(self) -> tuple[Ran, ...]:
        """The images, by their names in the files."""
        told = ((name, *words.partition(": ")) for name, words in sorted(self.images.items()))
        return tuple(Ran(name, word == "official", what) for name, word, _, what in told)


# Subjects are paths of the repository, or stacks: folders below `snippets/`.
_PLACES = ("", "snippets")

BOOTS = ("tests/boot", "tests/cluster")
"""Where the modules of tests are that boot a stack: `test_compose_production.py`, `test_compose_production_work.py`."""


class Proof:
    """The records of one checkout, read from and written to `path`."""

    def __init__(self, path: Path, records: Iterable[Record] = ()) -> None:
        self.path = path
        self._records = {(record.subject, record.name): record for record in records}

    @classmethod
    def read(cls, root: Path = ROOT) -> Proof:
        """Read the proof of the checkout at `root`; no file means no proof.

        What is about files that are gone is left out. Raises HandbookError when the file can't be understood, so that a
        damaged one never shows as "not run".
        """
        path = root / ".cache" / "proof.json"
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            records = [_record(entry) for entry in data["records"]] if data["format"] in READ else []
        except FileNotFoundError:
            return cls(path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"{path}: can't be read as proof ({error!r}); remove it and run the tests again"
            raise HandbookError(message) from None
        there = (record for record in records if any((root / place / record.subject).exists() for place in _PLACES))
        return cls(path, (record for record in there if not record.probes or (root / record.name).exists()))

    def write(self) -> None:
        """Write all records in one step: a reader sees the old file or the new one.

        Raises HandbookError when it can't be written.
        """
        records = [asdict(self._records[key]) for key in sorted(self._records)]
        beside = self.path.with_suffix(f".{os.getpid()}.tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(json.dumps({"format": FORMAT, "records": records}, indent=1) + "\n", encoding="utf-8")
            beside.replace(self.path)
        except OSError as error:
            raise HandbookError(f"{self.path}: the proof can't be written: {error.strerror}") from None

    def add(self, record: Record) -> None:
        """Put a record in the place of the older one of the same subject and name."""
        self._records[record.subject, record.name] = record

    def get(self, subject: str, name: str) -> Record | None:
        """Return the record of one check of one snippet, or of the boot of one stack by one module of tests."""
        return self._records.get((subject, name))

    def boots(self) -> list[Record]:
        """The records of stacks, by the stack and the module of tests that booted it."""
        found = (record for record in self._records.values() if record.probes)
        return sorted(found, key=lambda record: (record.subject, record.name))

    def acted(self) -> list[Record]:
        """The records of who acted on the objects of a folder, by the folder."""
        return sorted((record for record in self._records.values() if record.name == ACTED), key=lambda r: r.subject)

    def boots_of(self, path: str, content: str) -> list[Record]:
        """The boots, good or bad, that ran with the snippet at `path` as it is now; `content` is its digest."""
        return [record for record in self.boots() if record.files.get(path) == content]


@contextmanager
def changing(root: Path = ROOT) -> Iterator[Proof]:
    """The proof of a checkout, which is written when the `with` block ends well. Other processes wait meanwhile.

    Raises what `Proof.read` and `Proof.write` raise.
    """
    folder = root / ".cache"
    folder.mkdir(exist_ok=True)
    with (folder / "proof.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        proof = Proof.read(root)
        yield proof
        proof.write()


def _record(entry: dict[str, Any]) -> Record:
    probes = tuple(Outcome(**probe) for probe in entry.pop("probes"))
    return Record(**entry, probes=probes)


def digest(*parts: str | bytes) -> str:
    """Return one SHA-256 over `parts`; their borders count, so ("ab", "c") differs from ("a", "bc")."""
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, "big") + data)
    return whole.hexdigest()


def digests(root: Path, paths: Iterable[str]) -> dict[str, str]:
    """Map each of `paths` (relative to `root`) to the digest of its content."""
    return {path: digest((root / path).read_bytes()) for path in paths}


def walked(root: Path) -> list[str]:
    """The names of all that is booted: the folders below `snippets/` that hold a walkthrough, without faults."""
    folder = root / "snippets"
    names = (path.parent.relative_to(folder).as_posix() for path in folder.rglob("walkthrough.sh"))
    return sorted(name for name in names if not name.startswith("faults/"))


def modules(root: Path, stack: str) -> tuple[str, ...]:
    """The modules of tests that boot a stack, as paths: they are named after its folder, with more words behind it."""
    longer = [f"{_slug(name)}_" for name in walked(root) if _slug(name).startswith(f"{_slug(stack)}_")]
    return tuple(
        f"{folder}/{path.name}"
        for folder in BOOTS
        for path in sorted((root / folder).glob(f"test_{_slug(stack)}*.py"))
        if f"{path.stem}_".startswith(f"test_{_slug(stack)}_")
        and not any(f"{path.stem}_".startswith(f"test_{other}") for other in longer)
    )


def _slug(stack: str) -> str:
    return stack.replace("/", "_").replace("-", "_")


@dataclass(frozen=True)
class Booted:
    """What the site says of one stack: its state, and for each module of tests that boots it the record, if any."""

    stack: str
    state: State
    modules: tuple[tuple[str, Record | None], ...]

    @property
    def records(self) -> list[Record]:
        """The records that there are."""
        return [record for _, record in self.modules if record]


@dataclass(frozen=True)
class Kept:
    """What the site says of one contract: its name, the module that it stands in, its state, and the record, if any."""

    name: str
    module: str
    state: State
    record: Record | None


@dataclass(frozen=True)
class Checked:
    """What the site says of one check: how many files are in which state by it, and its newest record, if any."""

    name: str
    states: Mapping[State, int]
    last: Record | None

    @property
    def state(self) -> State:
        """The state of all its files together."""
        return _worst(self.states)

    @property
    def files(self) -> int:
        """How many files it judges."""
        return sum(self.states.values())


def _newest(records: Iterable[Record | None]) -> Record | None:
    return max((record for record in records if record), key=lambda record: record.time, default=None)


def _worst(states: Iterable[State]) -> State:
    """What outweighs the rest; nothing at all is proven."""
    there = set(states)
    worst: tuple[State, ...] = ("failed", "changed", "not run")
    return next((state for state in worst if state in there), "proven")


@dataclass(frozen=True)
class Row:
    """What the site says of one snippet: its state, for each check of its kind the record, if there is one, and the
    boots, good or bad, that ran with it as it is now.
    """

    path: str
    state: State
    checks: tuple[tuple[str, Record | None], ...]
    boots: tuple[Record, ...]

    @property
    def anchor(self) -> str:
        """The id of its row on the Proof page."""
        return "proof-" + "".join(c if c.isalnum() else "-" for c in self.path.removeprefix("snippets/"))

    @property
    def kind(self) -> str | None:
        """The name of its kind. None: no row of the catalog fits its path."""
        kind = kind_of(self.path)
        return kind.name if kind else None

    @property
    def limits(self) -> str:
        """What can't be proven of its kind, and why; empty when all can."""
        kind = kind_of(self.path)
        return kind.limits if kind else ""

    @property
    def booted_in(self) -> tuple[str, ...]:
        """The stacks that booted well with it as it is now."""
        return tuple(dict.fromkeys(record.subject for record in self.boots if record.passed))

    @property
    def last(self) -> Record | None:
        """The newest of all its records."""
        return _newest([*(record for _, record in self.checks), *self.boots])


class Judge:
    """Judges what was proven against the files of the checkout at `root` as they are.

    It reads each file once, so it lives as long as one build of the site.
    """

    def __init__(self, proof: Proof, root: Path) -> None:
        self._proof = proof
        self._root = root
        self._digests: dict[str, str | None] = {}
        self._rows: dict[str, Row] = {}
        self._modules: dict[str, tuple[str, ...]] = {}

    def state_of(self, record: Record | None) -> State:
        """Judge one record: the files that went into it as they are now against those that ran."""
        if record is None:
            return "not run"
        if any(self._digest(path) != content for path, content in record.files.items()):
            return "changed"
        return "proven" if record.passed else "failed"

    def row(self, path: str) -> Row:
        """Judge the snippet at `path` (relative to the root), which is there.

        What a check or a boot said is out of date when any file that went into it has changed. A failure that is not
        out of date outweighs everything else.
        """
        if path not in self._rows:
            self._rows[path] = self._judge(path)
        return self._rows[path]

    def _judge(self, path: str) -> Row:
        kind = kind_of(path)
        found = tuple((check, self._proof.get(path, check)) for check in (kind.checks if kind else ()))
        boots = self._proof.boots_of(path, self._digest(path) or "")
        states = [self.state_of(record) for record in (*(record for _, record in found), *boots)]
        if not found or (kind and kind.boots and not self._booted_whole(path, boots)):
            states.append("not run")
        state = _worst(states)
        if state == "proven" and kind and kind.limits:
            state = "not proven here"
        return Row(path, state, found, tuple(boots))

    def _booted_whole(self, path: str, boots: Sequence[Record]) -> bool:
        """Whether every module of tests that boots the stack of a file has booted it."""
        return bool(boots) and not self.missing(path, boots)

    def missing(self, path: str, boots: Sequence[Record]) -> set[str]:
        """The modules of tests that boot the stack of a file, and are not among `boots`."""
        stack = path.removeprefix("snippets/").rpartition("/")[0]
        return set(self._modules_of(stack)) - {record.name for record in boots if record.subject == stack}

    def booted(self) -> list[Booted]:
        """Judge everything that is booted: it is proven when each of its modules ran whole and passed."""
        found = []
        for stack in sorted({*walked(self._root), *(record.subject for record in self._proof.boots())}):
            known = {record.name: record for record in self._proof.boots() if record.subject == stack}
            names = dict.fromkeys([*self._modules_of(stack), *known])
            ran = tuple((name, known.get(name)) for name in names)
            # What no module boots has not booted.
            states = [self.state_of(record) for _, record in ran] or ["not run"]
            found.append(Booted(stack, _worst(states), ran))
        return found

    def acted(self, folder: str) -> Record | None:
        """The record of who acted on the objects of a folder below `snippets/`, if there is one."""
        return self._proof.get(folder, ACTED)

    def given(self) -> list[Record]:
        """The records of who acted on the objects of each folder that was given to a cluster."""
        return self._proof.acted()

    def contracts(self, modules: Mapping[str, str]) -> list[Kept]:
        """Judge contracts. `modules` maps the name of each to the module that it stands in, as a path."""
        records = ((name, module, self._proof.get(module, name)) for name, module in modules.items())
        return [Kept(name, module, self.state_of(record), record) for name, module, record in records]

    def checks(self, files: Iterable[str]) -> list[Checked]:
        """Judge every check that judges one of `files`, in the order in which the catalog names them."""
        found: dict[str, list[Record | None]] = {}
        for path in files:
            kind = kind_of(path)
            for check in kind.checks if kind else ():
                found.setdefault(check, []).append(self._proof.get(path, check))
        return [
            Checked(check, Counter(map(self.state_of, found[check])), _newest(found[check]))
            for check in checks()
            if check in found
        ]

    def _modules_of(self, stack: str) -> tuple[str, ...]:
        if stack not in self._modules:
            self._modules[stack] = modules(self._root, stack)
        return self._modules[stack]

    def _digest(self, path: str) -> str | None:
        """The digest of a file's content, None when there is no such file."""
        if path not in self._digests:
            try:
                self._digests.update(digests(self._root, [path]))
            except OSError:
                self._digests[path] = None
        return self._digests[path]


def now() -> str:
    """The time of a record: UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def commit(root: Path = ROOT) -> str:
    """The commit that was tested, with `+` behind it when the tree differs from it; "none" before the first one."""

    def git(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)

    head = git("rev-parse", "--short=12", "HEAD")
    if head.returncode:
        return "none"
    return head.stdout.strip() + ("+" if git("status", "--porcelain").stdout else "")
