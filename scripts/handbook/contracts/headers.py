"""What the proxy passes on to the service: who the client is, and each request only once."""

from __future__ import annotations

from collections.abc import Iterator

from handbook.contracts import Wrong, contract
from handbook.facts import Fact
from handbook.facts.deployment import Deployment, Proxy

# What the outermost proxy writes over whatever a client sent.
WRITTEN = {"host": "$host", "x-forwarded-for": "$remote_addr", "x-forwarded-proto": "$scheme"}
# What it may leave out, and may not take from the client.
IF_WRITTEN = {"x-real-ip": "$remote_addr", "x-forwarded-host": "$host"}


@contract
def forwarded(deployment: Deployment, proxy: Proxy) -> Iterator[Wrong]:
    """Every location that passes requests on writes the client's host, address and scheme, over what the client sent.

    A level with one proxy_set_header of its own inherits none, and $proxy_add_x_forwarded_for keeps what was forged:
    https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_set_header
    """
    passing = proxy.nginx.passing
    if not passing:
        at = Fact("", proxy.nginx.path, 1)
        yield Wrong(at, "the proxy passes no request to the service", "add a proxy_pass")
    for _, location in passing:
        for name, value in {**WRITTEN, **IF_WRITTEN}.items():
            sent = location.request_headers.get(name)
            if sent is None and name in IF_WRITTEN:
                continue
            if sent is None:
                message = f"location {location.at.value} does not write the header {name}"
                yield Wrong(location.at, message, "include the headers at this level, too")
            elif sent.value != value:
                yield Wrong(sent, f"the header {name} is {sent.value}", f"write {value}: a client can forge the rest")


@contract
def once(deployment: Deployment, proxy: Proxy) -> Iterator[Wrong]:
    """A request that changes something is never sent to a second server: it could be done twice.

    https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_next_upstream
    """
    for retry in proxy.nginx.retries:
        if "non_idempotent" in retry.value:
            yield Wrong(retry, "a POST is sent again to another server", "take non_idempotent out")


CONTRACTS = (forwarded, once)
