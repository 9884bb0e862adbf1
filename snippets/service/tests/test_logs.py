import json
import logging
import sys
import warnings
from datetime import datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message, Send

from assistant.access import AccessLog, Uncaught, log_request
from conftest import Lines

pytestmark = pytest.mark.anyio


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
    app: FastAPI, client: httpx.AsyncClient, lines: Lines
) -> None:
    @app.get("/crash")
    async def crash() -> None:
        raise RuntimeError("broken")

    answer = await client.get("/crash")
    assert answer.status_code == 500
    (line,) = [line for line in lines() if line["level"] == "ERROR"]
    assert "RuntimeError: broken" in line["traceback"]
    assert line["request_id"] == answer.json()["request_id"] == answer.headers["X-Request-ID"]


async def test_an_exception_after_the_answer_began_is_told_once(lines: Lines) -> None:
    async def broken(scope: object, receive: object, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("broken")

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    sent = []

    async def send(message: Message) -> None:
        sent.append(message["type"])

    scope = {"type": "http", "client": None, "scheme": "http", "method": "GET", "path": "/", "headers": []}
    await AccessLog(Uncaught(broken))(scope, receive, send)
    assert sent == ["http.response.start"]
    assert [line["level"] for line in lines()] == ["ERROR", "INFO"]


def test_a_server_need_not_give_a_raw_path(lines: Lines) -> None:
    log_request({"client": None, "scheme": "http", "method": "GET", "path": "/a\nb"}, 200, 0)
    assert lines()[0]["path"] == "/a%0Ab"


def test_ctrl_c_is_no_failure(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert "KeyboardInterrupt" in capsys.readouterr().err
    assert lines() == []
