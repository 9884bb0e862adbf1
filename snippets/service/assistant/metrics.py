"""What the service counts, and where it is read: GET /metrics, for inside only.

Every label has few values: a label with an id or a path in it would make a new series for each.
"""

import os
import time

from fastapi import APIRouter, Response
from fastapi.routing import iter_route_contexts
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client import generate_latest as expose
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assistant.access import CLIENT_CLOSED_REQUEST

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
OTHER = "other"

REQUESTS = Counter("http_requests", "Requests that have ended", ["method", "route", "status"])
SECONDS = Histogram(
    "http_request_duration_seconds",
    "Time until an answer began; a stream goes on after it",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
)
IN_PROGRESS = Gauge("http_requests_in_progress", "Requests that have not ended", multiprocess_mode="livesum")
SEARCHES = Counter("assistant_searches", "Searches by what the cache had", ["cache"])
REDIS_AWAY = Counter("assistant_redis_away", "Questions to Redis that got no answer", ["server"])

router = APIRouter()


def registry() -> CollectorRegistry:
    """Return what /metrics tells: the sum over all processes where there may be several, else this process.

    Each process of gunicorn puts its counts into files of one folder. Without that, a scrape would tell those of the
    one process that happens to answer it.
    """
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return REGISTRY
    summed = CollectorRegistry()
    MultiProcessCollector(summed)
    return summed


@router.get("/metrics")
def metrics() -> Response:
    return Response(expose(registry()), media_type=CONTENT_TYPE_LATEST)


class Measure:
    """Counts every request and measures how long its answer takes to begin."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        method = scope["method"] if scope["method"] in METHODS else OTHER
        route = template(scope)
        started = time.perf_counter()
        status = CLIENT_CLOSED_REQUEST

        async def measured_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                SECONDS.labels(method, route).observe(time.perf_counter() - started)
            await send(message)

        IN_PROGRESS.inc()
        try:
            await self.app(scope, receive, measured_send)
        finally:
            IN_PROGRESS.dec()
            REQUESTS.labels(method, route, status).inc()


def template(scope: Scope) -> str:
    """Return the path of the route that the request is for, such as /v1/jobs/{id}; "other" when there is none.

    A request that is refused before it is routed has one, too.
    """
    for route in iter_route_contexts(scope["app"].routes):
        if route.path and route.path_regex.match(scope["path"]):
            return route.path
    return OTHER
