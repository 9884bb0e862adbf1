"""What is too much is refused by the proxy and by the service alike, and in the words that a client understands."""

from __future__ import annotations

from collections.abc import Iterator

from handbook.contracts import Wrong, contract, place
from handbook.facts.deployment import Deployment, Proxy

BODY = "max_body_bytes"
TOO_MANY = "429"


@contract
def body(deployment: Deployment, proxy: Proxy) -> Iterator[Wrong]:
    """The proxy takes bodies as large as the service does: one limit, whoever is asked.

    https://nginx.org/en/docs/http/ngx_http_core_module.html#client_max_body_size
    """
    limit = deployment.service.number(BODY)
    if limit is None:
        yield Wrong(deployment.service.workload.name, f"nothing sets {BODY.upper()}", "limit the body there, too")
        return
    for _, location in proxy.nginx.passing:
        size = location.body_bytes
        if size.value != limit.value:
            message = f"the proxy takes bodies of {size.value} bytes, the service of {limit.value:.0f} ({place(limit)})"
            yield Wrong(size, message, "write the same limit in both")


@contract
def requests(deployment: Deployment, proxy: Proxy) -> Iterator[Wrong]:
    """The routes of the API stand behind a limit of requests for each client.

    https://nginx.org/en/docs/http/ngx_http_limit_req_module.html
    """
    for route in deployment.service.code.routes:
        if not route.value.startswith("/v1/"):
            continue
        for server in proxy.nginx.servers:
            location = server.location(route.value) if server.is_public else None
            if location and location.passes_to and "limit_req" not in location.limits:
                message = f"location {location.at.value} passes {route.value} on without limit_req"
                yield Wrong(location.at, message, "limit it there")


@contract
def connections(deployment: Deployment, proxy: Proxy) -> Iterator[Wrong]:
    """Whatever is passed on is limited to some requests at a time for each client, whose bodies wait in one place.

    https://nginx.org/en/docs/http/ngx_http_limit_conn_module.html
    """
    for server, location in proxy.nginx.passing:
        # A named location is reached from one that has counted the request already.
        named = location.modifier == "@"
        if server.is_public and not named and "limit_conn" not in location.limits:
            message = f"location {location.at.value} passes requests on without limit_conn"
            yield Wrong(location.at, message, "limit it there")


@contract
def status(deployment: Deployment, proxy: Proxy) -> Iterator[Wrong]:
    """Who asks too often is told so: 429, and not the 503 of a service that is ill.

    https://nginx.org/en/docs/http/ngx_http_limit_req_module.html#limit_req_status
    """
    for _, location in proxy.nginx.passing:
        for name, limit in location.limits.items():
            answer = location.holding(f"{name}_status").value[0]
            if answer != TOO_MANY:
                at = location.effective.get(f"{name}_status") or limit
                message = f"location {location.at.value} answers {answer} to what is over its {name}"
                yield Wrong(at, message, f"write `{name}_status {TOO_MANY}`")


CONTRACTS = (body, requests, connections, status)
