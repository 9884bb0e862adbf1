"""The request id, one access line a request, and the answer to an exception that nobody caught."""

import logging
import re
import time
from http import HTTPStatus
from urllib.parse import quote
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assistant.logs import request_id
from assistant.problems import problem

# What nginx writes down for a client that left before its answer. A request that the server itself cancels, at the
# end of a stop, cannot be told from it.
CLIENT_CLOSED_REQUEST = 499

SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

logger = logging.getLogger(__name__)


class AccessLog:
    """Keeps the X-Request-ID that a proxy gave, or makes one, and logs the request under it.

    The line leaves out the query string: a search holds what a person typed. gunicorn's own access log knows neither
    the id nor the client behind a proxy, and stays off.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        given = Headers(scope=scope).get("x-request-id", "")
        identity = given if SANE_ID.fullmatch(given) else uuid4().hex
        request_id.set(identity)
        started = time.perf_counter()
        status = None

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = identity
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            log_request(scope, status or CLIENT_CLOSED_REQUEST, time.perf_counter() - started)


class Uncaught:
    """Answers 500 to an exception that nobody caught, and logs it.

    It stands apart from the access log, so that this answer passes through what is between: it is counted, and gets
    the headers without which a browser would hide it from the page.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        begun = False

        async def watched_send(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, watched_send)
        except Exception:
            logger.exception("uncaught exception")
            # An answer that has begun stays incomplete; the server sees it, and closes the connection.
            if not begun:
                response = problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed. The log has the request id.")
                await response(scope, receive, send)


def log_request(scope: Scope, status: int, seconds: float) -> None:
    """Write the access line: health checks that pass only at DEBUG, as they would drown the rest."""
    # ASGI leaves it to the server whether there is a raw path.
    path = (scope.get("raw_path") or quote(scope["path"]).encode()).decode("latin-1")
    passed_check = path.startswith("/health/") and status < 400
    fields = {
        "client": scope["client"][0] if scope["client"] else None,
        "scheme": scope["scheme"],
        "method": scope["method"],
        "path": path,
        "status": status,
        "duration_ms": round(seconds * 1000, 1),
    }
    logger.log(
        logging.DEBUG if passed_check else logging.INFO,
        "%(client)s %(scheme)s %(method)s %(path)s %(status)s %(duration_ms)s ms",
        fields,
        extra=fields,
    )
