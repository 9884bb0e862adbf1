"""The stand-in for a model provider does what its messages ask for."""

import time
from typing import Any

import httpx
import pytest

from conftest import PASSWORD, StandIn

AUTHORIZED = {"Authorization": f"Bearer {PASSWORD}", "X-Client-Request-Id": "the-request"}


def ask(stand_in: StandIn, question: str, **more: Any) -> httpx.Response:
    content = {"model": "any", "messages": [{"role": "user", "content": question}], **more}
    return httpx.post(f"{stand_in.url}/chat/completions", json=content, headers=AUTHORIZED)


def test_it_repeats_what_it_was_told(stand_in: StandIn) -> None:
    choice = ask(stand_in, "hello").json()["choices"][0]
    assert choice["message"]["content"] == "There is no model here; you said: hello"
    assert choice["finish_reason"] == "stop"


def test_a_stream_ends_as_openai_ends_it(stand_in: StandIn) -> None:
    events = ask(stand_in, "drip 2", stream=True).text.split("\n\n")
    assert [event.partition(": ")[0] for event in events] == ["data", "data", "data", "data", ""]
    assert events[-2] == "data: [DONE]"
    expected = {"request_id": "the-request", "status": 200, "outcome": "done", "tokens": 2}
    assert expected.items() <= stand_in.end()[-1].items()


@pytest.mark.parametrize(("status", "header"), [(429, "0"), (503, "0"), (500, None), (401, None)])
def test_it_fails_when_it_is_asked_to(stand_in: StandIn, status: int, header: str | None) -> None:
    answer = ask(stand_in, f"answer {status}", stream=True)
    assert (answer.status_code, answer.headers.get("Retry-After")) == (status, header)
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("question", ["answer 200", "answer 450", "answer me", "drip", "pause a", "cut it"])
def test_what_is_no_command_is_repeated(stand_in: StandIn, question: str) -> None:
    assert ask(stand_in, question).json()["choices"][0]["message"]["content"].endswith(question)


def test_it_fails_once(stand_in: StandIn) -> None:
    assert [ask(stand_in, "fail once a").status_code for _ in range(3)] == [500, 200, 200]
    assert ask(stand_in, "fail once b").status_code == 500


def test_it_cuts_an_answer_off(stand_in: StandIn) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        ask(stand_in, "cut", stream=True)
    assert stand_in.end()[-1]["outcome"] == "cut"


@pytest.mark.parametrize(("question", "said"), [("be slow 60", 0), ("pause 60", 1)])
def test_it_stops_for_a_client_that_leaves(stand_in: StandIn, question: str, said: int) -> None:
    content = {"model": "any", "messages": [{"role": "user", "content": question}], "stream": True}
    url = f"{stand_in.url}/chat/completions"
    with httpx.stream("POST", url, json=content, headers=AUTHORIZED):
        time.sleep(0.2)
    line = stand_in.end()[-1]
    assert (line["outcome"], line["tokens"]) == ("left", said)


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"", "no model"), (b"{", "no model"), (b"[]", "no model"), (b'{"model": "any", "messages": []}', "no model")],
)
def test_what_is_no_request_is_refused(stand_in: StandIn, body: bytes, reason: str) -> None:
    url = f"{stand_in.url}/chat/completions"
    answer = httpx.post(url, content=body, headers=AUTHORIZED)
    assert answer.status_code == 400
    assert reason in answer.json()["error"]["message"]


def test_a_key_is_needed(stand_in: StandIn) -> None:
    answer = httpx.post(f"{stand_in.url}/chat/completions", json={})
    assert answer.status_code == 401


def test_it_tells_that_it_lives_and_nothing_else(stand_in: StandIn) -> None:
    root = stand_in.url.removesuffix("/v1")
    assert httpx.get(f"{root}/health/live").json() == {"state": "up"}
    assert httpx.get(f"{root}/").status_code == 404
    assert httpx.post(f"{root}/", json={}, headers=AUTHORIZED).status_code == 404
