"""Makes proof from pytest's own results, boots nothing twice, and says per level what ran.

A level is a folder of `tests/`. A module of tests that boots something has a function `inputs() -> str`, the digest of
everything that goes into it: when all of its tests passed with the same inputs before, they are not run again
(`FRESH=1` runs them all the same). Proof is written only for what ran to its end: an interrupt, a crash or a selection
(`-k`, one test's id) leaves the older proof as it was.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from handbook import quiet
from handbook.catalog import ROOT
from handbook.findings import HandbookError
from handbook.proof import Outcome, Proof, Record, changing, commit, digest, now


@dataclass
class Module:
    """One module of tests: what was collected of it, what is left out, and what it says that it proves."""

    tests: list[str] = field(default_factory=list)
    negatives: set[str] = field(default_factory=set)
    left_out: bool = False
    ask_inputs: Callable[[], str] | None = None
    inputs: str | None = None
    unchanged: Record | None = None
    stack: str | None = None
    boot: dict[str, Any] | None = None

    def digest(self) -> str | None:
        """All that decides how its tests end: what the module names, and which tests there are."""
        return digest(self.ask_inputs(), *self.tests) if self.ask_inputs else None


@dataclass
class Results:
    """What the session saw."""

    modules: dict[str, Module] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    durations: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    claims: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def ran_whole(self, module: Module) -> bool:
        """Whether every test of the module has an outcome."""
        return not module.left_out and all(test in self.outcomes for test in module.tests)


RESULTS = pytest.StashKey[Results]()


def module_name(nodeid: str) -> str:
    """The module's part of a test's id."""
    return nodeid.partition("::")[0]


def level(nodeid: str) -> str:
    """The folder of `tests/` that a test stands in; the tests that a snippet brings along have its folder's name."""
    parts = Path(module_name(nodeid)).parts
    return parts[1] if len(parts) > 2 else parts[0]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "negative: shows that a probe can fail, and is no probe itself")
    config.stash[RESULTS] = Results()


@pytest.fixture
def proves(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Say what this test proves of a snippet: `proves(path, check, tool=..., seconds=..., files=...)`.

    Of a contract it is the path of its module, and its name. Of objects in a cluster it is their folder, `ACTED`, and
    `acted=...`, who acted on each. `tool` is the tool's name and version, `files` maps each file that went in to the
    digest of its content.
    """
    claims = request.config.stash[RESULTS].claims.setdefault(request.node.nodeid, [])

    def claim(
        path: str,
        check: str,
        *,
        tool: str,
        seconds: float,
        files: Mapping[str, str],
        acted: Mapping[str, str] | None = None,
    ) -> None:
        claims.append(
            {
                "subject": path,
                "name": check,
                "tool": tool,
                "seconds": seconds,
                "digest": digest(tool, *(part for item in sorted(files.items()) for part in item)),
                "files": dict(files),
                "acted": dict(acted or {}),
            }
        )

    return claim


@pytest.fixture(scope="module")
def boots(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Say what this module boots: `boots(stack, tool=..., seconds=..., digest=..., files=..., images=...)`.

    Its tests are the probes. Several modules may boot one stack: each has a record of its own, and the stack is proven
    when all of them passed. `files` maps each file of the copy that ran to its digest, `images` each image to what
    stood for it, `seconds` is the time from nothing to healthy.
    """
    name = module_name(request.node.nodeid)
    module = request.config.stash[RESULTS].modules[name]

    def claim(
        stack: str, *, tool: str, seconds: float, digest: str, files: Mapping[str, str], images: Mapping[str, str]
    ) -> None:
        module.boot = {
            "subject": stack,
            "name": name,
            "tool": tool,
            "seconds": seconds,
            "digest": digest,
            "files": dict(files),
            "images": dict(images),
        }

    return claim


def clearly(hook: Callable[..., None]) -> Callable[..., None]:
    """Let a mistake of the person at the keyboard end the session with its message instead of a traceback."""

    @wraps(hook)
    def wrapped(*arguments: Any, **named: Any) -> None:
        try:
            hook(*arguments, **named)
        except HandbookError as error:
            raise pytest.UsageError(str(error)) from None

    return wrapped


@pytest.hookimpl(trylast=True)
@clearly
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    results = config.stash[RESULTS]
    for item in items:
        module = results.modules.setdefault(module_name(item.nodeid), Module())
        module.tests.append(item.nodeid)
        if item.get_closest_marker("negative"):
            module.negatives.add(item.nodeid)
        module.ask_inputs = getattr(getattr(item, "module", None), "inputs", None)
        module.stack = getattr(getattr(item, "module", None), "STACK", None)
    if config.option.collectonly:
        return
    # A selection by id or by what failed before leaves tests out without telling anybody.
    selected = any("::" in argument for argument in config.args) or getattr(config.option, "lf", False)
    proof = Proof.read(ROOT)
    for name, module in results.modules.items():
        module.left_out |= selected
        if module.left_out:
            continue
        module.inputs = module.digest()
        before = proof.get(name, "run")
        if before and before.passed and before.digest == module.inputs and not os.environ.get("FRESH"):
            module.unchanged = before
    unchanged = {test for module in results.modules.values() if module.unchanged for test in module.tests}
    if unchanged:
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in unchanged])
        items[:] = [item for item in items if item.nodeid not in unchanged]


