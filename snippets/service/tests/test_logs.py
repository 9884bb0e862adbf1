import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from assistant import logs

pytestmark = pytest.mark.anyio

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Log as the service does, and read the lines that stdout got so far."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stdout = io.StringIO()
    with redirect_stdout(stdout):
        logs.configure("json", "INFO")
    yield lambda: [json.loads(line) for line in stdout.getvalue().splitlines()]
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_is_an_object_with_a_utc_time(lines: Lines) -> None:
    logging.getLogger("some.library").warning("two\nlines")
    (line,) = lines()
    assert (line["level"], line["logger"], line["message"]) == ("WARNING", "some.library", "two\nlines")
    assert datetime.fromisoformat(line["time"]).utcoffset() == timedelta(0)


def test_warnings_are_lines_too(lines: Lines) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("this is old", stacklevel=1)
    (line,) = lines()
    assert line["logger"] == "py.warnings"
    assert "this is old" in line["message"]


async def test_an_access_line_has_no_query_and_the_given_request_id(client: httpx.AsyncClient, lines: Lines) -> None:
    answer = await client.get("/version?q=private", headers={"X-Request-ID": "from-the-proxy.1"})
    assert answer.headers["X-Request-ID"] == "from-the-proxy.1"
    (line,) = [line for line in lines() if line["logger"] == "assistant.access"]
    assert "private" not in json.dumps(line)
    assert line["request_id"] == "from-the-proxy.1"
    expected = {"client": "192.0.2.7", "scheme": "http", "method": "GET", "path": "/version", "status": 200}
    assert expected.items() <= line.items()
    assert line["duration_ms"] >= 0


async def test_a_request_id_that_could_do_harm_is_replaced(client: httpx.AsyncClient) -> None:
    for given in ('"}', "a b", "x" * 129, ""):
        assert (await client.get("/version", headers={"X-Request-ID": given})).headers["X-Request-ID"] != given


async def test_an_uncaught_exception_is_a_500_and_one_line_with_its_traceback(
    app: FastAPI, client: httpx.AsyncClient, lines
) -> None:
    @app.get("/crash")
    async def crash() -> None:
        raise RuntimeError("broken")

    answer = await client.get("/crash")
    assert answer.status_code == 500
    (line,) = [line for line in lines() if line["level"] == "ERROR"]
    assert "RuntimeError: broken" in line["traceback"]
    assert line["request_id"] == answer.json()["request_id"] == answer.headers["X-Request-ID"]
