"""A job may end before anybody takes it away from its worker."""

from __future__ import annotations

from collections.abc import Iterator

from handbook.contracts import Wrong, contract, place
from handbook.facts import Fact
from handbook.facts.deployment import Deployment, Service

LONGEST, WARNED, VISIBLE = "task_time_limit", "task_soft_time_limit", "visibility_timeout"


@contract
def longest(deployment: Deployment, worker: Service) -> Iterator[Wrong]:
    """A job is warned, then ended, before a stop kills its worker and before the broker gives it to another one.

    Warning < longest job < stop grace, longest job < visibility timeout:
    https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/redis.html#visibility-timeout,
    https://docs.celeryq.dev/en/stable/userguide/workers.html#time-limits
    """
    limit = worker.celery_number(LONGEST)
    if limit is None:
        yield Wrong(worker.workload.name, "nothing limits how long a job may take", f"set {LONGEST}")
        return
    steps: list[tuple[Fact[float] | None, str]] = [
        (worker.workload.stop_grace_seconds, "the time that its worker's stop may take"),
        (worker.celery_number(VISIBLE), VISIBLE),
    ]
    for step, name in steps:
        if step is None:
            yield Wrong(worker.workload.name, f"nothing sets {name}", "set it above the longest job")
        elif limit.value >= step.value:
            message = f"a job may take {limit.value:g} s, and {name} is {step.value:g} s ({place(step)})"
            yield Wrong(limit, message, "keep the job below")
    warned = worker.celery_number(WARNED)
    if warned and warned.value >= limit.value:
        message = f"a job is warned after {warned.value:g} s and ended after {limit.value:g} s ({place(limit)})"
        yield Wrong(warned, message, "warn it earlier")


CONTRACTS = (longest,)
