"""A second, smaller boot of a stack beside the first: of its images, with one replica, and with little room."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

from handbook import tools
from handbook.stacks import Boot

from .client import Client

# A tmpfs is a disk that is quick to fill, and gone afterwards. It belongs to the user of Postgres.
_OVERLAY = """
services:
  nginx:
    ports: !override
      - 127.0.0.1::8443
  service:
    deploy:
      replicas: 1
    environment:
      # So that a database that hangs is not waited for so long.
      REQUEST_TIMEOUT_SECONDS: "6"
volumes:
  database:
    driver_opts:
      type: tmpfs
      device: tmpfs
      o: size=160m,mode=0700,uid=999
"""
ROOM = "/var/lib/postgresql"


@contextmanager
def small_stack(boot: Boot) -> Iterator[Boot]:
    """Start what serves requests under a name of its own, with a database on a small disk, and yield it."""
    overlay = boot.scratch / "small.yaml"
    overlay.write_text(_OVERLAY)
    small = copy.copy(boot)
    small.project = f"{boot.project}-small"
    files = f"{boot.env['COMPOSE_FILE']}:{overlay}"
    small.env = {**boot.env, "COMPOSE_PROJECT_NAME": small.project, "COMPOSE_FILE": files}
    try:
        small.compose("up", "--detach", "--wait", "--wait-timeout", "120", "nginx")
        yield small
    finally:
        small.compose("down", "--volumes", "--timeout", "5")


def client_of(small: Boot, like: Client) -> Client:
    """A client of the small stack, which knows what `like` knows."""
    port = tools.run(["docker", "port", f"{small.project}-nginx-1", "8443"]).stdout.rpartition(":")[2]
    return Client(0, int(port), like.ca, like.key)


def fill_the_disk(small: Boot) -> None:
    filled = tools.run(["docker", "exec", f"{small.project}-postgres-1", "sh", "-c", f"cat /dev/zero >{ROOM}/full"])
    assert "No space left on device" in filled.stderr, filled.stderr


def empty_the_disk(small: Boot) -> None:
    emptied = tools.run(["docker", "exec", f"{small.project}-postgres-1", "rm", f"{ROOM}/full"])
    assert emptied.returncode == 0, emptied.stderr


@contextmanager
def hanging_database(small: Boot) -> Iterator[None]:
    """Let the database not go on for a while: connections stay open, and nobody answers."""
    name = f"{small.project}-postgres-1"
    paused = tools.run(["docker", "pause", name])
    assert paused.returncode == 0, paused.stderr
    try:
        yield
    finally:
        tools.run(["docker", "unpause", name])


def migrate(small: Boot, *command: str) -> tuple[int, str]:
    """Run the migrations, or another command of Alembic, and return the exit code and what is printed.

    In a container of the service, which has the same image and the same settings, and runs already.
    """
    alembic = command or small.stack.services["migrations"]["command"]
    ran = tools.run(["docker", "exec", f"{small.project}-service-1", *alembic])
    return ran.returncode, ran.stdout + ran.stderr
