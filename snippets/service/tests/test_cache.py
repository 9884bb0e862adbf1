import random
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, Self
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import OperationalError

from assistant import cache as module
from assistant.cache import GENERATION, SearchCache, entry_key, lifetime

pytestmark = pytest.mark.anyio

HOUR = 3600
LONG = " ".join(f"word{number}" for number in range(20))


class FakeRedis:
    """What the cache asks of Redis, in memory. While it is away, every question fails."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.seconds: dict[str, int] = {}
        self.away = False

    async def get(self, key: str) -> bytes | None:
        self.check()
        return self.kept.get(key)

    async def set(
        self, key: str, value: str | bytes, nx: bool = False, get: bool = False, ex: int | None = None
    ) -> bytes | bool | None:
        self.check()
        before = self.kept.get(key)
        if not (nx and before):
            self.kept[key] = value.encode() if isinstance(value, str) else value
            if ex is not None:
                self.seconds[key] = ex
        return before if get else True

    def check(self) -> None:
        if self.away:
            raise ConnectionError

    @property
    def generation(self) -> bytes:
        return self.kept[GENERATION]


class FakeDatabase:
    """Sessions that return what a test gives, and count how often a search came."""

    def __init__(self) -> None:
        self.rows = [SimpleNamespace(id=uuid4(), text="cats sleep", distance=0.1)]
        self.stored: UUID | None = uuid4()
        self.earlier = SimpleNamespace(id=uuid4(), text="cats")
        self.searches = 0
        self.statements: list[Any] = []
        self.refuses: Exception | None = None
        self.during: Callable[[], Awaitable[object]] | None = None

    def sessions(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        if self.refuses:
            raise self.refuses
        return self

    async def __aexit__(self, *exception: object) -> None: ...

    async def scalar(self, statement: object) -> UUID | None:
        self.statements.append(statement)
        return self.stored

    async def execute(self, statement: Any) -> Any:
        if "distance" not in str(statement):
            return SimpleNamespace(one=lambda: self.earlier)
        self.searches += 1
        if self.during:
            await self.during()
        return self.rows


class Sessions:
    """A factory of sessions: `sessions()` and `sessions.begin()`."""

    def __init__(self, database: FakeDatabase) -> None:
        self.database = database

    def __call__(self) -> FakeDatabase:
        return self.database

    begin = __call__


@pytest.fixture
def redis(app: FastAPI) -> FakeRedis:
    redis = FakeRedis()
    app.state.cache.server.redis = redis
    return redis


@pytest.fixture
def cache(app: FastAPI, redis: FakeRedis) -> SearchCache:
    return app.state.cache


@pytest.fixture
def database(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> FakeDatabase:
    database = FakeDatabase()
    monkeypatch.setattr(app.state.database, "sessions", Sessions(database))
    return database


async def search(client: httpx.AsyncClient, query: str = "q=cats") -> str:
    answer = await client.get(f"/v1/search?{query}")
    assert answer.status_code == 200
    return answer.headers["Cache-Status"]


async def store(client: httpx.AsyncClient, key: str | None = None, text: str = "cats") -> httpx.Response:
    return await client.post("/v1/documents", json={"text": text}, headers={"Idempotency-Key": key} if key else {})


def test_an_entry_is_for_one_question_of_one_generation_and_release(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [entry_key("g1", "cats", 10), entry_key("g2", "cats", 10), entry_key("g1", "cat", 10)]
    keys += [entry_key("g1", "cats", 1)]
    monkeypatch.setattr(module, "__version__", "2.0.0")
    keys.append(entry_key("g1", "cats", 10))
    assert len(set(keys)) == len(keys)
    assert entry_key("g1", "cats", 10) == keys[-1]
    assert "cats" not in "".join(keys)


def test_a_sure_answer_to_a_short_question_is_kept_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: low)
    times = [lifetime(HOUR, question, best) for question in ("cats", LONG) for best in (0.81, 0.8, None)]
    assert times == [HOUR, HOUR / 2, HOUR / 2, HOUR / 2, HOUR / 4, HOUR / 4]


def test_entries_do_not_all_end_at_once() -> None:
    times = {lifetime(HOUR, "cats", 0.9) for _ in range(200)}
    assert len(times) > 20
    assert HOUR * 0.9 <= min(times) <= max(times) <= HOUR
    assert lifetime(1, LONG, None) == 1


async def test_the_second_search_is_answered_from_the_cache(
    client: httpx.AsyncClient, redis: FakeRedis, database: FakeDatabase
) -> None:
    first = await client.get("/v1/search?q=cats")
    second = await client.get("/v1/search?q=cats")
    assert (first.headers["Cache-Status"], second.headers["Cache-Status"]) == ("assistant; fwd=miss", "assistant; hit")
    assert first.json() == second.json()
    assert second.json()["matches"][0]["text"] == "cats sleep"
    assert database.searches == 1
    assert await search(client, "q=cats&limit=1") == "assistant; fwd=miss"
    assert all(0 < seconds <= HOUR for seconds in redis.seconds.values())


async def test_after_a_store_every_search_is_made_again(
    client: httpx.AsyncClient, redis: FakeRedis, database: FakeDatabase
) -> None:
    await search(client)
    generation = redis.generation
    assert (await store(client)).status_code == 201
    assert redis.generation != generation
    assert await search(client) == "assistant; fwd=miss"
    assert database.searches == 2


async def test_a_search_that_a_store_has_overtaken_is_not_kept(
    client: httpx.AsyncClient, cache: SearchCache, database: FakeDatabase
) -> None:
    database.during = cache.forget
    await search(client)
    database.during = None
    assert await search(client) == "assistant; fwd=miss"
    assert await search(client) == "assistant; hit"


async def test_a_lost_generation_brings_nothing_back(
    client: httpx.AsyncClient, redis: FakeRedis, database: FakeDatabase
) -> None:
    await search(client)
    del redis.kept[GENERATION]
    assert await search(client) == "assistant; fwd=miss"
    assert database.searches == 2


async def test_what_is_kept_needs_no_database(
    client: httpx.AsyncClient, redis: FakeRedis, database: FakeDatabase
) -> None:
    await search(client)
    database.refuses = OperationalError("SELECT", None, Exception("away"))
    assert await search(client) == "assistant; hit"


async def test_without_redis_every_search_asks_the_database(
    client: httpx.AsyncClient, redis: FakeRedis, database: FakeDatabase
) -> None:
    redis.away = True
    before = REGISTRY.get_sample_value("assistant_searches_total", {"cache": "away"}) or 0
    assert [await search(client) for _ in range(2)] == ["assistant; fwd=bypass"] * 2
    assert database.searches == 2
    assert REGISTRY.get_sample_value("assistant_searches_total", {"cache": "away"}) == before + 2


async def test_a_store_while_redis_was_away_is_made_up_for(
    client: httpx.AsyncClient, cache: SearchCache, redis: FakeRedis, database: FakeDatabase
) -> None:
    await search(client)
    generation = redis.generation
    redis.away = True
    assert (await store(client)).status_code == 201
    redis.away = False
    cache.server._rest_until = 0
    assert await search(client) == "assistant; fwd=miss"
    assert redis.generation != generation
    assert await search(client) == "assistant; hit"


async def test_a_long_answer_is_not_kept(
    client: httpx.AsyncClient, redis: FakeRedis, database: FakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    await search(client)
    assert list(redis.kept) == [GENERATION]


async def test_a_store_that_may_have_happened_makes_answers_invalid(
    client: httpx.AsyncClient, redis: FakeRedis, database: FakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def break_off(*exception: object) -> None:
        raise OperationalError("COMMIT", None, Exception("connection lost"))

    await search(client)
    generation = redis.generation
    monkeypatch.setattr(FakeDatabase, "__aexit__", break_off)
    assert (await store(client)).status_code == 503
    assert redis.generation != generation


async def test_a_store_that_cannot_have_happened_does_not(
    client: httpx.AsyncClient, redis: FakeRedis, database: FakeDatabase
) -> None:
    await search(client)
    generation = redis.generation
    database.refuses = OperationalError("SELECT", None, Exception("away"))
    assert (await store(client)).status_code == 503
    assert redis.generation == generation


async def test_the_same_request_again_gets_the_same_document(
    client: httpx.AsyncClient, redis: FakeRedis, database: FakeDatabase
) -> None:
    first = await store(client, "order-1")
    assert (first.status_code, first.json()["id"]) == (201, str(database.stored))
    database.stored = None
    again = await store(client, "order-1")
    assert (again.status_code, again.json()["id"]) == (200, str(database.earlier.id))


async def test_another_text_under_the_same_key_is_refused(client: httpx.AsyncClient, database: FakeDatabase) -> None:
    database.stored = None
    answer = await store(client, "order-1", "dogs")
    assert answer.status_code == 422
    assert answer.json()["detail"] == "This Idempotency-Key came with other content before."


async def test_the_key_is_kept_with_the_callers_name(client: httpx.AsyncClient, database: FakeDatabase) -> None:
    await store(client, "order-1")
    statement = database.statements[0].compile(dialect=postgresql.dialect())
    assert {"caller": "tests", "idempotency_key": "order-1"}.items() <= statement.params.items()
    assert "ON CONFLICT (caller, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING" in str(statement)


@pytest.mark.parametrize("key", ["a b", "x" * 256, " ", "\x7f"])
async def test_a_key_that_is_none_is_refused(client: httpx.AsyncClient, database: FakeDatabase, key: str) -> None:
    answer = await store(client, key)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("header.idempotency-key: ")
