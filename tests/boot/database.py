"""Asks the PostgreSQL of a booted stack, and holds a table of it against writers."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from handbook.stacks import Boot

from .client import wait_for
from .containers import execute

PSQL = ("psql", "--username=postgres", "--dbname=assistant", "--no-psqlrc", "--tuples-only", "--no-align")


def sql(boot: Boot, statement: str) -> str:
    """Return what a statement of the superuser yields, one row a line."""
    return execute(boot, "postgres", *PSQL, "--command", statement).strip()


@contextmanager
def held_table(boot: Boot, *, against_readers: bool = False) -> Iterator[Callable[[], None]]:
    """Hold the table of documents against writers until the yielded function is called, at the latest until the end."""
    mode, lock = ("ACCESS EXCLUSIVE", "AccessExclusiveLock") if against_readers else ("SHARE", "ShareLock")
    psql = subprocess.Popen(
        ["docker", "exec", "--interactive", f"{boot.project}-postgres-1", *PSQL],
        env={**os.environ, **boot.env},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert psql.stdin
    psql.stdin.write(f"BEGIN; LOCK TABLE documents IN {mode} MODE;\n")
    psql.stdin.flush()
    locks = f"SELECT count(*) FROM pg_locks WHERE relation = 'documents'::regclass AND mode = '{lock}' AND granted"

    def release() -> None:
        psql.communicate("COMMIT;\n", timeout=30)

    try:
        wait_for(lambda: sql(boot, locks) == "1", "the table is locked")
        yield release
    finally:
        if psql.poll() is None:
            release()


def waits_for_the_table(boot: Boot) -> bool:
    return sql(boot, "SELECT count(*) FROM pg_locks WHERE NOT granted") == "1"


def log_slow_statement(boot: Boot, parameter: str) -> None:
    """Run a statement that the server logs as a slow one, with a parameter, as the service's driver sends them."""
    statements = f"SET log_min_duration_statement = 0; SELECT $1 \\bind '{parameter}' \\g"
    execute(boot, "postgres", "sh", "-c", f"{' '.join(PSQL)} <<'SQL'\n{statements}\nSQL")
