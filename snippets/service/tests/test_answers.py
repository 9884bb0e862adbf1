import json
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI, Response
from prometheus_client import REGISTRY

from assistant import answers
from assistant.app import create_app
from assistant.documents import Match, Matches
from conftest import StandIn

pytestmark = pytest.mark.anyio

SOURCE = Match(id=uuid4(), text="Cats sleep for sixteen hours.", score=0.9)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, required_settings: None, absent_port: int, stand_in: StandIn) -> FastAPI:
    """The application, with a provider and one source."""

    async def search(*_: Any) -> Response:
        return Response(Matches(matches=[SOURCE]).model_dump_json())

    for name in ("CACHE_URL", "BROKER_URL"):
        monkeypatch.setenv(name, f"redis://127.0.0.1:{absent_port}/0")
    monkeypatch.setenv("PROVIDER_URL", stand_in.url)
    monkeypatch.setattr(answers, "search", search)
    return create_app()


async def ask(client: httpx.AsyncClient, question: str) -> list[tuple[str, Any]]:
    """Return the events of an answer, comments included."""
    answer = await client.post("/v1/answers", json={"question": question})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert answer.headers["Cache-Control"] == "no-store"
    blocks = answer.text.split("\n\n")
    assert blocks.pop() == ""
    return [event(block) for block in blocks]


def event(block: str) -> tuple[str, Any]:
    if block.startswith(":"):
        return "comment", block
    name, data = block.split("\n")
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("assistant_answers_total", {"outcome": outcome}) or 0


async def test_an_answer_tells_its_sources_then_its_words_then_its_end(client: httpx.AsyncClient) -> None:
    before = counted("done")
    assert await ask(client, "drip 2") == [
        ("sources", {"sources": [{"id": str(SOURCE.id), "score": 0.9}]}),
        ("token", {"text": "drop-1 "}),
        ("token", {"text": "drop-2"}),
        ("done", {"finish_reason": "stop"}),
    ]
    assert counted("done") == before + 1


async def test_the_model_gets_the_sources_and_the_question_alone() -> None:
    (system, user) = answers.prompt("How long do cats sleep?", [SOURCE])
    assert SOURCE.text in str(system.get("content"))
    assert user == {"role": "user", "content": "How long do cats sleep?"}


@pytest.mark.parametrize(
    ("question", "kind", "status"),
    [
        ("answer 429", "limited", 503),
        ("answer 500", "failed", 502),
        ("answer 404", "refused", 502),
        ("cut", "cut", 502),
    ],
)
async def test_a_failure_is_an_event_with_a_problem(
    client: httpx.AsyncClient, question: str, kind: str, status: int
) -> None:
    before = counted(kind)
    answer = await client.post("/v1/answers", json={"question": question})
    name, problem = event(answer.text.rstrip().split("\n\n")[-1])
    assert name == "error"
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert counted(kind) == before + 1


@pytest.mark.parametrize(
    ("code", "logged"),
    [
        ("server_error", "type stand_in, code server_error"),
        (500, "type stand_in, code 500"),
        (None, "type stand_in"),
        ("You asked: private words", "type stand_in"),
        ("line\nbreak", "type stand_in"),
        ("x" * 41, "type stand_in"),
        ({"key": "private"}, "type stand_in"),
    ],
)
async def test_the_log_has_none_of_the_providers_sentences(
    client: httpx.AsyncClient,
    stand_in: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    code: Any,
    logged: str,
) -> None:
    """They may repeat what a person asked, or a part of a key."""

    def refuse(self: Any, status: HTTPStatus, reason: str) -> None:
        error = {"message": "Wrong key sk-private for the question: private words", "type": "stand_in", "code": code}
        self.answer(status, {"error": error})

    monkeypatch.setattr(stand_in.module.Handler, "refuse", refuse)
    await client.post("/v1/answers", json={"question": "answer 401"})
    (line,) = [message for message in caplog.messages if message.startswith("provider: ")]
    assert line == f"provider: refused: AuthenticationError, status_code 401, {logged}"
    assert "private" not in caplog.text


async def test_the_log_says_what_broke_without_an_error_of_the_provider(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    await client.post("/v1/answers", json={"question": "cut"})
    assert "provider: cut: APIConnectionError" in caplog.messages


async def test_a_slow_provider_gives_heartbeats_and_then_an_error(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.state.settings, "heartbeat_seconds", 0.5)
    monkeypatch.setattr(app.state.settings, "answer_timeout_seconds", 1.75)
    before = counted("timeout")
    events = await ask(client, "be slow 60")
    assert [name for name, _ in events] == ["sources", "comment", "comment", "comment", "error"]
    assert events[-1][1]["status"] == 504
    assert counted("timeout") == before + 1


async def test_an_error_of_ours_is_an_event_too(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(messages: object) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(app.state.provider, "stream", broken)
    (_, (name, problem)) = await ask(client, "hello")
    assert (name, problem["status"]) == ("error", 500)


@pytest.mark.parametrize("question", ["", "--", "x" * 20_001])
async def test_what_is_no_question_is_refused(client: httpx.AsyncClient, question: str) -> None:
    answer = await client.post("/v1/answers", json={"question": question})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("body.question: ")


async def test_a_key_is_needed(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/answers", json={"question": "hello"}, headers={"Authorization": ""})
    assert answer.status_code == 401
