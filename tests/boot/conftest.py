"""Boots the stack that a module of tests names as `STACK`, by the stack's own walkthrough, and tells how it failed."""

import os
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest
from pytest_docker.plugin import Services, get_docker_services

from handbook.catalog import ROOT, Catalog
from handbook.findings import HandbookError
from handbook.pytest_plugin import RESULTS, module_name
from handbook.stacks import Boot, Stack, docker_version, forget_older_builds
from handbook.walkthroughs import Walkthrough

from .symptoms import Symptom, marked

BOOT = pytest.StashKey[Boot]()
KEPT = pytest.StashKey[list[Boot]]()
REPORTED = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "removes: takes the stack away; left out with KEEP=1")
    config.addinivalue_line("markers", "shows(text): makes the stack show a symptom that its page names")

    # A cancelled CI job gets SIGTERM: what was booted is to be taken down then as after Ctrl-C.
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("KEEP") and (left_out := [item for item in items if item.get_closest_marker("removes")]):
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="module")
def boot(request: pytest.FixtureRequest) -> Iterator[Boot]:
    """The copy of the module's stack in an empty folder; nothing runs yet."""
    keep = bool(os.environ.get("KEEP"))
    with Boot(Stack(request.module.STACK, Catalog()), keep=keep) as prepared:
        request.node.stash[BOOT] = prepared
        if keep:
            request.config.stash.setdefault(KEPT, []).append(prepared)
        yield prepared


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for kept in config.stash.get(KEPT, []):
        terminalreporter.section(f"stack {kept.stack.name}")
        terminalreporter.write_line(kept.addresses())


@pytest.fixture(scope="module")
def docker_compose_command() -> str:
    return "docker compose"


@pytest.fixture(scope="module")
def docker_compose_file(boot: Boot) -> list[str]:
    return [str(boot.folder / "compose.yaml"), str(boot.overlay)]


@pytest.fixture(scope="module")
def docker_compose_project_name(boot: Boot) -> str:
    return boot.project


@pytest.fixture(scope="module")
def docker_setup() -> list[str]:
    """Nothing: the walkthrough starts the stack, as a reader does."""
    return []


@pytest.fixture(scope="module")
def docker_cleanup(boot: Boot) -> list[str]:
    return [] if boot.keep else ["down --volumes --remove-orphans --timeout 5"]


@pytest.fixture(scope="module")
def docker_services(
    docker_compose_command: str,
    docker_compose_file: list[str],
    docker_compose_project_name: str,
    docker_setup: list[str],
    docker_cleanup: list[str],
) -> Iterator[Services]:
    """pytest-docker's services, one stack a module."""
    with get_docker_services(
        docker_compose_command, docker_compose_file, docker_compose_project_name, docker_setup, docker_cleanup
    ) as services:
        yield services


@pytest.fixture(scope="module")
def walk(request: pytest.FixtureRequest, boot: Boot, docker_services: Services) -> Iterator[Walkthrough]:
    """The stack's walkthrough, which tests run step by step: `walk.until("start-it")`."""
    name = f"{boot.stack.folder}/walkthrough.sh"
    with Walkthrough(boot.folder / "walkthrough.sh", cwd=boot.folder, env=boot.env, name=name) as walkthrough:
        yield walkthrough
        left = [step.name for step in walkthrough.steps if step.name not in walkthrough.results]
        whole = not request.config.stash[RESULTS].modules[module_name(request.node.nodeid)].left_out
        assert not (left and whole and not request.session.testsfailed), f"{name}: no test ran {', '.join(left)}"


@pytest.fixture(scope="module")
def started(boot: Boot, walk: Walkthrough, boots: Any) -> Boot:
    """The stack as the walkthrough starts it; says in the proof what ran."""
    walk.until("start-it")
    for service in boot.stack.dockerfiles:
        forget_older_builds(boot.built_image(service))
    boots(
        boot.stack.name,
        tool=f"docker {docker_version()}",
        seconds=sum(result.seconds for result in walk.results.values()),
        digest=boot.stack.digest(),
        files=boot.files,
        images={image.name: str(image) for image in boot.images.values()},
    )
    return boot


@pytest.fixture
def symptom(request: pytest.FixtureRequest) -> Iterator[Symptom]:
    """The symptom that the test is marked with (`@pytest.mark.shows`), which it must have seen when it ends."""
    failed_before = request.session.testsfailed
    expected = marked(request)
    yield expected
    failed = request.session.testsfailed > failed_before
    assert expected.seen or failed, f"{request.node.name} never looked for {expected.text!r}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report: pytest.TestReport = yield
    module = item.getparent(pytest.Module)
    if module is None or not report.failed:
        return report
    first = not module.stash.get(REPORTED, False)
    if call.excinfo and isinstance(call.excinfo.value, HandbookError):
        # Every later test of the story fails with it as well: it is told once, without a traceback.
        message = str(call.excinfo.value)
        report.longrepr = message if first else f"{message.splitlines()[0]} ... (see the first failure)"
    booted = module.stash.get(BOOT, None)
    if first and booted and booted.scratch.exists():
        module.stash[REPORTED] = True
        command = f"KEEP=1 .venv/bin/python -m pytest {module.path.relative_to(ROOT)}"
        report.sections.append((f"stack {booted.stack.name}", booted.report(command)))
    return report
