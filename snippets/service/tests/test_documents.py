import asyncio
import json
import threading

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.exc import InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from assistant import documents
from assistant.embedder import embed

pytestmark = pytest.mark.anyio

SEARCH = "/v1/search?q=cats"
CATS = {"text": "cats"}

# A mark, a connector and a joiner: parts of words elsewhere, and none of them a word.
WORDLESS = ["\u0301", "\u203f", "\u200d", "\u0903"]


def fail_with(app: FastAPI, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def sessions() -> None:
        raise error

    monkeypatch.setattr(app.state.database, "sessions", sessions)


async def test_without_a_database_a_client_is_told_to_come_back(client: httpx.AsyncClient) -> None:
    for answer in (await client.get(SEARCH), await client.post("/v1/documents", json=CATS)):
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize(
    "error",
    [
        PoolTimeout("no connection"),
        OperationalError("SELECT", None, Exception("timeout")),
        InternalError("INSERT", None, Exception("read-only transaction")),
    ],
)
async def test_a_database_without_time_is_a_503_too(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    fail_with(app, monkeypatch, error)
    assert (await client.get(SEARCH)).status_code == 503


async def test_an_error_of_ours_is_not_blamed_on_the_database(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(app, monkeypatch, ValueError("broken"))
    assert (await client.get(SEARCH)).status_code == 500


@pytest.mark.parametrize("text", ["", "  ", "--", "a\x00b", "x" * 20_001, "a\ud800", *WORDLESS])
async def test_a_text_that_cannot_be_stored_is_refused_and_not_quoted(client: httpx.AsyncClient, text: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await client.post("/v1/documents", content=json.dumps({"text": text}), headers=headers)
    assert answer.status_code == 422
    detail = answer.json()["detail"]
    assert detail.startswith("body.text: ")
    assert not text.strip() or text not in detail


async def test_a_request_ends_at_its_deadline(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow:
        async def __aenter__(self) -> None:
            await asyncio.sleep(5)

        async def __aexit__(self, *exception: object) -> None: ...

    monkeypatch.setattr(app.state.settings, "request_timeout_seconds", 0.05)
    monkeypatch.setattr(app.state.database, "sessions", Slow)
    answer = await client.get(SEARCH)
    assert answer.status_code == 504
    assert "may have been done" in answer.json()["detail"]


@pytest.mark.parametrize("text", WORDLESS)
async def test_a_search_for_no_word_is_refused(client: httpx.AsyncClient, text: str) -> None:
    assert (await client.get("/v1/search", params={"q": text})).status_code == 422


async def test_an_embedder_that_takes_long_stops_nobody(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()

    def wait(text: str) -> list[float]:
        assert answered.wait(timeout=2)
        return embed(text)

    monkeypatch.setattr(documents, "embed", wait)
    searches = [asyncio.create_task(client.get(SEARCH)), asyncio.create_task(client.post("/v1/documents", json=CATS))]
    await asyncio.sleep(0.1)
    assert (await client.get("/health/live")).status_code == 200
    answered.set()
    assert [answer.status_code for answer in await asyncio.gather(*searches)] == [503, 503]
