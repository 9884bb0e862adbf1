"""Boots the stack that a module of tests names as `STACK`, by the stack's own walkthrough, and tells how it failed."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_docker.plugin import Services, get_docker_services

from handbook import measured, quiet
from handbook.catalog import ROOT, Catalog
from handbook.findings import HandbookError
from handbook.memory import Watch
from handbook.proof import modules
from handbook.pytest_plugin import RESULTS, module_name
from handbook.stacks import Boot, ComposeStack, docker_version
from handbook.walkthroughs import Walkthrough

from . import inside
from .client import Client, client_of
from .operate import operate
from .probes import Logs, logs_of

BOOT = pytest.StashKey[Boot]()
KEPT = pytest.StashKey[list[Boot]]()
MEMORY = pytest.StashKey[dict[str, dict[str, int]]]()
REPORTED = pytest.StashKey[bool]()
WATCH = pytest.StashKey[Watch]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("KEEP") and (left_out := [item for item in items if item.get_closest_marker("removes")]):
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="module")
def quiet_around() -> Iterator[None]:
    """For a module whose tests look at how long something takes: no test of another process runs beside them."""
    with quiet.measuring():
        yield


@pytest.fixture(scope="module")
def boot(request: pytest.FixtureRequest) -> Iterator[Boot]:
    """The copy of the module's stack in an empty folder; nothing runs yet."""
    keep = bool(os.environ.get("KEEP"))
    with Boot(ComposeStack(request.module.STACK, Catalog()), keep=keep) as prepared, Watch(prepared.project) as watch:
        request.node.stash[BOOT] = prepared
        request.node.stash[WATCH] = watch
        if keep:
            request.config.stash.setdefault(KEPT, []).append(prepared)
        yield prepared
        peaks = request.config.stash.setdefault(MEMORY, {}).setdefault(prepared.stack.name, {})
        peaks.update({service: max(peak, peaks.get(service, 0)) for service, peak in watch.peaks.items()})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    module = item.getparent(pytest.Module)
    watch = module.stash.get(WATCH, None) if module else None
    if watch and item.get_closest_marker("fills"):
        with watch.looking_away():
            return (yield)
    return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for stack, peaks in config.stash.get(MEMORY, {}).items():
        said = ", ".join(f"{service} {peak / 2**20:.0f}" for service, peak in sorted(peaks.items()))
        terminalreporter.write_line(f"memory that stack {stack} needed, in MB: {said or 'can not be seen here'}")
        if peaks:
            measured.saw_memory(stack, peaks)
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
        # One module tells the whole story of a stack; others that boot it stop where they have what they need.
        story = module_name(request.node.nodeid) == modules(ROOT, boot.stack.name)[0]
        left = [step.name for step in walkthrough.steps if story and step.name not in walkthrough.results]
        results = request.config.stash[RESULTS]
        whole = results.ran_whole(results.modules[module_name(request.node.nodeid)])
        assert not (left and whole and not request.session.testsfailed), f"{name}: no test ran {', '.join(left)}"


@pytest.fixture(scope="module")
def started(boot: Boot, walk: Walkthrough, boots: Any) -> Boot:
    """The stack as the walkthrough starts it; says in the proof what ran."""
    walk.until("start-it")
    boots(
        boot.stack.name,
        tool=f"docker {docker_version()}",
        seconds=sum(result.seconds for result in walk.results.values()),
        digest=boot.stack.digest(),
        files=boot.files,
        images={image.name: str(image) for image in boot.images.values()},
    )
    return boot


# What follows asks the stack for production. A module that boots another one has fixtures of its own of these names.


@pytest.fixture(scope="module")
def another_key(boot: Boot, walk: Walkthrough) -> str:
    """The key of another client, made as the page says, before the service reads the hashes."""
    walk.until("prepare")
    operate(boot, "add-an-api-key")
    return (boot.folder / "secrets" / "api_key_of_another").read_text().strip()


@pytest.fixture(scope="module")
def client(started: Boot) -> Client:
    """A client with the operator's key."""
    return client_of(started)


@pytest.fixture(scope="module")
def logs(started: Boot) -> Logs:
    return logs_of(started)


@pytest.fixture(scope="module")
def deep(started: Boot) -> Callable[[], tuple[int, dict[str, Any]]]:
    """Asks for deep health from inside a container of the service."""
    return lambda: inside.deep_health(started.containers("service")[0])


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
