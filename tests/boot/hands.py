"""What an operator's hands do to a serving machine, and what is taken back afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from . import jobs, probes
from .client import Client, wait_for
from .machine import CREDENTIALS, Machine

TCP = "--host=127.0.0.1 --username=assistant"


@contextmanager
def edited(machine: Machine, path: str, expression: str) -> Iterator[None]:
    """Change a file of the machine as sed does while a `with` block runs. Its owner and mode stay."""
    machine.run(f"cp --archive {path} /run/edited && sed --in-place {expression!r} {path}")
    changes = machine.run(f"cmp --silent /run/edited {path}", check=False).returncode
    try:
        assert changes, f"{expression} changes nothing in {path}"
        yield
    finally:
        machine.run(f"mv /run/edited {path}")


@contextmanager
def stopped(machine: Machine, *units: str) -> Iterator[None]:
    """Stop units while a `with` block runs, in which something may start them again."""
    machine.run(f"systemctl stop {' '.join(units)}")
    try:
        yield
    finally:
        machine.run(f"systemctl start {' '.join(units)}")


def serves(machine: Machine, instance: int) -> bool:
    """Whether an instance is ready, asked at its own socket."""
    ask = f"curl --fail --silent --unix-socket /run/assistant/api-{instance}.sock http://localhost/health/ready"
    return machine.run(ask, check=False).returncode == 0


def children(machine: Machine, unit: str) -> list[int]:
    """The processes that the main process of a unit has started."""
    return [int(pid) for pid in machine.run(f"pgrep --parent {machine.main_pid(unit)}", check=False).stdout.split()]


def does_all_its_work(machine: Machine, client: Client) -> None:
    """Both instances reach what they ask, and the worker does what it is given."""
    wait_for(lambda: serves(machine, 1) and serves(machine, 2), "both instances serve", 20)
    jobs.wait_until_done(client, jobs.hand_in(client, jobs.texts(1)))
    wait_for(lambda: probes.all_is_well(client, machine.deep_health) is None, "all is well", 20)


def psql(machine: Machine, options: str, statement: str, user: str = "root") -> tuple[int, str]:
    """Whether psql ended well, and what it printed."""
    command = f"runuser --user={user} --whitelist-environment=PGPASSWORD -- psql --no-psqlrc {options}"
    ran = machine.run(
        f"export PGPASSWORD=$(cat {CREDENTIALS}/database_password)\n{command} --command='{statement}'", check=False
    )
    return ran.returncode, ran.stdout + ran.stderr


@contextmanager
def built(machine: Machine, version: str, change: str) -> Iterator[None]:
    """Have a release that is built already: the one that serves, changed by a script that runs in its folder."""
    folder = f"/opt/assistant/releases/{version}"
    machine.run(
        f"mkdir {folder}; cd /opt/assistant/current/\n"
        f"cp --archive .complete $(ls | grep --invert-match venv) {folder}\n"
        f"ln --symbolic $(realpath venv) {folder}/venv\n"
        f'cd {folder}; sed --in-place \'/^__version__ =/ s/".*"/"{version}"/\' assistant/__init__.py; {change}'
    )
    try:
        yield
    finally:
        machine.run(f"rm --recursive --force {folder}")
