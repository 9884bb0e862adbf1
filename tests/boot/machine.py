"""A machine with the assistant on it, as the page of the VM makes it, and a client of it."""

from __future__ import annotations

import json
import re
import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from handbook import proof, tools
from handbook.catalog import ROOT, Catalog
from handbook.host import BASE, DOCKERFILE, Host
from handbook.stacks import HOST, docker_version, find, free_ports, image_ids
from handbook.walkthroughs import steps

from .client import Client, wait_for
from .load import new_clients
from .probes import is_json_line_by_line
from .releases import Ran, watch

STACK = "systemd"
PLACE = "/root/take"
CLIENTS = 3
# The longest that a step may take where others are at work, too.
STEP_SECONDS = 600
_KEPT = "bootproof.local/machine"
SOCKET = "/run/assistant/api-1.sock"
CREDENTIALS = "/etc/assistant/credentials"
PSQL = "psql --no-psqlrc --tuples-only --no-align --set=ON_ERROR_STOP=1 --dbname=assistant"


def digest(module: Path, *also: str) -> str:
    """One digest of all that decides what a module sees on such a machine; `also` is what else it depends on."""
    helpers = (path for path in module.parent.glob("*.py") if not path.name.startswith("test_"))
    whole = find(STACK, Catalog()).inputs([module, *helpers])
    parts = {**whole, **proof.digests(ROOT, [DOCKERFILE]), **image_ids([BASE])}
    return proof.digest(*(part for item in sorted(parts.items()) for part in item), *also)


class Machine:
    """A host with a copy of the stack, which is mounted where a reader would have put it.

    `folder` is that copy on this machine, `service` the source of the service in it; both may be changed.
    """

    def __init__(self, scratch: Path, of: str = "") -> None:
        self.scratch = scratch
        self.folder = find(STACK, Catalog()).unpack(scratch / "copy")
        self.service = self.folder / "../service"
        copied = (path.removeprefix("snippets/") for path in find(STACK, Catalog()).files)
        digests = proof.digests(scratch / "copy", copied)
        self.files = {f"snippets/{path}": content for path, content in digests.items()}
        ports = dict(zip((80, 443), free_ports(), strict=False))
        self.host = Host(of, folders={scratch / "copy": PLACE}, ports=ports)
        self.keys: list[str] = []
        self.ran: dict[str, CompletedProcess[str]] = {}
        self.operated: set[str] = set()

    def run(self, script: str, *, check: bool = True, timeout: float = 600) -> CompletedProcess[str]:
        """Run a script as root where a reader stands. Raises HandbookError when it fails, unless told not to."""
        return self.host.run(script, cwd=f"{PLACE}/{STACK}", check=check, timeout=timeout)

    def until(self, name: str) -> CompletedProcess[str]:
        """Run the steps of the walkthrough up to and with `name` that have not run yet; return what it printed."""
        all_steps = steps(self.folder / "walkthrough.sh")
        for step in all_steps[: [step.name for step in all_steps].index(name) + 1]:
            if step.name not in self.ran:
                self.ran[step.name] = self.run(self._functions(step.name) + step.text, timeout=STEP_SECONDS)
        return self.ran[name]

    @property
    def left(self) -> list[str]:
        """The steps of the walkthrough that have not run."""
        return [step.name for step in steps(self.folder / "walkthrough.sh") if step.name not in self.ran]

    def operate(self, name: str, *, check: bool = True) -> CompletedProcess[str]:
        """Run the paragraph of `operate.sh` of that name. Raises KeyError when there is none."""
        self.operated.add(name)
        return self.run(self.paragraphs[name], check=check)

    @property
    def paragraphs(self) -> dict[str, str]:
        """The paragraphs of `operate.sh` by their names."""
        return {step.name: step.text for step in steps(self.folder / "operate.sh")}

    def release(self, *arguments: str, env: Mapping[str, str] | None = None) -> Ran:
        """Run `release.sh`, and note when it printed what."""
        told = [f"--env={name}={value}" for name, value in (env or {}).items()]
        within = ["docker", "exec", *told, f"--workdir={PLACE}/{STACK}", self.host.name]
        return watch([*within, "./release.sh", *arguments], self.folder, {})

    def sql(self, statement: str) -> str:
        """Return what a statement of the superuser yields, one row a line."""
        return self.host.run(f"runuser --user=postgres -- {PSQL} --command={shlex.quote(statement)}").stdout.strip()

    def show(self, unit: str, name: str) -> str:
        """A property of a unit, as systemd tells it."""
        return self.host.run(f"systemctl show --value --property={name} {shlex.quote(unit)}").stdout.strip()

    def main_pid(self, unit: str) -> int:
        return int(self.show(unit, "MainPID"))

    def release_of(self, unit: str) -> str:
        """The folder of the release that a unit's main process runs, by the process itself."""
        return self.host.run(f"readlink /proc/{self.main_pid(unit)}/cwd", check=False).stdout.strip()

    def journal(self, unit: str, *options: str) -> str:
        """What a unit, or several by a pattern, has written."""
        command = f"journalctl --no-pager --output=cat --unit={shlex.quote(unit)}"
        return self.host.run(f"{command} {' '.join(options)}").stdout

    def lines(self, of: str) -> list[dict[str, Any]]:
        """What "nginx" or the "service" has logged, each line of which has to be JSON."""
        if of == "nginx":
            # The newest last.
            text = self.host.run("cat $(ls --reverse /var/log/assistant/access.log{,.1} 2>/dev/null)").stdout
        else:
            # Not what systemd says about the units.
            units = " ".join(f"_SYSTEMD_UNIT=assistant-api@{instance}.service" for instance in (1, 2))
            text = self.host.run(f"journalctl --no-pager --output=cat {units}").stdout
        return is_json_line_by_line(of, text)

    def deep_health(self) -> tuple[int, dict[str, Any]]:
        """The status of deep health, and what it says, asked from inside."""
        ask = f"curl --silent --write-out '\\n%{{http_code}}' --unix-socket {SOCKET} http://localhost/health/deep"
        text, _, status = self.host.run(ask).stdout.rpartition("\n")
        return int(status), json.loads(text)

    def add_clients(self) -> list[str]:
        """Add clients to those that instances know when they start next, and return their keys."""
        keys, lines = new_clients(CLIENTS)
        self.host.run(f"printf %s {shlex.quote(lines)} >>{CREDENTIALS}/api_keys")
        return keys

    @cached_property
    def client(self) -> Client:
        """A client from outside, with the operator's key."""
        ca = self.scratch / "ca.crt"
        ca.write_text(self.host.run("cat /etc/assistant/ca/ca.crt").stdout, encoding="utf-8")
        key = self.host.run(f"cat {CREDENTIALS}/api_key").stdout.strip()
        return Client(self.host.ports[80], self.host.ports[443], ca, key, HOST)

    def wait_until_it_serves(self) -> None:
        """Wait until an instance is ready, asked from outside."""
        wait_for(lambda: self.client.get("/health/ready").status_code == 200, "the service is ready")

    def _functions(self, step: str) -> str:
        """What earlier steps have defined for this one: each step runs in a shell of its own, readers have one."""
        defined = ""
        for earlier in steps(self.folder / "walkthrough.sh"):
            if earlier.name == step:
                break
            defined += "".join(re.findall(r"^\w+\(\) \{\n.*?^\}\n", earlier.text, re.MULTILINE | re.DOTALL))
        return defined


