"""Answers for what went wrong, in the format of RFC 9457."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from assistant.logs import request_id

RETRY_AFTER_SECONDS = 5

logger = logging.getLogger(__name__)


def problem(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return a problem document that carries the request id, so that a user's report leads to the log."""
    content = {"title": status.phrase, "status": status, "detail": detail, "request_id": request_id.get()}
    return JSONResponse(content, status, headers, media_type="application/problem+json")


async def http_error(request: Request, error: HTTPException) -> JSONResponse:
    """No such route, no such method, a body that cannot be read: what the framework answers itself."""
    return problem(HTTPStatus(error.status_code), error.detail, error.headers)


async def invalid_request(request: Request, error: RequestValidationError) -> JSONResponse:
    """The request does not have the form that the route asks for. The answer names the parts, and quotes none."""
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(map(reason, error.errors())))


def reason(error: dict[str, Any]) -> str:
    """Say which part of a request is wrong, and why."""
    if error["type"] == "json_invalid":
        return f"body: not valid JSON at character {error['loc'][1]}: {error['ctx']['error']}"
    return f"{'.'.join(map(str, error['loc']))}: {error['msg']}"


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
    logger.warning("request given up: %s", error)
    return problem(HTTPStatus.GATEWAY_TIMEOUT, "The request took too long. What it asked for may have been done.")
