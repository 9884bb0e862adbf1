"""The database has room for everybody who may come."""

from __future__ import annotations

from collections.abc import Iterator

from handbook.contracts import Wrong, contract
from handbook.facts import Fact
from handbook.facts.deployment import Database, Deployment
from handbook.facts.quantities import size_bytes, whole

# During a release the old replicas still run while the new ones start.
RELEASE = 2

# More of the memory than this in shared_buffers is unlikely to help.
MOST_SHARED = 0.4


@contract
def fit(deployment: Deployment, database: Database) -> Iterator[Wrong]:
    """Replicas x processes x (pool + overflow), twice for a release, with migrations and the reserved ones, fit.

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
    replicas = service.workload.replicas.value if service.workload.replicas else 1
    processes = int(service.server_number("workers").value)
    pool = int(size.value + overflow.value)
    jobs = sum(job.workload.replicas.value if job.workload.replicas else 1 for job in deployment.jobs)
    reserved = sum(_number(database.flag(f"{kind}reserved_connections")) for kind in ("superuser_", ""))
    limit = database.flag("max_connections")
    needed = RELEASE * replicas * processes * pool + jobs + reserved
    if needed > _number(limit):
        message = (
            f"{needed} connections may be asked for: {RELEASE} x {replicas} replicas x {processes} processes x {pool}"
        )
        message += f" of the pool, {jobs} for jobs, {reserved} reserved; max_connections is {_number(limit)}"
        yield Wrong(limit, message, "make the pools smaller or max_connections larger")


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
