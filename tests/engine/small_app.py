"""An ASGI application that answers with the number of its process: at once, after a wait, or while it blocks."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

time.sleep(float(os.environ.get("IMPORT_SECONDS", "0")))


class App:
    """What gunicorn.conf.py expects of an application is its `state.readiness`."""

    state = SimpleNamespace(readiness=SimpleNamespace(stopping=None))

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": f"{message['type']}.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        seconds = float(parse_qs(scope["query_string"].decode()).get("seconds", ["0"])[0])
        if scope["path"] == "/block":
            time.sleep(seconds)
        if scope["path"] == "/wait":
            await asyncio.sleep(seconds)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(int(seconds * 10) if scope["path"] == "/stream" else 0):
            await send({"type": "http.response.body", "body": b"\n", "more_body": True})
            await asyncio.sleep(0.1)
        await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


app = App()
