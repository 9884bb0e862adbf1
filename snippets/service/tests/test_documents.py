import asyncio
import json

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

pytestmark = pytest.mark.anyio

SEARCH = "/v1/search?q=cats"


def fail_with(app: FastAPI, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def sessions() -> None:
        raise error

    monkeypatch.setattr(app.state.database, "sessions", sessions)


async def test_without_a_database_a_client_is_told_to_come_back(client: httpx.AsyncClient) -> None:
    for answer in (await client.get(SEARCH), await client.post("/v1/documents", json={"text": "cats"})):
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize(
    "error", [PoolTimeout("no connection"), OperationalError("SELECT", None, Exception("timeout"))]
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


@pytest.mark.parametrize("text", ["", "  ", "--", "a\x00b", "x" * 20_001, "a\ud800"])
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
    assert (await client.get(SEARCH)).status_code == 504
