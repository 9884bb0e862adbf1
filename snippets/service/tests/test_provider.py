import asyncio
import time
from typing import Any

import pytest

from assistant import provider
from assistant.logs import request_id
from assistant.provider import Piece, Provider, ProviderError
from assistant.settings import Settings, load
from conftest import StandIn

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, required_settings: None, stand_in: StandIn) -> Settings:
    monkeypatch.setenv("PROVIDER_URL", stand_in.url)
    monkeypatch.setattr(provider, "BACKOFF_SECONDS", 0.01)
    return load(Settings)


async def ask(asked: Provider, question: str) -> list[Piece]:
    return [piece async for piece in asked.stream([{"role": "user", "content": question}])]


async def fails(asked: Provider, question: str) -> str:
    with pytest.raises(ProviderError) as failure:
        await ask(asked, question)
    return failure.value.kind


async def log_of(stand_in: StandIn) -> list[dict[str, Any]]:
    """Return the whole log. A client that left may still have to close its connection, in this loop."""
    return await asyncio.to_thread(stand_in.end)


async def test_the_answer_comes_in_pieces_and_says_why_it_ends(settings: Settings) -> None:
    assert await ask(Provider(settings), "drip 2") == [("drop-1 ", None), ("drop-2", None), ("", "stop")]


async def test_the_provider_is_told_which_request_it_is(settings: Settings, stand_in: StandIn) -> None:
    request_id.set("from-the-proxy")
    await ask(Provider(settings), "hello")
    assert (await log_of(stand_in))[0]["request_id"] == "from-the-proxy"


async def test_what_fails_before_the_first_token_is_tried_again(settings: Settings, stand_in: StandIn) -> None:
    assert await ask(Provider(settings), "fail once a")
    assert [line["status"] for line in await log_of(stand_in)] == [500, 200]


@pytest.mark.parametrize(
    ("question", "kind", "calls"),
    [
        ("answer 429", "limited", 3),
        ("answer 503", "failed", 3),
        ("answer 400", "refused", 1),
        ("answer 401", "refused", 1),
        ("cut", "cut", 1),
    ],
)
async def test_what_goes_wrong_has_a_name(
    settings: Settings, stand_in: StandIn, question: str, kind: str, calls: int
) -> None:
    assert await fails(Provider(settings), question) == kind
    assert len(await log_of(stand_in)) == calls


async def test_a_provider_that_wants_peace_for_long_is_left_alone(
    settings: Settings, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stand_in.module, "RETRY_AFTER_SECONDS", 60)
    async with asyncio.timeout(10):
        assert await fails(Provider(settings), "answer 429") == "limited"
    assert len(await log_of(stand_in)) == 1


async def test_a_provider_that_wants_peace_gets_it(
    settings: Settings, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stand_in.module, "RETRY_AFTER_SECONDS", 1)
    monkeypatch.setattr(settings, "provider_retries", 1)
    started = time.monotonic()
    await fails(Provider(settings), "answer 429")
    assert time.monotonic() - started >= 1
    assert len(await log_of(stand_in)) == 2


async def test_retries_end_with_the_budget(settings: Settings, stand_in: StandIn) -> None:
    asked = Provider(settings)
    for _ in range(20):
        await fails(asked, "answer 500")
    # The reserve, and one for every five calls.
    assert 20 + 5 <= len(await log_of(stand_in)) <= 20 + 5 + 4


@pytest.mark.parametrize("question", ["be slow 60", "pause 60"])
async def test_silence_ends_the_call_and_is_not_tried_again(
    settings: Settings, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    monkeypatch.setattr(settings, "provider_timeout_seconds", 0.2)
    assert await fails(Provider(settings), question) == "slow"
    assert [line["outcome"] for line in await log_of(stand_in)] == ["left"]


async def test_a_provider_that_is_away(settings: Settings, absent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "provider_url", f"http://127.0.0.1:{absent_port}/v1")
    assert await fails(Provider(settings), "hello") == "unreachable"


async def test_an_answer_without_an_end_is_cut(
    settings: Settings, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = stand_in.module.chunk
    monkeypatch.setattr(stand_in.module, "chunk", lambda model, delta, finish_reason=None: whole(model, delta))
    assert await fails(Provider(settings), "hello") == "cut"


async def test_an_answer_that_is_no_json_is_cut(
    settings: Settings, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = stand_in.module.Handler
    send = handler.send_event
    monkeypatch.setattr(handler, "send_event", lambda self, data: send(self, "{"))
    assert await fails(Provider(settings), "hello") == "cut"
