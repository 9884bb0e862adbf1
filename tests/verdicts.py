"""Runs each check once over all its files, and the same check over files that are wrong on purpose."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from handbook import catalog
from handbook.catalog import ROOT
from handbook.checks import inputs, load
from handbook.findings import Finding, HandbookError
from handbook.proof import Proof, digest, digests
from handbook.stacks import ComposeStack, docker_version, engine, image_ids


def names(need: str) -> tuple[str, ...]:
    """Return the checks of the catalog that need `need`."""
    return tuple(name for name in catalog.checks() if need == load(name).NEEDS)


def cases(need: str) -> list[tuple[str, str]]:
    """Return every check that needs `need` with every file of this repository that it judges."""
    own = catalog.Catalog()
    return [(name, path) for name in names(need) for path in own.of_check(name)]


def judge(check: str, path: str, verdicts: Verdicts, proves: Callable[..., None]) -> None:
    """The test of one check of one file: say what it proves, and fail with what the check found."""
    verdict = verdicts.get(check)
    proves(path, check, tool=verdict.tool, seconds=verdict.seconds, files=verdict.files[path])
    found = verdict.of(path)
    assert not found, "\n" + "\n".join(map(str, found))


def with_docker(module: str) -> dict[str, str]:
    """Return, by name, the digests of all that may decide what checks say that need Docker.

    `module` is the `__file__` of the tests that run them. Raises what an image or Docker that can't be had raises.
    """
    own = catalog.Catalog()
    shared = [ROOT / file for file in own.files if file.startswith("tests/") and file.count("/") == 1]
    judged = {path for name in names("docker") for path in own.of_check(name)}
    references = sorted({ref for name in ComposeStack.names(own) for ref in ComposeStack(name, own).references})
    around = engine([Path(module), *shared])
    files = digests(ROOT, {*own.snippets, *judged})
    return {**files, **around, **image_ids(references), "docker": docker_version()}


def one(parts: Mapping[str, str]) -> str:
    """Return one digest of named parts: another name, another content or another place changes it."""
    return digest(*(part for item in sorted(parts.items()) for part in item))


def asked(request: pytest.FixtureRequest, test: str) -> list[str]:
    """Return the checks that the selected tests named `test` in the requesting module ask for, each once."""
    own = (item for item in request.session.items if item.path == request.path)
    calls = (item for item in own if isinstance(item, pytest.Function) and item.originalname == test)
    return list(dict.fromkeys(str(item.callspec.params["check"]) for item in calls))


def slowest_first(checks: Iterable[str], proof: Proof) -> list[str]:
    """Return `checks` in the order in which they are done soonest side by side, by the time that each took before."""
    own = catalog.Catalog()

    def seconds(check: str) -> float:
        records = (proof.get(path, check) for path in own.of_check(check))
        return max((record.seconds for record in records if record), default=0.0)

    return sorted(checks, key=seconds, reverse=True)


@dataclass(frozen=True)
class Verdict:
    """What one run of a check said of its files: with which tool, in how many seconds.

    `files` maps each path to the digests of the files that decide about it, as they were before the tool ran.
    """

    tool: str
    seconds: float
    files: Mapping[str, Mapping[str, str]]
    findings: tuple[Finding, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(self.files)

    def of(self, path: str) -> list[Finding]:
        """Return the findings about the file at `path`, and those about a file that was not given."""
        return [finding for finding in self.findings if finding.path == path or finding.path not in self.paths]


@dataclass(frozen=True)
class Example:
    """A file that a check must judge in a known way: `rule` at `line`, or nothing when `rule` is empty.

    `name` is the file's path in a folder of its own below `snippets/`; `beside` are other files in that folder (one of
    the same name gives way). `mode` is the file's.
    """

    name: str
    text: str
    rule: str = ""
    line: int = 0
    beside: Mapping[str, str] = field(default_factory=dict)
    mode: int = 0o644


def write(root: Path, examples: Sequence[Example]) -> tuple[str, ...]:
    """Write the examples below `root`, each in its own folder, and return the paths of their files."""
    paths = []
    for number, example in enumerate(examples):
        folder = root / "snippets" / f"example{number}"
        for name, text in {**example.beside, example.name: example.text}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        (folder / example.name).chmod(example.mode)
        paths.append((folder / example.name).relative_to(root).as_posix())
    return tuple(paths)


Examples = Mapping[str, Sequence[Example]]
"""For each check what it must accept and what it must find."""


def numbered(examples: Examples) -> list[tuple[str, int]]:
    """Return each example as its check and its place in that check's list."""
    return [(check, number) for check, rows in examples.items() for number in range(len(rows))]


def lacking(examples: Examples, need: str) -> list[str]:
    """Say which checks that need `need` have no good example or no bad one, and which are no such check."""
    wanted = names(need)
    found = [
        f"check {check}: EXAMPLES has no {word} example of it; add one to the list under its name"
        for check in wanted
        for word, is_bad in (("good", False), ("bad", True))
        if not any(bool(row.rule) == is_bad for row in examples.get(check, ()))
    ]
    found += [
        f"check {check}: no kind names it, or it does not need {need!r}; take its examples away"
        for check in examples
        if check not in wanted
    ]
    return found


def judge_example(example: Example, number: int, verdict: Verdict) -> None:
    """The test of the example at `number`: a bad one is found by its rule at its line, a good one is not."""
    path = verdict.paths[number]
    found = verdict.of(path)
    if example.rule:
        assert (path, example.rule, example.line) in [(finding.path, finding.rule, finding.line) for finding in found]
    else:
        assert not found, "\n" + "\n".join(map(str, found))


def believes_no_silence(check: str, examples: Sequence[Example], root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test of a check whose programs are all replaced by one that says nothing and ends with 0.

    It must say so in one message, unless it calls no program at all.
    """
    subprocess.run(["git", "init", "--quiet", root], check=True)
    shutil.copy(ROOT / ".editorconfig", root)
    good = write(root, [example for example in examples if not example.rule])
    silent = shutil.which("true") or ""
    called = []

    def find(program: str = "node") -> str:
        called.append(program)
        return silent

    monkeypatch.setattr("handbook.tools.find", find)
    monkeypatch.setattr("handbook.tools.node", find)
    said = ""
    try:
        load(check).run(root, good)
    except HandbookError as error:
        said = str(error)
    assert bool(said) == bool(called), f"{check} called {', '.join(called) or 'nothing'} and said {said or 'nothing'!r}"
    assert not said or "the end of its output" in said


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
        known = catalog.Catalog(self._root)
        files = {path: digests(self._root, inputs(check, known, path)) for path in self._paths[check]}
        start = time.monotonic()
        findings = tuple(sorted(module.run(self._root, tuple(files))))
        return Verdict(module.version(), round(time.monotonic() - start, 3), files, findings)
