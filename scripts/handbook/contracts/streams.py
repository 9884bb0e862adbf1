"""An answer that comes in parts reaches the client as it comes, and nothing else is treated like one."""

from __future__ import annotations

from collections.abc import Iterator

from handbook.contracts import Wrong, contract, place
from handbook.contracts.timeouts import ANSWER, HEARTBEAT
from handbook.facts.deployment import Deployment, Proxy
from handbook.facts.nginx import Location

EVENTS = "text/event-stream"


@contract
def passed_on(deployment: Deployment, proxy: Proxy) -> Iterator[Wrong]:
    """Where a route streams, the proxy neither buffers nor compresses, and it buffers everywhere else.

    https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering: without a buffer a slow client keeps the
    service busy, so a stream has an exact location of its own.
    """
    limit = deployment.service.number(ANSWER)
    if limit and not deployment.service.code.streams:
        yield Wrong(limit, "no route streams", "name the class of the answer in the function of the route")
        return
    streamed = {id(location) for location in _streamed(deployment, proxy)}
    for location in _streamed(deployment, proxy):
        buffered, compressed = location.is_buffered, location.compresses(EVENTS)
        if buffered.value:
            message = f"location {location.at.value} keeps the parts of a stream until there are enough of them"
            yield Wrong(buffered, message, "give the stream a location with `proxy_buffering off`")
        if compressed.value:
            yield Wrong(compressed, f"{EVENTS} is compressed, which holds its parts back", "write `gzip off` there")
    for _, location in proxy.nginx.passing:
        buffered = location.is_buffered
        # To one with a name others send what they were asked, a stream too.
        if location.modifier != "@" and id(location) not in streamed and not buffered.value:
            message = f"location {location.at.value} buffers nothing, and no route that it passes on streams"
            yield Wrong(buffered, message, "write it in the location of the stream only")


@contract
def alive(deployment: Deployment, proxy: Proxy) -> Iterator[Wrong]:
    """A stream says something well before the proxy takes its silence for a loss.

    https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_read_timeout
    """
    service = deployment.service
    heartbeat = service.number(HEARTBEAT)
    for location in _streamed(deployment, proxy):
        read = location.timeouts["proxy_read_timeout"]
        if heartbeat is None:
            yield Wrong(service.workload.name, f"nothing sets {HEARTBEAT.upper()}", "set it")
        elif 2 * heartbeat.value >= read.value:
            message = f"{HEARTBEAT.upper()} is {heartbeat.value:g} s, and proxy_read_timeout {read.value:g} s"
            yield Wrong(heartbeat, f"{message} ({place(read)})", "keep it below half of that: one may come late")


def _streamed(deployment: Deployment, proxy: Proxy) -> list[Location]:
    """The locations that the proxy picks for the routes that stream."""
    found: list[Location] = []
    for route in deployment.service.code.streams:
        for server in proxy.nginx.servers:
            location = server.location(route.value)
            if location and location.passes_to and location not in found:
                found.append(location)
    return found


CONTRACTS = (passed_on, alive)
