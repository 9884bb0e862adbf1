"""What the service says about itself."""

import asyncio
import platform
import time
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response

from assistant import __version__
from assistant.deadline import within
from assistant.embedder import NAME

# Longer than the waits for a connection of the pool and for a new one, which end with a reason of their own.
DEEP_TIMEOUT_SECONDS = 5

router = APIRouter()


class Readiness:
    """Whether requests should be sent here: from the end of start-up until the server begins to stop.

    It does not follow the database: with the database down every replica would go at once, and nothing would be left
    to answer 503 or the routes that need no database.
    """

    def __init__(self) -> None:
        self.started = False
        self.stopping: Callable[[], bool] = lambda: False

    def __bool__(self) -> bool:
        return self.started and not self.stopping()


@router.get("/health/live")
async def live() -> dict[str, str]:
    """The process answers. An orchestrator restarts it when not."""
    return {"state": "up"}


@router.get("/health/ready")
async def ready(request: Request, response: Response) -> dict[str, str]:
    """Requests are welcome. A load balancer sends them elsewhere when not."""
    if request.app.state.readiness:
        return {"state": "up"}
    response.status_code = 503
    return {"state": "down"}


@router.get("/health/deep")
async def deep(request: Request, response: Response) -> dict[str, Any]:
    """Every dependency, for people and dashboards. It tells versions and errors: keep it away from the public.

    Without its database the service is down; without its cache or its broker it is degraded: slower, with jobs that
    wait, and without its own limits.
    """
    state = request.app.state
    needed = {"postgresql": state.database.server_version, "pgvector": state.database.vector_version}
    useful = {"cache": state.cache.server.version, "broker": state.limiter.server.version}
    checks = needed | useful
    results = dict(zip(checks, await asyncio.gather(*map(examine, checks.values())), strict=True))
    down = {name for name, result in results.items() if result["state"] == "down"}
    if down & needed.keys():
        response.status_code = 503
    # Asking the provider costs money, and its state is in the metrics of the answers.
    results["provider"] = {"state": "not asked", "model": state.settings.provider_model}
    return {"state": "down" if down & needed.keys() else "degraded" if down else "up", "dependencies": results}


async def examine(check: Callable[[], Coroutine[Any, Any, str]]) -> dict[str, Any]:
    """Run one check, which returns a version or raises, and return its state and latency."""
    started = time.perf_counter()
    try:
        outcome = {"state": "up", "version": await within(DEEP_TIMEOUT_SECONDS, check())}
    except Exception as error:
        outcome = {"state": "down", "error": str(error).partition("\n")[0] or type(error).__name__}
    return outcome | {"latency_ms": round((time.perf_counter() - started) * 1000, 1)}


@router.get("/version")
async def version() -> dict[str, str]:
    return {"name": "assistant", "version": __version__, "python": platform.python_version(), "embedder": NAME}
