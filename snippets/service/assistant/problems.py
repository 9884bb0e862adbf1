"""Answers for what went wrong, in the format of RFC 9457."""

import logging
from http import HTTPStatus

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from assistant.logs import request_id

RETRY_AFTER_SECONDS = 5

logger = logging.getLogger(__name__)


def problem(status: HTTPStatus, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a problem document that carries the request id, so that a user's report leads to the log."""
    content = {"title": status.phrase, "status": status, "detail": detail, "request_id": request_id.get()}
    return JSONResponse(content, status, headers, media_type="application/problem+json")


async def invalid_request(request: Request, error: RequestValidationError) -> JSONResponse:
    """The request does not have the form that the route asks for. The answer names the parts, and quotes none."""
    reasons = [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()]
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(reasons))


async def database_unavailable(request: Request, error: Exception) -> JSONResponse:
    """The database cannot be reached, has no free connection, or did not answer in time."""
    logger.warning("database unavailable: %s", str(error).partition("\n")[0])
    return problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The database does not answer at the moment.",
        {"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


async def deadline_exceeded(request: Request, error: Exception) -> JSONResponse:
    """The request took longer than REQUEST_TIMEOUT_SECONDS."""
    logger.warning("request stopped: %s", error)
    return problem(HTTPStatus.GATEWAY_TIMEOUT, "The request took too long and was stopped.")