def claim(boots: Callable[..., None], machine: Machine, seconds: float) -> None:
    """Say in the proof what runs, and how many seconds it took from nothing to serving."""
    boots(
        STACK,
        tool=f"docker {docker_version()}",
        seconds=seconds,
        digest=find(STACK, Catalog()).digest(),
        files=machine.files,
        images={BASE: "the host of scripts/host/Dockerfile"},
    )


@contextmanager
def fresh() -> Iterator[Machine]:
    """A fresh host with a copy of the stack; nothing is installed yet."""
    with tempfile.TemporaryDirectory(prefix="bootproof-") as scratch:
        machine = Machine(Path(scratch).resolve())
        with machine.host:
            yield machine


@contextmanager
def installed() -> Iterator[Machine]:
    """A machine with the first release of the service, which serves.

    It is made once for the same files, and kept as an image.
    """
    with tempfile.TemporaryDirectory(prefix="bootproof-") as scratch:
        machine = Machine(Path(scratch).resolve(), kept_image())
        with machine.host:
            machine.wait_until_it_serves()
            yield machine


def kept_image() -> str:
    """Return the name of the image of an installed machine, which is made when it is not there."""
    name = _name()
    if not is_kept():
        with fresh() as machine:
            machine.until("release-the-first-version")
            keep(machine)
    return name


def is_kept() -> bool:
    """Whether there is an image of a machine with the same files."""
    return tools.run(["docker", "image", "inspect", _name()]).returncode == 0


def keep(machine: Machine) -> None:
    """Keep an installed machine as an image, in the place of older ones, and start it again."""
    # What its disks would hold after a proper shutdown.
    own = "assistant.target 'assistant-*.service'"
    machine.host.run(f"systemctl stop {own} redis-server@broker.service postgresql@17-main.service && sync")
    machine.host.keep(_name())
    machine.host.run("systemctl start postgresql@17-main redis-server@broker assistant-provider assistant.target")
    machine.wait_until_it_serves()
    listed = tools.run(["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", _KEPT]).stdout.split()
    for other in {*listed} - {_name()}:
        tools.run(["docker", "image", "rm", other])


def _name() -> str:
    """The name of the image, which the files decide that go into it."""
    stack = find(STACK, Catalog())
    whole = {**stack.digests(), **proof.digests(ROOT, [DOCKERFILE]), **image_ids([BASE])}
    return f"{_KEPT}:{proof.digest(*(part for item in sorted(whole.items()) for part in item))[:12]}"
