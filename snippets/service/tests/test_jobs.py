import asyncio
import time
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from celery import Celery
from fastapi import FastAPI
from kombu.exceptions import OperationalError
from redis.exceptions import OutOfMemoryError

from assistant import jobs
from assistant.jobs import Sender
from assistant.queue import JOB

pytestmark = pytest.mark.anyio


class Queue(Celery):
    """Takes messages, or lets one wait, or fails."""

    def __init__(self, error: Exception | None = None, seconds: float = 0) -> None:
        super().__init__()
        self.error = error
        self.seconds = seconds
        self.sent: list[tuple[str, list[str]]] = []
        self.asked = 0

    def send_task(self, name: str, args: Any = None, *_: Any, **__: Any) -> None:
        self.asked += 1
        time.sleep(self.seconds)
        if self.error:
            raise self.error
        self.sent.append((name, args))


async def test_the_message_is_the_id_of_the_job() -> None:
    queue, job = Queue(), uuid4()
    assert await Sender(queue).send(job)
    assert queue.sent == [(JOB, [str(job)])]


@pytest.mark.parametrize(
    "queue", [Queue(OperationalError("refused")), Queue(OutOfMemoryError("full")), Queue(seconds=0.3)]
)
async def test_a_broker_that_is_away_is_left_alone_for_a_while(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(jobs, "SEND_SECONDS", 0.1)
    monkeypatch.setattr(jobs, "REST_SECONDS", 0.5)
    sender = Sender(queue)
    assert [await sender.send(uuid4()) for _ in range(3)] == [False, False, False]
    assert queue.asked == 1
    (line,) = caplog.messages
    assert line.startswith("broker: not sent, the sweep will send what is queued now: ")
    await asyncio.sleep(0.5)
    await sender.send(uuid4())
    assert queue.asked == 2


async def test_sends_that_wait_take_no_thread_that_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "SEND_SECONDS", 0.1)
    sender = Sender(Queue(seconds=1))
    waiting = asyncio.gather(*(sender.send(uuid4()) for _ in range(50)))
    await asyncio.sleep(0.01)
    async with asyncio.timeout(0.2):
        await asyncio.to_thread(int)
    assert not any(await waiting)


async def test_without_a_database_a_client_is_told_to_come_back(app: FastAPI, client: httpx.AsyncClient) -> None:
    for answer in (
        await client.post("/v1/jobs", json={"texts": ["cats"]}),
        await client.get(f"/v1/jobs/{UUID(int=0)}"),
    ):
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize("texts", [[], ["cats", " "], ["x" * 20_001], ["cats"] * 101, "cats"])
async def test_what_cannot_be_stored_is_refused(client: httpx.AsyncClient, texts: object) -> None:
    answer = await client.post("/v1/jobs", json={"texts": texts})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("body.texts")


async def test_an_id_that_is_none_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/jobs/1")).status_code == 422


async def test_a_key_is_needed(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/v1/jobs/{UUID(int=0)}", headers={"Authorization": ""})
    assert answer.status_code == 401
