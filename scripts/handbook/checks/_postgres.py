"""A Postgres of the stack's image for one check, gone when the check ends."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

from handbook import images, tools
from handbook.checks._compose import image_of
from handbook.checks._docker import container, must
from handbook.findings import HandbookError

POSTGRES = ("postgres", "pgvector")
"""Words in the names of images that hold a Postgres."""

_SECONDS = 60


@contextlib.contextmanager
def postgres(root: Path) -> Iterator[str]:
    """Start the Postgres that the stacks under `root` name, without a way to it from outside; yield its container.

    Raises HandbookError when it does not answer within a minute, with the end of its log.
    """
    reference = image_of(root, *POSTGRES)
    image = images.ensure([reference])[reference]
    # Nothing here has to outlive a crash, so nothing has to reach the disk.
    server = ["postgres", "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
    options = ["--network", "none", "--env", "POSTGRES_HOST_AUTH_METHOD=trust"]
    with container(image.local, options=options, command=server) as name:
        _wait(name)
        yield name


def _wait(name: str) -> None:
    """Wait for the server: while the image sets the cluster up it answers on its socket only."""
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        ready = tools.run(["docker", "exec", name, "pg_isready", "--quiet", "--host=127.0.0.1"])
        if ready.returncode == 0:
            return
        time.sleep(0.2)
    log = tools.run(["docker", "logs", "--tail", "15", name])
    raise HandbookError(f"Postgres did not answer within {_SECONDS} s:\n{log.stdout}{log.stderr}")


def psql(name: str, script: str, *, database: str = "postgres") -> CompletedProcess[str]:
    """Run a script as the superuser; it ends with 3 at the first error."""
    options = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--username=postgres", f"--dbname={database}"]
    return tools.run(["docker", "exec", "--interactive", name, "psql", *options, "--file=-"], input=script)


def create_database(name: str, database: str, *, owner: str) -> None:
    """Make a role that is no superuser and a database of its own, with what only a superuser may install."""
    script = f"CREATE ROLE {owner} LOGIN;\nCREATE DATABASE {database} OWNER {owner};\n"
    must(psql(name, script), "the creation of a database")
    must(psql(name, "CREATE EXTENSION vector;\n", database=database), "the creation of the extension")
