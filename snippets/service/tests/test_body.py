import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from assistant import body
from assistant.app import create_app
from assistant.body import BodyLimit
from conftest import Lines

pytestmark = pytest.mark.anyio

LIMIT = 100
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def app(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """The application, with room for 100 bytes."""
    monkeypatch.setenv("MAX_BODY_BYTES", str(LIMIT))
    return create_app()


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 10):
        yield b"x" * 10


def content(size: int, chunked: bool) -> bytes | AsyncIterator[bytes]:
    return chunks(size) if chunked else b"x" * size


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_long_is_a_413(client: httpx.AsyncClient, lines: Lines, chunked: bool) -> None:
    answer = await client.post("/v1/documents", content=content(LIMIT + 10, chunked), headers=JSON)
    assert answer.status_code == 413
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["detail"] == "The body is longer than 100 bytes."
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    (line,) = [line for line in lines() if line["logger"] == "assistant.access"]
    assert (line["status"], line["request_id"]) == (413, answer.headers["X-Request-ID"])


@pytest.mark.parametrize("chunked", [False, True])
async def test_the_longest_body_is_read(client: httpx.AsyncClient, chunked: bool) -> None:
    answer = await client.post("/v1/documents", content=content(LIMIT, chunked), headers=JSON)
    assert answer.json()["detail"].startswith("body: not valid JSON")


async def test_a_length_that_python_does_not_read_is_too_long(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/documents", content=b"", headers={"Content-Length": "9" * 5000})
    assert answer.status_code == 413


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer without a look at the body."""
    await send({"type": "http.response.start", "status": 401, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def unread(monkeypatch: pytest.MonkeyPatch, messages: list[Message], *headers: tuple[bytes, bytes]) -> int:
    """Return how many messages are left when a request with them was refused."""
    monkeypatch.setattr(body, "DRAIN_SECONDS", 5)

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None: ...

    await BodyLimit(refuse, LIMIT)({"type": "http", "headers": headers}, receive, send)
    return len(messages)


async def test_what_a_refusal_leaves_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    more = {"type": "http.request", "body": b"x" * LIMIT, "more_body": True}
    last = {"type": "http.request", "body": b"", "more_body": False}
    chunked = (b"transfer-encoding", b"chunked")
    assert await unread(monkeypatch, [more, more, last], chunked) == 0
    assert await unread(monkeypatch, [more, {"type": "http.disconnect"}], chunked) == 0
    assert await unread(monkeypatch, [more, last], (b"content-length", b"99")) == 0


async def test_a_length_that_is_too_long_is_refused_at_once() -> None:
    sent: list[Message] = []

    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    async def receive() -> Message:
        # The answer comes first.
        assert sent[0]["status"] == 413
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "headers": [(b"content-length", b"101")]}
    await BodyLimit(never, LIMIT)(scope, receive, send)
    assert sent


async def test_where_there_is_no_body_nobody_waits_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await unread(monkeypatch, [{"type": "http.disconnect"}]) == 1
    assert await unread(monkeypatch, [{"type": "http.disconnect"}], (b"content-length", b"0")) == 1


async def test_a_client_that_sends_no_more_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "DRAIN_SECONDS", 0.01)
    given_up = False

    async def receive() -> Message:
        nonlocal given_up
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            given_up = True
            raise
        return {}

    async def send(message: Message) -> None: ...

    scope = {"type": "http", "headers": [(b"content-length", b"9")]}
    await BodyLimit(refuse, LIMIT)(scope, receive, send)
    assert given_up
