"""Hands in jobs, waits for them, and counts what they have stored."""

import uuid
from collections.abc import Callable
from typing import Any

from handbook.stacks import Boot

from .client import Client, wait_for
from .database import sql

Job = dict[str, Any]


def texts(many: int = 3) -> list[str]:
    """Texts that nobody has stored before."""
    return [f"Imported text {uuid.uuid4().hex}" for _ in range(many)]


def hand_in(client: Client, some: list[str], key: str = "") -> Job:
    """Hand in a job, which has to be accepted, and return it."""
    headers = {"Idempotency-Key": key} if key else {}
    answer = client.request("POST", "/v1/jobs", content={"texts": some}, headers=headers)
    assert answer.status_code == 202, answer.text
    job: Job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}", answer.headers
    return job


def now(client: Client, job: Job) -> Job:
    answer = client.get(f"/v1/jobs/{job['id']}")
    assert answer.status_code == 200, answer.text
    current: Job = answer.json()
    return current


def wait_until(client: Client, job: Job, condition: Callable[[Job], object], what: str, seconds: float = 30) -> Job:
    """Return the job as soon as a condition holds for it. It is not asked for often, for each key has a limit."""
    seen: list[Job] = []

    def holds() -> bool:
        seen[:] = [now(client, job)]
        return bool(condition(seen[0]))

    wait_for(holds, f"job {job['id']} {what}", seconds, pause=0.4)
    return seen[0]


def wait_until_done(client: Client, job: Job, seconds: float = 30) -> Job:
    """Return the job when it has ended, which has to be well."""
    ended = wait_until(client, job, lambda job: job["state"] not in ("queued", "running"), "ends", seconds)
    assert (ended["state"], ended["error"], ended["done"]) == ("done", None, ended["total"]), ended
    return ended


def are_stored_once(boot: Boot, some: list[str]) -> None:
    """Each text is one document: not lost, and not stored twice."""
    wanted = ", ".join(f"'{text}'" for text in some)
    found = sql(boot, f"SELECT text FROM documents WHERE text IN ({wanted})").splitlines()
    assert sorted(found) == sorted(some), f"{len(found)} documents of {len(some)} texts, {len(set(found))} different"
