"""The longest body that is read."""

import asyncio
import contextlib
from http import HTTPStatus

from fastapi.exceptions import HTTPException
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assistant.problems import problem

DRAIN_SECONDS = 2


class BodyLimit:
    """Answers 413 to a body that is longer than the limit, at the latest when so much of it has come.

    FastAPI's max_body_size counts the same way, but stands before all middleware: its answer would have no request id
    and no line in the log.

    What a refusal leaves unread is read and dropped for a moment. A connection that is closed while its client still
    sends is reset, and the client, or a proxy, may lose the answer with it.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit
        self.reason = f"The body is longer than {limit} bytes."

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else {}
        length = headers.get("content-length", "0")
        if length == "0" and "transfer-encoding" not in headers:
            await self.app(scope, receive, send)
            return

        came = 0
        more = True

        async def counted() -> Message:
            nonlocal came, more
            message = await receive()
            more = message.get("more_body", False)
            came += len(message.get("body", b""))
            if came > self.limit:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self.reason)
            return message

        # The number of digits comes first: Python refuses to read very long numbers.
        if len(length) > len(str(self.limit)) or int(length) > self.limit:
            await problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self.reason)(scope, receive, send)
        else:
            await self.app(scope, counted, send)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while more:
                    more = (await receive()).get("more_body", False)
