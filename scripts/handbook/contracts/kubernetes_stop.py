"""A stop lets what has begun end: traffic is led away first, then the process ends, then time is up."""

from __future__ import annotations

from collections.abc import Iterator

from handbook.contracts import Wrong, place
from handbook.contracts.kubernetes import rendered
from handbook.facts import Fact, quantities
from handbook.facts.deployment import Service
from handbook.facts.kubernetes import Overlay, Pods

JOB = "job_timeout_seconds"


@rendered
def drains(overlay: Overlay, api: list[tuple[Pods, Service]]) -> Iterator[Wrong]:
    """What answers waits before it stops, and may then end what has begun: preStop + graceful stop < grace period.

    SIGTERM comes at the same time as the news to those who send requests; whoever hears it late would be refused:
    https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
    """
    for pods, service in api:
        grace, graceful = pods.grace_seconds, service.server_number("graceful_timeout")
        sleep = _sleep(pods)
        if sleep is None:
            message = f"{pods.main.name.value} of {pods.object} stops while requests still come"
            yield Wrong(pods.main.name, message, "add lifecycle.preStop.sleep")
        waits = sleep.value if sleep else 0
        if waits + graceful.value >= grace.value:
            message = f"{pods.object} may take {waits} + {graceful.value:g} s to stop ({place(graceful)})"
            hint = f"raise terminationGracePeriodSeconds above: it is {grace.value}"
            yield Wrong(grace, message, hint)


@rendered
def jobs(overlay: Overlay, own: list[tuple[Pods, Service]]) -> Iterator[Wrong]:
    """A worker may end its longest job before it is killed.

    https://docs.celeryq.dev/en/stable/userguide/workers.html#stopping-the-worker
    """
    workers = [(pods, service) for pods, service in own if service.celery_role == "worker"]
    if not workers:
        yield Wrong(overlay.at, "no worker runs here, so nothing is judged", "add one, or take the contract away")
    for pods, service in workers:
        grace, longest, sleep = pods.grace_seconds, service.number(JOB), _sleep(pods)
        waits = sleep.value if sleep else 0
        if longest and waits + longest.value >= grace.value:
            message = f"a job may take {longest.value:g} s ({place(longest)}), and {pods.object} has {grace.value} s"
            yield Wrong(grace, message, "raise terminationGracePeriodSeconds")


def _sleep(pods: Pods) -> Fact[int] | None:
    """How long the hook before a stop waits; None: there is none, or it does not wait."""
    hook = pods.main["lifecycle"]["preStop"]
    if hook["sleep"]["seconds"]:
        return hook["sleep"]["seconds"].fact(quantities.whole)
    words = [word.at for word in hook["exec"]["command"].items()]
    if len(words) == 2 and words[0].value.rpartition("/")[2] == "sleep":
        return words[1].read(quantities.whole)
    return None


CONTRACTS = (drains, jobs)
