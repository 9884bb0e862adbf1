"""The load that boots are under: what it counts as a failure."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import httpx
import pytest

from tests.boot.client import wait_for
from tests.boot.load import Load, Result

EVENTS = b"event: sources\n\nevent: token\n\nevent: done\n\n"
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(EVENTS)
# It is good for every kind of request.
ANSWER = _HEAD + EVENTS
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Server:
    port: int
    host: str = "127.0.0.1"

    def connect(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", trust_env=False, timeout=5)


@contextmanager
def serving(serve: Serve) -> Iterator[Server]:
    """A server on a port of 127.0.0.1 that does this with each connection."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield Server(server.sockets[0].getsockname()[1])
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.close()


async def request(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


@pytest.fixture(autouse=True)
def not_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured here, so nobody has to wait."""
    monkeypatch.setattr("handbook.quiet.measuring", nullcontext)


def seen_of(serve: Serve, kind: str = "version") -> Result:
    with serving(serve) as server, Load(server, ["key"], 10, drops=1, pace={kind: (1, 0.01)}) as load:
        wait_for(lambda: len(load.result.seen) >= 3 or load.result.failed or load.result.cut, "three requests", 10)
    return load.result


async def closes_with_the_second(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request, and close when the next one has come."""
    await request(reader)
    writer.write(ANSWER)
    await request(reader)
    writer.close()


async def closes_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await request(reader)
    writer.close()


async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request, and half of the next one."""
    await request(reader)
    writer.write(ANSWER)
    await request(reader)
    writer.write(ANSWER[:-1])
    writer.close()


@pytest.mark.parametrize("kind", ["version", "search", "stream"])
def test_a_kept_connection_that_is_being_closed_is_no_failure(kind: str) -> None:
    result = seen_of(closes_with_the_second, kind)
    assert (result.failed, result.cut) == ([], [])
    assert len(result.again) >= 1
    assert f"sent again: {len(result.again)}" in str(result)
    assert result.between(0, time.monotonic()).again == result.again
    assert result.between(0, result.again[0]).again == []


def test_a_request_that_somebody_worked_on_is_a_failure() -> None:
    async def dies_at_work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(ANSWER)
        await request(reader)
        await asyncio.sleep(1.2)
        writer.close()

    result = seen_of(dies_at_work)
    assert "without sending a response" in result.failed[0].problem
    assert result.again == []


def test_a_new_connection_without_an_answer_is_a_failure() -> None:
    result = seen_of(closes_at_once)
    assert "without sending a response" in result.failed[0].problem
    assert result.again == []


def test_half_an_answer_is_a_failure() -> None:
    result = seen_of(breaks_off)
    assert "without sending complete message body" in result.failed[0].problem
    assert result.again == []


def test_a_stream_that_is_broken_off_is_cut() -> None:
    result = seen_of(breaks_off, "stream")
    assert [bool(one.problem) for one in result.seen[:2]] == [False, True]
    assert "without sending complete message body" in result.cut[0].problem
    assert result.again == []
