"""Health checks ask what is there, in time, and tell the outside no more than it needs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from handbook.contracts import Wrong, contract
from handbook.facts import Fact
from handbook.facts.deployment import Database, Deployment, Proxy
from handbook.facts.health import HealthCheck
from handbook.facts.nginx import Server
from handbook.facts.workload import Workload

# What tells about dependencies, versions and traffic.
INSIDE_ONLY = ("/health/deep", "/metrics")


@contract
def present(deployment: Deployment, image: Fact[str]) -> Iterator[Wrong]:
    """Whatever keeps running in a container has a health check: start order and releases depend on it.

    The check that an image brings asks the server in it: a worker from the same image needs one of its own.
    https://docs.docker.com/compose/how-tos/startup-order/
    """
    jobs = [job.workload for job in deployment.jobs]
    for workload in deployment.workloads:
        if workload.runs_once or not workload.in_container:
            continue
        brought = deployment.dockerfiles.get(workload.name.value)
        from_image = brought and brought.health and not workload.health_off and workload not in jobs
        if not (workload.health or from_image):
            yield Wrong(workload.name, f"nothing checks the health of {workload.name.value}", "add a health check")


@contract
def paths(deployment: Deployment) -> Iterator[Wrong]:
    """What health checks, walkthroughs and the proxy's exact locations ask is a route, or the proxy's own answer."""
    service = deployment.service
    for asked in _asked_of_service(deployment):
        if not _is_route(deployment, asked.value):
            yield Wrong(asked, f"the service has no route {asked.value}", "ask one that it has")
    for check in service.health:
        if check.module and check.module not in service.code.checks:
            message = f"python -m {check.module} asks nothing that can be read, or is not there"
            yield Wrong(check.test, message, "name a module that asks over HTTP")
    if deployment.proxy:
        yield from _paths_of_proxy(deployment, deployment.proxy)


def _paths_of_proxy(deployment: Deployment, proxy: Proxy) -> Iterator[Wrong]:
    nginx = proxy.nginx
    for _, location in nginx.passing:
        if location.modifier == "=" and not _is_route(deployment, location.at.value):
            yield Wrong(location.at, f"the service has no route {location.at.value}", "name one that it has")
    check = proxy.workload.health
    for request in check.requests if check else ():
        servers = nginx.listening(request.value.address.port or 0)
        if servers and not any(_answers(server, request.value.path) for server in servers):
            yield Wrong(request, f"the proxy does not answer {request.value.path} there", "ask a location that it has")
    for script in deployment.scripts:
        for asked in (request for request in script.requests if request.value.inside is None):
            path = asked.value.path
            public = [s for s in nginx.servers if s.is_public and asked.value.address.host in deployment.hosts]
            if public and not any(_passes(server, path) for server in public):
                yield Wrong(asked, f"the proxy does not pass {path} on", "ask a path that it passes on")


@contract
def inside(deployment: Deployment, proxy: Proxy) -> Iterator[Wrong]:
    """The proxy passes nothing on that tells about dependencies, whatever is put behind the path.

    https://nginx.org/en/docs/http/ngx_http_core_module.html#location: a prefix matches everything that begins with it.
    """
    code = deployment.service.code
    private = [route for route in code.routes if route.value in INSIDE_ONLY]
    for path in set(INSIDE_ONLY) - {route.value for route in private}:
        yield Wrong(code.at, f"the service has no route {path}", "name in this contract what it has instead")
    for route in private:
        for server in proxy.nginx.servers:
            location = server.location(route.value)
            if server.is_public and location and location.passes_to:
                message = f"this location passes {route.value} on to everybody"
                yield Wrong(location.at, message, f"answer it with 404, or pass on exact paths only ({route.path})")


@contract
def timing(deployment: Deployment) -> Iterator[Wrong]:
    """A health check ends before the next one begins, and the command gives up before it is killed.

    https://docs.docker.com/reference/dockerfile/#healthcheck
    """
    for check in _checks(deployment):
        timeout, interval = check.timeout_seconds, check.interval_seconds
        if timeout.value >= interval.value:
            message = f"the check may take {timeout.value:g} s and runs every {interval.value:g} s"
            yield Wrong(timeout, message, "make the timeout shorter than the interval")
        module = deployment.service.code.checks.get(check.module or "")
        if module and module.timeout_seconds and module.timeout_seconds.value >= timeout.value:
            message = f"the command waits {module.timeout_seconds.value:g} s, and is killed after "
            message += f"{timeout.value:g} s without a word"
            yield Wrong(timeout, message, f"give it more than {module.timeout_seconds.path} waits")


@contract
def database(deployment: Deployment, database: Database) -> Iterator[Wrong]:
    """The database is asked over TCP: while it is made, a server answers on the socket only and looks ready.

    https://github.com/docker-library/postgres/blob/master/docker-entrypoint.sh (docker_temp_server_start)
    """
    check = database.workload.health
    if check and "pg_isready" in check.words and not (check.option("host") or "-h" in check.words):
        yield Wrong(check.test, "pg_isready asks the socket, which answers while the database is made", "add --host")


def _checks(deployment: Deployment) -> Iterator[HealthCheck]:
    yield from deployment.service.health
    others: list[Workload] = [w for w in deployment.workloads if w is not deployment.service.workload]
    yield from (workload.health for workload in others if workload.health)


def _asked_of_service(deployment: Deployment) -> Iterator[Fact[str]]:
    """Every path that is asked of the service: by its checks, inside of it, through the proxy or, without one, from
    outside."""
    service = deployment.service
    published = set() if deployment.proxy else {port.value.published for port in service.workload.ports}
    for check in service.health:
        yield from (request.having(request.value.path) for request in check.requests)
        if check.module in service.code.checks:
            yield from service.code.checks[check.module].paths
    for script in deployment.scripts:
        for request in script.requests:
            address = request.value.address
            asks_it = address.host in deployment.hosts or address.port in published
            from_outside = request.value.inside is None and asks_it
            if from_outside or request.value.inside == service.workload.name.value:
                yield request.having(request.value.path)


def _is_route(deployment: Deployment, path: str) -> bool:
    """Whether the service has a route for a path; `{name}` in a route stands for one part, `{name:path}` for many."""
    for route in deployment.service.code.routes:
        parts = re.split(r"\{\w+(:path)?\}", route.value)
        pattern = "".join(
            re.escape(part or "") if index % 2 == 0 else (".+" if part else "[^/]+") for index, part in enumerate(parts)
        )
        if re.fullmatch(pattern, path):
            return True
    return False


def _answers(server: Server, path: str) -> bool:
    location = server.location(path)
    return not location.refuses if location else server.answer is not None and server.answer.value < 400


def _passes(server: Server, path: str) -> bool:
    location = server.location(path)
    return location is not None and location.passes_to is not None


CONTRACTS = (present, paths, inside, timing, database)
