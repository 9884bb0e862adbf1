"""Makes versions of the service in the copy of a stack, as a developer does, and runs what releases them."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from handbook import tools
from handbook.stacks import Boot

_LONGEST_SECONDS = 300


@dataclass
class Ran:
    """A command that has ended: its exit code, and each line of what it printed with the time at which it came."""

    began: float
    ended: float = 0.0
    code: int = -1
    lines: list[tuple[float, str]] = field(default_factory=list)

    @property
    def said(self) -> str:
        return "".join(line for _, line in self.lines)

    def when(self, text: str) -> float:
        """The time at which the first line with `text` came. Raises AssertionError when there is none."""
        for moment, line in self.lines:
            if text in line:
                return moment
        raise AssertionError(f"{text!r} was not printed, but:\n{self.said}")


def run(
    boot: Boot, *command: str, env: Mapping[str, str] | None = None, interrupt_at: str = "", after: float = 0
) -> Ran:
    """Run a command where a reader stands; see `watch`."""
    return watch(command, boot.folder, {**boot.env, **(env or {})}, interrupt_at=interrupt_at, after=after)


def watch(
    command: Sequence[str], folder: Path, env: Mapping[str, str], *, interrupt_at: str = "", after: float = 0
) -> Ran:
    """Run a command in a folder, with more in its environment, and note when it printed what.

    With `interrupt_at`, Ctrl-C is pressed `after` seconds from the first line with this text.
    """
    ran = Ran(time.monotonic())
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        for line in process.stdout:
            ran.lines.append((time.monotonic(), line))
            if interrupt_at and interrupt_at in line:
                time.sleep(after)
                # To the whole group, as a terminal does.
                os.killpg(process.pid, signal.SIGINT)
                interrupt_at = ""
        ran.code = process.wait(_LONGEST_SECONDS)
    ran.ended = time.monotonic()
    assert not interrupt_at, f"{interrupt_at!r} was not printed, but:\n{ran.said}"
    return ran


def release(
    boot: Boot, *arguments: str, env: Mapping[str, str] | None = None, interrupt_at: str = "", after: float = 0
) -> Ran:
    return run(boot, "./release.sh", *arguments, env=env, interrupt_at=interrupt_at, after=after)


def release_and_leave(boot: Boot, *arguments: str, at: str) -> Ran:
    """Run `release.sh` in a terminal that is gone as soon as it shows a text, as when a connection breaks."""
    ran = Ran(time.monotonic())
    terminal, its_side = pty.openpty()
    # Under nohup a run of tests ignores that its terminal is gone, and so would the script.
    process = subprocess.Popen(
        [tools.find("env"), "--default-signal=HUP", "setsid", "--ctty", "./release.sh", *arguments],
        cwd=boot.folder,
        env={**os.environ, **boot.env},
        stdin=its_side,
        stdout=its_side,
        stderr=its_side,
    )
    os.close(its_side)
    try:
        while at not in ran.said:
            ran.lines.append((time.monotonic(), os.read(terminal, 4096).decode(errors="replace")))
    except OSError as error:
        # Its side was closed.
        raise AssertionError(f"{at!r} was not printed, but:\n{ran.said}") from error
    finally:
        os.close(terminal)
        ran.code = process.wait(_LONGEST_SECONDS)
    ran.ended = time.monotonic()
    return ran


def version_file(number: str) -> dict[str, str]:
    return {"assistant/__init__.py": f'"""The version of the service."""\n\n__version__ = "{number}"\n'}


def source(boot: Boot) -> Path:
    """The folder of the service that a stack is built from."""
    return boot.folder / "../../service"


def migration(service: Path, name: str, upgrade: str) -> dict[str, str]:
    """A migration that comes after those that are in the folder of the service."""
    folder = service / "migrations" / "versions"
    texts = [path.read_text(encoding="utf-8") for path in folder.glob("*.py")]
    revisions, followed = (
        {found for text in texts for found in re.findall(rf'^{variable} = "(.+)"$', text, re.MULTILINE)}
        for variable in ("revision", "down_revision")
    )
    (head,) = revisions - followed
    text = f"""
        from alembic import op
        revision = "{name}"
        down_revision = "{head}"
        def upgrade() -> None:
            op.execute("{upgrade}")
    """
    return {f"migrations/versions/{name}.py": re.sub(r"^ {8}", "", text, flags=re.MULTILINE)}


def write(service: Path, files: Mapping[str, str]) -> None:
    """Write files of the service, given by their path below it."""
    for name, text in files.items():
        (service / name).write_text(text, encoding="utf-8")


@contextlib.contextmanager
def changed(service: Path, files: Mapping[str, str]) -> Iterator[None]:
    """Write files of the service, and put what was there before back at the end."""
    paths = [service / name for name in files]
    before = {path: path.read_text(encoding="utf-8") if path.exists() else None for path in paths}
    write(service, files)
    try:
        yield
    finally:
        for path, old in before.items():
            _put(path, old)


def _put(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink()
    else:
        path.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Running:
    """Which containers run, by their service, and which image each service runs."""

    ids: Mapping[str, frozenset[str]]
    versions: Mapping[str, frozenset[str]]
    health: Mapping[str, frozenset[str]]


def running(boot: Boot) -> Running:
    """What there is of replicas, worker and beat now, also of what has ended."""
    ids: dict[str, set[str]] = {}
    versions: dict[str, set[str]] = {}
    health: dict[str, set[str]] = {}
    for name in ("service", "worker", "beat"):
        found = boot.containers(name)
        ids[name] = {container["Id"] for container in found}
        versions[name] = {container["Config"]["Image"].rpartition(":")[2] for container in found}
        health[name] = {container["State"]["Health"]["Status"] for container in found}
    frozen = [{name: frozenset(values) for name, values in found.items()} for found in (ids, versions, health)]
    return Running(*frozen)


def images(boot: Boot) -> set[str]:
    """The versions of the service's image that are there."""
    repository = boot.built_image("service").partition(":")[0]
    listed = tools.run(["docker", "image", "ls", "--format", "{{.Tag}}", repository])
    return set(listed.stdout.split())


def settings(boot: Boot) -> str:
    """The content of `.env`, if there is one."""
    file = boot.folder / ".env"
    return file.read_text(encoding="utf-8") if file.exists() else ""