def pytest_deselected(items: Iterable[pytest.Item]) -> None:
    for item in items:
        item.config.stash[RESULTS].modules.setdefault(module_name(item.nodeid), Module()).left_out = True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol() -> Iterator[None]:
    """Wait while another process of tests measures, before the clock of a test runs."""
    with quiet.running():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report: pytest.TestReport = yield
    results = item.config.stash[RESULTS]
    results.durations[report.nodeid] += report.duration
    # A teardown that fails after a test that passed makes it failed: what it left behind is part of the verdict.
    decides = report.when == "call" or report.outcome != "passed"
    if decides and results.outcomes.get(report.nodeid) != "failed":
        results.outcomes[report.nodeid] = report.outcome
    return report


def records(results: Results, before: Proof) -> Iterable[Record]:
    """Turn what the session saw into records; `before` is what was known."""
    where = {"commit": commit(ROOT), "time": now()}
    for test, claims in results.claims.items():
        if test in results.outcomes:
            for claim in claims:
                yield Record(**claim, passed=results.outcomes[test] == "passed", **where)
    for name, module in results.modules.items():
        if not results.ran_whole(module):
            continue
        passed = all(results.outcomes[test] == "passed" for test in module.tests)
        probes = tuple(
            Outcome(test.partition("::")[2], results.outcomes[test] == "passed", round(results.durations[test], 2))
            for test in module.tests
            if test not in module.negatives
        )
        known = before.get(module.stack, name) if module.stack else None
        if module.boot:
            yield Record(**module.boot, passed=passed, probes=probes, **where)
        elif known and not passed:
            # It failed before it could say what it boots. That it was well at another time does not count any more.
            yield replace(known, passed=False, probes=probes, **where)
        # A file that was edited while the tests ran may not be the one that they saw.
        if module.inputs and module.inputs == module.digest():
            yield Record(name, "run", f"{len(module.tests)} tests", passed, 0.0, module.inputs, **where)


@pytest.hookimpl(trylast=True)
@clearly
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    results = session.config.stash[RESULTS]
    if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        with changing(ROOT) as proof:
            for record in list(records(results, proof)):
                proof.add(record)
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and any(m.unchanged for m in results.modules.values()):
        session.exitstatus = pytest.ExitCode.OK
    if exitstatus == pytest.ExitCode.OK and "skipped" in results.outcomes.values():
        # What did not run is not proven: no test of this handbook may be skipped in silence.
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    results = config.stash[RESULTS]
    levels: dict[str, Counter[str]] = {}
    notes: dict[str, list[str]] = {}
    for name, module in results.modules.items():
        counts = levels.setdefault(level(name), Counter())
        if module.unchanged:
            counts["unchanged"] += len(module.tests)
            notes.setdefault(level(name), []).append(f"{Path(name).stem} as at {module.unchanged.time}")
        else:
            counts.update(results.outcomes.get(test, "not run") for test in module.tests)
    terminalreporter.section("levels")
    for name, counts in sorted(levels.items()):
        said = ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
        seconds = sum(taken for test, taken in results.durations.items() if level(test) == name)
        reused = f" (not booted again: {'; '.join(notes[name])}; FRESH=1 does)" if name in notes else ""
        terminalreporter.write_line(f"{name:8} {said} in {seconds:.1f} s{reused}")
