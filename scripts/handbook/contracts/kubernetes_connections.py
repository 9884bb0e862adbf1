"""The database has room for all pods that may come, in a release too."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from handbook.contracts import Wrong
from handbook.contracts.connections import RELEASE, UNPOOLED
from handbook.contracts.kubernetes import rendered
from handbook.facts import postgres, quantities
from handbook.facts.deployment import Service
from handbook.facts.kubernetes import Overlay, Pods


@rendered
def fit(overlay: Overlay, databases: list[Pods], own: list[tuple[Pods, Service]]) -> Iterator[Wrong]:
    """The most pods x processes x (pool + overflow), workers too, twice for a release, and the reserved ones fit.

    A pool belongs to a process: https://docs.sqlalchemy.org/en/21/core/pooling.html#using-connection-pools-with-multiprocessing;
    https://www.postgresql.org/docs/18/runtime-config-connection.html#GUC-MAX-CONNECTIONS
    """
    for database in databases:
        flags = postgres.flags(database.main.command)

        def number(name: str, database: Pods = database) -> int:
            given = postgres.flags(database.main.command).get(name)
            return given.read(quantities.whole).value if given else int(postgres.DEFAULTS[name])

        terms = [_term(pods, service) for pods, service in own]
        terms += [(1, f"1 of {pods.name.value}") for pods in _others(overlay, database)]
        reserved = number("superuser_reserved_connections") + number("reserved_connections")
        terms.append((reserved, f"{reserved} reserved"))
        needed, limit = sum(count for count, _ in terms), number("max_connections")
        if needed > limit:
            said = ", ".join(text for _, text in terms)
            message = f"{needed} connections may be asked for: {said}; max_connections is {limit}"
            at = flags.get("max_connections") or database.name
            yield Wrong(at, message, "make the pools smaller or max_connections larger")


def _term(pods: Pods, service: Service) -> tuple[int, str]:
    """How many connections one part may ask for, and how that comes."""
    times, role = [1 if pods.runs_once else RELEASE, pods.most.value], service.celery_role
    if not pods.runs_once and (not service.workload.command or role == "worker"):
        size, overflow = service.number("database_pool_size"), service.number("database_pool_overflow")
        pool = int(size.value + overflow.value) if size and overflow and service.pools else UNPOOLED
        times += [service.processes, pool]
    return prod(times), f"{' x '.join(map(str, times))} of {pods.name.value}"


def _others(overlay: Overlay, database: Pods) -> list[Pods]:
    """What asks the database and does not run the service's code, such as a backup."""
    names = {service.name.value for service in overlay.services if database in overlay.behind(service)}
    return [
        pods
        for pods in overlay.pods
        if pods.service is None and names & {value.value for value in pods.main.environment.values()}
    ]


CONTRACTS = (fit,)
