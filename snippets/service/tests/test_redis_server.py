import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest
from pydantic import SecretStr
from redis.asyncio.connection import parse_url
from redis.exceptions import BusyLoadingError, ResponseError

from assistant import redis_server
from assistant.redis_server import Away, RedisServer, with_login

pytestmark = pytest.mark.anyio

SPECIAL = SecretStr("p@ss/w:rd#%? 9zK2")


@pytest.fixture
def server() -> RedisServer:
    return RedisServer("cache", "redis://127.0.0.1:6379/0", SPECIAL)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(redis_server, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


class Question:
    """Fails with the given error as long as there is one, and counts how often it was asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked = 0

    async def __call__(self) -> str:
        self.asked += 1
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        return "answer"


async def outcome(server: RedisServer, question: Callable[[], Awaitable[str]]) -> str:
    try:
        return await server.ask(question)
    except Away:
        return "away"


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError(), TimeoutError(), BusyLoadingError("loading"), ResponseError("OOM")]
)
async def test_a_server_that_fails_is_left_alone_for_a_while(
    server: RedisServer, clock: SimpleNamespace, error: Exception
) -> None:
    question = Question(error)
    assert [await outcome(server, question) for _ in range(5)] == ["away"] * 5
    assert question.asked == 1

    question.error = None
    assert await outcome(server, question) == "away"
    clock.now += redis_server.REST_SECONDS
    assert [await outcome(server, question) for _ in range(2)] == ["answer"] * 2


async def test_after_the_rest_one_asks_and_the_others_do_not_wait(server: RedisServer, clock: SimpleNamespace) -> None:
    question = Question(ConnectionRefusedError())
    await outcome(server, question)
    clock.now += redis_server.REST_SECONDS
    await asyncio.gather(*(outcome(server, question) for _ in range(5)))
    assert question.asked == 2


async def test_a_server_that_hangs_is_given_up(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_server, "TIMEOUT_SECONDS", 0.01)

    async def hang() -> str:
        await asyncio.sleep(60)
        return "late"

    assert await asyncio.wait_for(outcome(server, hang), timeout=30) == "away"


async def test_many_at_once_are_no_failure(server: RedisServer) -> None:
    question = Question()
    answers = await asyncio.gather(*(outcome(server, question) for _ in range(10 * redis_server.CONNECTIONS)))
    assert set(answers) == {"answer"}


async def test_it_is_warned_once_a_minute(
    server: RedisServer, clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    for seconds in (0, 10, 20, 61):
        clock.now = 1000 + seconds
        await outcome(server, Question(ConnectionRefusedError()))
    assert len(caplog.messages) == 2
    assert caplog.messages[0] == "cache: Redis does not answer: ConnectionRefusedError"


async def test_an_error_of_ours_is_not_blamed_on_redis(server: RedisServer) -> None:
    with pytest.raises(ValueError, match="ours"):
        await server.ask(Question(ValueError("ours")))


def test_a_password_may_hold_any_character(server: RedisServer) -> None:
    login = {"username": "assistant", "password": SPECIAL.get_secret_value()}
    assert login.items() <= server.pool.connection_kwargs.items()
    assert parse_url(with_login("redis://broker:6380/2", SPECIAL)) == {
        **login,
        "host": "broker",
        "port": 6380,
        "db": 2,
    }
