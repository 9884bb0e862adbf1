"""A time limit that holds even when the work does not react to being cancelled."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.routing import APIRoute

Result = TypeVar("Result")

# asyncio itself holds no task: one that was given up could vanish before it has wound up.
running: set[asyncio.Task[Any]] = set()


class DeadlineExceeded(Exception):
    """The work was not done in time. It has been cancelled, and may still be winding up."""


async def within(seconds: float, work: Coroutine[Any, Any, Result]) -> Result:
    """Return the result of the work, or raise DeadlineExceeded after so many seconds.

    asyncio.timeout would wait for cancelled work to end, and psycopg spends up to ten seconds on asking a server that
    hangs to stop a statement.
    """
    task = asyncio.create_task(work)
    running.add(task)
    task.add_done_callback(settle)
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        finished = task.done()
        task.cancel()
    if not finished:
        raise DeadlineExceeded(f"not done within {seconds:g} seconds")
    return task.result()


def settle(task: asyncio.Task[Any]) -> None:
    """Let go of work that has ended."""
    running.discard(task)
    # Nobody awaits work that was given up; without this, asyncio reports its exception as never retrieved.
    if not task.cancelled():
        task.exception()


class DeadlineRoute(APIRoute):
    """A route whose answer must begin within REQUEST_TIMEOUT_SECONDS.

    A router opts in with `APIRouter(route_class=DeadlineRoute)`.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handler_within_deadline(request: Request) -> Response:
            return await within(request.app.state.settings.request_timeout_seconds, handler(request))

        return handler_within_deadline
