"""A cache may forget and must not grow; a broker must not forget. So they are two servers."""

from __future__ import annotations

from collections.abc import Iterator

from handbook.contracts import Wrong, contract, place
from handbook.facts.deployment import Deployment
from handbook.facts.redis import Redis

CACHE, BROKER = "cache_url", "broker_url"
# How much of a container's memory data may fill. A server that writes a file forks for it, and whatever is changed
# meanwhile exists twice.
MOST, MOST_WITH_A_FILE = 0.75, 0.5


@contract
def asked(deployment: Deployment, redis: list[Redis]) -> Iterator[Wrong]:
    """Each URL in the settings leads to a Redis, on its port, in a network that everybody shares who asks it."""
    for field in (CACHE, BROKER):
        url = deployment.asked(field)
        if url is None:
            yield Wrong(deployment.service.workload.name, f"nothing sets {field.upper()}", "set it")
            continue
        server = deployment.redis_behind(field)
        if server is None:
            known = ", ".join(sorted(name for server in redis for name in server.workload.reachable_as))
            message = f"{field.upper()} asks {url.value.hostname}, and Redis is reached as {known}"
            yield Wrong(url, message, "write a name by which it is reached")
            continue
        port = url.value.port or 6379
        if port != server.port.value:
            message = f"{field.upper()} asks port {port}, {server.workload.name.value} listens on {server.port.value}"
            yield Wrong(url, f"{message} ({place(server.port)})", "write the same port in both")
        for service in deployment.services:
            reads = field in {setting.field for setting in service.settings}
            if reads and not service.workload.meets(server.workload):
                message = f"{service.workload.name.value} and {server.workload.name.value} are in no network together"
                yield Wrong(service.workload.name, message, "put both in one")


@contract
def apart(deployment: Deployment, redis: list[Redis]) -> Iterator[Wrong]:
    """Cache and broker are two servers: one policy, one limit of memory and one file can't be right for both.

    https://redis.io/docs/latest/develop/reference/eviction/
    """
    cache, broker = deployment.redis_behind(CACHE), deployment.redis_behind(BROKER)
    url = deployment.asked(BROKER)
    if url and broker and broker is cache:
        yield Wrong(url, f"{broker.workload.name.value} is cache and broker at once", "give each a server of its own")


@contract
def broker(deployment: Deployment, redis: list[Redis]) -> Iterator[Wrong]:
    """The broker throws nothing away and writes each change to a file on a volume.

    https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/redis.html#key-eviction,
    https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/
    """
    server = deployment.redis_behind(BROKER)
    if server is None or server is deployment.redis_behind(CACHE):
        return
    policy, appends, folder = (server.option(name) for name in ("maxmemory-policy", "appendonly", "dir"))
    if policy.value != "noeviction":
        yield Wrong(policy, f"the broker's policy is {policy.value}: it throws jobs away", "write noeviction")
    if not server.appends:
        yield Wrong(appends, "the broker writes no file of its changes: a restart loses jobs", "write appendonly yes")
    if folder.value not in server.workload.volumes and server.appends:
        message = f"the broker writes to {folder.value}, which no volume holds"
        yield Wrong(server.workload.name, message, "mount a volume there")


@contract
def cache(deployment: Deployment, redis: list[Redis]) -> Iterator[Wrong]:
    """The cache makes room by itself and keeps nothing on disk: all that is in it can be made again."""
    server = deployment.redis_behind(CACHE)
    if server is None or server is deployment.redis_behind(BROKER):
        return
    policy = server.option("maxmemory-policy")
    if not policy.value.startswith(("allkeys-lru", "allkeys-lfu")):
        message = f"the cache's policy is {policy.value}: once it is full, it stays so"
        yield Wrong(policy, message, "write allkeys-lru")
    if server.appends:
        yield Wrong(server.option("appendonly"), "the cache writes a file of its changes", "write appendonly no")
    if server.snapshots:
        yield Wrong(server.option("save"), "the cache writes its data to a file now and then", 'write save ""')
    for volume in server.workload.volumes.values():
        yield Wrong(volume, f"the cache has the volume {volume.value}", "take it away: it has nothing to keep")


@contract
def memory(deployment: Deployment, redis: list[Redis]) -> Iterator[Wrong]:
    """What data may fill stays below what the container gets, with room for buffers and for a fork.

    https://redis.io/docs/latest/operate/oss_and_stack/management/optimization/memory-optimization/
    """
    for server in redis:
        limit, most = server.workload.memory_bytes, server.maxmemory_bytes
        if limit is None:
            message = f"nothing limits the memory of {server.workload.name.value}"
            yield Wrong(server.workload.name, message, "set a limit")
            continue
        if most.value == 0:
            yield Wrong(most, "nothing limits what the data may fill", "set maxmemory")
            continue
        share = MOST_WITH_A_FILE if server.appends or server.snapshots else MOST
        if most.value > share * limit.value:
            message = f"maxmemory is {most.value >> 20} MB of the {limit.value >> 20} MB that the container gets"
            yield Wrong(most, f"{message} ({place(limit)})", f"keep it below {share:.0%}")


CONTRACTS = (asked, apart, broker, cache, memory)
