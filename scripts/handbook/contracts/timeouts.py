"""One ladder of time limits: who asks waits longer than who answers, so that the one who knows says what went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from handbook.contracts import Wrong, contract, place
from handbook.facts import Fact
from handbook.facts.deployment import Deployment, Proxy

STATEMENT, REQUEST = "database_statement_timeout_seconds", "request_timeout_seconds"
POOL, CONNECT = "database_pool_timeout_seconds", "database_connect_timeout_seconds"
# How long a stream may take, where there is one, and how long it may be silent.
ANSWER, HEARTBEAT = "answer_timeout_seconds", "heartbeat_seconds"


@contract
def ladder(deployment: Deployment) -> Iterator[Wrong]:
    """Statement < request < answer < graceful stop; request and worker timeout < the proxy's read timeout.

    https://gunicorn.org/reference/settings/#timeout and #graceful_timeout,
    https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_read_timeout,
    https://www.postgresql.org/docs/18/runtime-config-client.html#GUC-STATEMENT-TIMEOUT
    """
    service = deployment.service
    missing = [field for field in (STATEMENT, REQUEST) if service.number(field) is None]
    for field in missing:
        yield Wrong(service.workload.name, f"nothing sets {field.upper()}", "set it")
    if missing:
        return
    fields = (STATEMENT, REQUEST, ANSWER)
    steps: list[tuple[str, Fact[float]]] = [
        *((field.upper(), value) for field in fields if (value := service.number(field))),
        ("gunicorn's graceful_timeout", service.server_number("graceful_timeout")),
    ]
    for (low, lower), (high, higher) in pairwise(steps):
        if lower.value >= higher.value:
            yield _too_long(low, lower, high, higher)
    # How long a stuck process is left alone: the proxy shall not give up before somebody has found out.
    stuck = service.server_number("timeout")
    for read in _read_timeouts(deployment):
        for low, lower in (steps[1], ("gunicorn's timeout", stuck)):
            if lower.value >= read.value:
                yield _too_long(low, lower, "proxy_read_timeout", read)


@contract
def stop(deployment: Deployment) -> Iterator[Wrong]:
    """What has begun may end before its process is killed: in the service, and in the proxy before it.

    https://docs.docker.com/reference/compose-file/services/#stop_grace_period,
    https://nginx.org/en/docs/ngx_core_module.html#worker_shutdown_timeout
    """
    service, proxy = deployment.service, deployment.proxy
    for each in deployment.serving:
        graceful = each.server_number("graceful_timeout")
        yield from _below("gunicorn's graceful_timeout", graceful, each.workload.stop_grace_seconds)
    if proxy is None:
        return
    passed = [("proxy_read_timeout", read) for read in _read_timeouts(deployment)]
    if answer := service.number(ANSWER):
        passed.append((ANSWER.upper(), answer))
    grace, shutdown = proxy.workload.stop_grace_seconds, proxy.nginx.shutdown_seconds
    for name, longest in passed:
        if shutdown and longest.value >= shutdown.value:
            yield _too_long(name, longest, "worker_shutdown_timeout", shutdown)
        if shutdown is None:
            yield from _below(name, longest, grace)
    if shutdown:
        yield from _below("worker_shutdown_timeout", shutdown, grace)


@contract
def waits(deployment: Deployment) -> Iterator[Wrong]:
    """What a request may wait for in turn (a place in the pool, a connection, a statement) fits into its own limit.

    A statement that alone is too long is the business of `timeouts.ladder`.

    https://docs.sqlalchemy.org/en/21/core/pooling.html, https://www.postgresql.org/docs/18/libpq-connect.html
    """
    service = deployment.service
    limit = service.number(REQUEST)
    parts = {field: service.number(field) for field in (POOL, CONNECT, STATEMENT)}
    for field, value in parts.items():
        if value is None:
            yield Wrong(service.workload.name, f"nothing sets {field.upper()}", "set it")
    known = [value for value in parts.values() if value]
    total = sum(value.value for value in known)
    statement = parts[STATEMENT]
    if not limit or not statement or len(known) < len(parts) or statement.value >= limit.value:
        return
    if total >= limit.value:
        terms = " + ".join(f"{value.value:g}" for value in known)
        message = f"a request may take {limit.value:g} s, and wait {terms} = {total:g} s for the database"
        yield Wrong(limit, message, "make the waits shorter")


@contract
def connect(deployment: Deployment, proxy: Proxy) -> Iterator[Wrong]:
    """The proxy gives up connecting well before it gives up waiting for an answer, so that it can try a replica.

    https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_connect_timeout
    """
    for _, location in proxy.nginx.passing:
        timeouts = location.timeouts
        connecting, reading = timeouts["proxy_connect_timeout"], timeouts["proxy_read_timeout"]
        if connecting.value >= reading.value:
            yield _too_long("proxy_connect_timeout", connecting, "proxy_read_timeout", reading)


@contract
def keepalive(deployment: Deployment, proxy: Proxy) -> Iterator[Wrong]:
    """The proxy gives up an idle connection before the service closes it: a request sent meanwhile would be lost.

    https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive_timeout,
    https://gunicorn.org/reference/settings/#keepalive
    """
    closes = deployment.service.server_number("keepalive")
    for upstream in proxy.nginx.upstreams.values():
        if upstream.keepalive_seconds.value >= closes.value:
            yield _too_long(
                "the upstream's keepalive_timeout", upstream.keepalive_seconds, "gunicorn's keepalive", closes
            )


def _read_timeouts(deployment: Deployment) -> list[Fact[float]]:
    """How long the proxy waits for an answer that is no stream, each place once."""
    passing = deployment.proxy.nginx.passing if deployment.proxy else []
    streams = {stream.value for stream in deployment.service.code.streams}
    found = (place.timeouts["proxy_read_timeout"] for _, place in passing if place.at.value not in streams)
    return list(dict.fromkeys(found))


def _below(low: str, lower: Fact[float], grace: Fact[float] | None) -> Iterator[Wrong]:
    if grace is None:
        yield Wrong(lower, f"nothing says how long a stop may take, and {low} is {lower.value:g} s", "set it")
    elif lower.value >= grace.value:
        yield _too_long(low, lower, "the time that a stop may take", grace)


def _too_long(low: str, lower: Fact[float], high: str, higher: Fact[float]) -> Wrong:
    message = f"{low} is {lower.value:g} s, and {high} is {higher.value:g} s ({place(higher)})"
    return Wrong(lower, message, f"keep {low} below")


CONTRACTS = (ladder, stop, waits, connect, keepalive)
