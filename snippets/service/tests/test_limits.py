import httpx
import pytest
from fastapi import FastAPI
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from prometheus_client import REGISTRY

from assistant.limits import Limiter
from assistant.settings import Settings, load
from conftest import Lines

pytestmark = pytest.mark.anyio

LIMIT = 3


@pytest.fixture
def limiter(app: FastAPI) -> Limiter:
    """The application's limiter, which counts in memory to three."""
    limiter = app.state.limiter
    limiter.window = SlidingWindowCounterRateLimiter(MemoryStorage())
    limiter.limit = RateLimitItemPerMinute(LIMIT)
    return limiter


@pytest.mark.usefixtures("limiter")
async def test_more_than_the_limit_is_a_429_that_says_when_to_come_back(client: httpx.AsyncClient) -> None:
    statuses = [(await client.get("/v1/nowhere")).status_code for _ in range(LIMIT)]
    assert statuses == [404] * LIMIT
    answer = await client.get("/v1/nowhere")
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    assert str(LIMIT) in answer.json()["detail"]


async def test_each_caller_has_a_limit_of_its_own(limiter: Limiter) -> None:
    assert [bool(await limiter.wait("one")) for _ in range(LIMIT + 1)] == [False] * LIMIT + [True]
    assert not await limiter.wait("two")


@pytest.mark.usefixtures("limiter")
async def test_who_has_no_key_uses_up_nobodys_limit(client: httpx.AsyncClient) -> None:
    for _ in range(LIMIT + 1):
        assert (await client.get("/v1/nowhere", headers={"Authorization": "Bearer wrong"})).status_code == 401
    assert (await client.get("/v1/nowhere")).status_code == 404


@pytest.mark.usefixtures("limiter")
async def test_health_has_no_limit(client: httpx.AsyncClient) -> None:
    assert {(await client.get("/health/live")).status_code for _ in range(LIMIT + 1)} == {200}


async def test_without_counts_requests_pass_with_one_warning(client: httpx.AsyncClient, lines: Lines) -> None:
    def unanswered() -> float:
        return REGISTRY.get_sample_value("assistant_redis_away_total", {"server": "counters"}) or 0

    before = unanswered()
    statuses = {(await client.get("/v1/nowhere")).status_code for _ in range(5)}
    assert statuses == {404}
    warnings = [line["message"] for line in lines() if line["level"] == "WARNING"]
    assert len(warnings) == 1
    assert warnings[0].startswith("counters: Redis does not answer: ")
    assert unanswered() == before + 5


@pytest.mark.usefixtures("required_settings")
def test_the_counts_are_apart_from_the_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_URL", "redis://broker.example.com:6399/0")
    monkeypatch.setenv("RATE_LIMIT_PER_MINUTE", "7")
    limiter = Limiter(load(Settings))
    wanted = {"host": "broker.example.com", "port": 6399, "db": 1}
    assert wanted.items() <= limiter.server.pool.connection_kwargs.items()
    assert limiter.limit == RateLimitItemPerMinute(7)
