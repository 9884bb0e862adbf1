"""Server-sent events, at a steady pace and for a limited time."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from fastapi.sse import format_sse_event
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

Item = TypeVar("Item")

# A comment, which clients do not see: it tells every proxy between that the stream is alive.
HEARTBEAT = format_sse_event(comment="heartbeat")


class EventStream(StreamingResponse):
    """Sends events as they come, and stops the work behind them as soon as the client goes away.

    Starlette itself waits for the server to say so when something is sent, and gunicorn only cancels the request a few
    seconds later: meanwhile, tokens are paid for that nobody reads.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes]) -> None:
        super().__init__(events, headers={"Cache-Control": "no-store"})
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(self.stream_response(send))
        leaving = asyncio.create_task(self.listen_for_disconnect(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # What goes wrong while events are sent is told; that the client left is no failure.
            sent = sending.done()
            sending.cancel()
            leaving.cancel()
            await asyncio.wait({sending, leaving})
            await self._events.aclose()
        if sent:
            sending.result()


async def paced(items: AsyncGenerator[Item], heartbeat: float, longest: float) -> AsyncGenerator[Item | None]:
    """Yield the items, and None whenever there was none for `heartbeat` seconds.

    Raises TimeoutError after `longest` seconds, and what the items raise.
    """
    end = time.monotonic() + longest
    # It holds no more than one answer, and None at its end.
    queue: asyncio.Queue[Item | None] = asyncio.Queue()

    async def pump() -> None:
        async with aclosing(items):
            async for item in items:
                queue.put_nowait(item)

    # One task takes all items: giving up a wait for the next one would end them.
    pumping = asyncio.create_task(pump())
    pumping.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while (left := end - time.monotonic()) > 0:
            try:
                item = await asyncio.wait_for(queue.get(), min(heartbeat, left))
            except TimeoutError:
                if time.monotonic() < end:
                    yield None
                continue
            if item is None:
                pumping.result()
                return
            yield item
        raise TimeoutError(f"longer than {longest:g} seconds")
    finally:
        pumping.cancel()
        await asyncio.wait({pumping})
