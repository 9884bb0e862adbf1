"""The database has room for everybody who may come."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from handbook.contracts import Wrong, contract
from handbook.facts import Fact
from handbook.facts.deployment import Database, Deployment, Service
from handbook.facts.quantities import size_bytes, whole
from handbook.facts.workload import Workload

# During a release the old containers still run while the new ones start.
RELEASE = 2

# What a process without a pool may hold: a connection for the lock of its job, and one for the work.
UNPOOLED = 2

# More of the memory than this in shared_buffers is unlikely to help.
MOST_SHARED = 0.4


@contract
def fit(deployment: Deployment, database: Database) -> Iterator[Wrong]:
    """Replicas x processes x (pool + overflow), of workers too, twice for a release, and the reserved ones fit.

    A pool belongs to a process: https://docs.sqlalchemy.org/en/21/core/pooling.html#using-connection-pools-with-multiprocessing;
    https://www.postgresql.org/docs/18/runtime-config-connection.html#GUC-MAX-CONNECTIONS
    """
    service = deployment.service
    size, overflow = service.number("database_pool_size"), service.number("database_pool_overflow")
    if size is None or overflow is None:
        yield Wrong(
            service.workload.name, "nothing limits the pool", "set DATABASE_POOL_SIZE and DATABASE_POOL_OVERFLOW"
        )
        return
    pool = int(size.value + overflow.value)
    terms = [_term(each, pool) for each in deployment.services]
    terms += [(1, f"1 of {workload.name.value}") for workload in _others(deployment, database)]
    reserved = sum(_number(database.flag(f"{kind}reserved_connections")) for kind in ("superuser_", ""))
    terms.append((reserved, f"{reserved} reserved"))
    limit = database.flag("max_connections")
    needed = sum(count for count, _ in terms)
    if needed > _number(limit):
        message = f"{needed} connections may be asked for: {', '.join(said for _, said in terms)}"
        hint = "make the pools smaller or max_connections larger"
        yield Wrong(limit, f"{message}; max_connections is {_number(limit)}", hint)


def _term(service: Service, pool: int) -> tuple[int, str]:
    """How many connections one part may ask for, and how that comes."""
    workload, role = service.workload, service.celery_role
    replicas = workload.replicas.value if workload.replicas else 1
    if workload.runs_once or (workload.command and role != "worker"):
        factors = [1 if workload.runs_once else RELEASE, replicas]
    else:
        factors = [RELEASE, replicas, service.processes, pool if service.pools else UNPOOLED]
    return prod(factors), f"{' x '.join(map(str, factors))} of {workload.name.value}"


def _others(deployment: Deployment, database: Database) -> list[Workload]:
    """What asks the database and does not run the service's code, such as a backup."""
    own = [service.workload for service in deployment.services]
    return [
        workload
        for workload in deployment.workloads
        if workload not in own and database.workload.reachable_as & {v.value for v in workload.environment.values()}
    ]


@contract
def memory(deployment: Deployment, database: Database) -> Iterator[Wrong]:
    """What the database is told to use fits into what it gets.

    https://www.postgresql.org/docs/18/runtime-config-resource.html; an index is built by workers that share
    maintenance_work_mem in /dev/shm: https://github.com/pgvector/pgvector#index-build-time
    """
    limit, shared_memory = database.workload.memory_bytes, database.workload.shm_bytes
    if limit is None:
        yield Wrong(database.workload.name, "nothing limits the memory of the database", "set a limit")
        return
    shared, cache = database.flag("shared_buffers"), database.flag("effective_cache_size")
    if shared.read(size_bytes).value > MOST_SHARED * limit.value:
        yield Wrong(shared, f"shared_buffers of {shared.value} is more than 40 % of the memory", "make it smaller")
    if cache.read(size_bytes).value > limit.value:
        yield Wrong(cache, f"effective_cache_size of {cache.value} is more than the memory", "make it smaller")
    work = database.flag("maintenance_work_mem")
    if shared_memory and work.read(size_bytes).value > shared_memory.value:
        message = f"an index is built in {work.value} of shared memory, and there are {shared_memory.value >> 20} MB"
        yield Wrong(work, message, "raise shm_size, or make it smaller")


def _number(fact: Fact[str]) -> int:
    return fact.read(whole).value


CONTRACTS = (fit, memory)
