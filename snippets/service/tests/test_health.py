import asyncio
import contextlib
import time

import httpx
import pytest
from fastapi import FastAPI

from assistant import health

pytestmark = pytest.mark.anyio


async def test_live_and_ready_do_not_follow_the_database(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health/live")).status_code == 200
    assert (await client.get("/health/ready")).status_code == 200


async def test_not_ready_before_start_up_has_finished(app: FastAPI) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.get("/health/ready")).status_code == 503


async def test_not_ready_once_the_server_stops(app: FastAPI, client: httpx.AsyncClient) -> None:
    app.state.readiness.stopping = lambda: True
    assert (await client.get("/health/ready")).status_code == 503
    assert (await client.get("/health/live")).status_code == 200


async def test_deep_is_red_without_a_database(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health/deep")
    assert answer.status_code == 503
    assert answer.json()["state"] == "down"
    for dependency in ("postgresql", "pgvector"):
        result = answer.json()["dependencies"][dependency]
        assert result["state"] == "down"
        assert "Connection refused" in result["error"]


async def test_deep_names_an_error_that_says_nothing(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> str:
        raise ConnectionResetError

    monkeypatch.setattr(app.state.database, "server_version", fail)
    answer = await client.get("/health/deep")
    assert answer.json()["dependencies"]["postgresql"]["error"] == "ConnectionResetError"


def test_deep_waits_longer_than_the_database(app: FastAPI) -> None:
    settings = app.state.settings
    waits = (settings.database_pool_timeout_seconds, settings.database_connect_timeout_seconds)
    assert max(waits) < health.DEEP_TIMEOUT_SECONDS


async def test_deep_tells_versions_and_latency(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def version() -> str:
        return "18.1"

    monkeypatch.setattr(app.state.database, "server_version", version)
    monkeypatch.setattr(app.state.database, "vector_version", version)
    monkeypatch.setattr(app.state.cache.server, "version", version)
    monkeypatch.setattr(app.state.limiter.server, "version", version)
    answer = await client.get("/health/deep")
    assert (answer.status_code, answer.json()["state"]) == (200, "up")
    postgresql = answer.json()["dependencies"]["postgresql"]
    assert (postgresql["state"], postgresql["version"]) == ("up", "18.1")
    assert postgresql["latency_ms"] >= 0


@pytest.mark.parametrize("away", ["cache", "broker"])
async def test_deep_is_degraded_without_what_the_service_can_do_without(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, away: str
) -> None:
    async def version() -> str:
        return "8.2"

    servers = {"cache": app.state.cache.server, "broker": app.state.limiter.server}
    for name in ("server_version", "vector_version"):
        monkeypatch.setattr(app.state.database, name, version)
    for name, server in servers.items():
        if name != away:
            monkeypatch.setattr(server, "version", version)
    answer = await client.get("/health/deep")
    assert (answer.status_code, answer.json()["state"]) == (200, "degraded")
    dependencies = answer.json()["dependencies"]
    assert {name for name, result in dependencies.items() if result["state"] == "down"} == {away}
    assert "Connect call failed" in dependencies[away]["error"]
    assert dependencies["provider"] == {"state": "not asked", "model": "stand-in"}


async def test_deep_answers_in_time_when_a_dependency_hangs_and_cannot_be_cancelled(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = False

    async def hang() -> str:
        until = time.monotonic() + 2
        while not answered and time.monotonic() < until:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.02)
        return "late"

    monkeypatch.setattr(health, "DEEP_TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(app.state.database, "server_version", hang)
    started = time.monotonic()
    answer = await client.get("/health/deep")
    answered = True
    assert time.monotonic() - started < 1
    assert answer.json()["dependencies"]["postgresql"]["error"] == "not done within 0.1 seconds"
