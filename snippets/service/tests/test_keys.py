import json
from hashlib import sha256
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from assistant import documents
from assistant.app import create_app
from assistant.keys import Caller, CurrentCaller, Keys
from conftest import KEY, Lines

pytestmark = pytest.mark.anyio


def hash_of(key: str) -> str:
    return sha256(key.encode()).hexdigest()


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", KEY, f"Basic {KEY}", f"Bearer {KEY}x", f"Bearer {hash_of(KEY)}", "Bearer \xe9"],
)
@pytest.mark.parametrize("path", ["/v1", "/v1/search?q=cats", "/v1/nowhere"])
async def test_nothing_under_v1_is_told_without_a_key(
    client: httpx.AsyncClient, path: str, authorization: str | None
) -> None:
    del client.headers["Authorization"]
    given = None if authorization is None else {b"Authorization": authorization.encode("latin-1")}
    answer = await client.get(path, headers=given)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize("path", ["/version", "/health/live", "/metrics"])
async def test_the_rest_needs_no_key(client: httpx.AsyncClient, path: str) -> None:
    del client.headers["Authorization"]
    assert (await client.get(path)).status_code == 200


async def test_the_scheme_may_be_written_in_any_case(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/nowhere", headers={"Authorization": f"bearer  {KEY}"})).status_code == 404


async def test_a_body_is_not_looked_at_before_the_key(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/documents", content="no json", headers={"Authorization": "Bearer wrong"})
    assert answer.status_code == 401


async def test_a_refusal_is_logged_without_the_key(client: httpx.AsyncClient, lines: Lines) -> None:
    await client.get("/v1/nowhere", headers={"Authorization": "Bearer private"})
    (line,) = [line for line in lines() if line["logger"] == "assistant.access"]
    assert (line["status"], line["path"]) == (401, "/v1/nowhere")
    assert "private" not in json.dumps(line)


@pytest.mark.usefixtures("app")
async def test_a_route_is_told_whose_key_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEYS", f"one:{hash_of('first')}\ntwo:{hash_of('second')}\ntwo:{hash_of('its next')}\n")
    app = create_app()

    @app.get("/v1/who")
    async def who(caller: CurrentCaller) -> str:
        return caller.name

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        names = [
            (await client.get("/v1/who", headers={"Authorization": f"Bearer {key}"})).json()
            for key in ("first", "second", "its next")
        ]
    assert names == ["one", "two", "two"]


def test_a_key_is_found_by_its_hash() -> None:
    keys = Keys(SecretStr(f"one:{hash_of('first')}\ntwo:{hash_of('second')}"))
    assert [keys.caller(key) for key in ("first", "second", "third")] == [Caller("one"), Caller("two"), None]


async def test_a_route_without_the_gate_serves_nobody() -> None:
    app = FastAPI()
    app.include_router(documents.router)
    app.state.settings = SimpleNamespace(request_timeout_seconds=5)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        with pytest.raises(AttributeError, match="caller"):
            await client.get("/v1/search?q=cats")
