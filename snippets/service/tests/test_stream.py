import asyncio
from collections.abc import AsyncGenerator

import pytest
from starlette.types import Message

from assistant.stream import HEARTBEAT, EventStream, paced

pytestmark = pytest.mark.anyio

SCOPE = {"type": "http", "asgi": {"spec_version": "2.4"}}


class Source:
    """Yields what it is given: a text at once, a number is a pause. It knows whether it was closed."""

    def __init__(self, *items: str | float) -> None:
        self.items = items
        self.closed = False

    async def __call__(self) -> AsyncGenerator[str]:
        try:
            for item in self.items:
                if isinstance(item, str):
                    yield item
                else:
                    await asyncio.sleep(item)
        finally:
            self.closed = True


async def take(items: AsyncGenerator[str | None], taken: list[str | None]) -> None:
    async for item in items:
        taken.append(item)


async def test_where_nothing_comes_for_long_there_is_none() -> None:
    source = Source("a", 0.25, "b")
    assert [item async for item in paced(source(), heartbeat=0.1, longest=5)] == ["a", None, None, "b"]
    assert source.closed


async def test_it_takes_no_longer_than_it_may() -> None:
    source = Source("a", 10, "b")
    taken: list[str | None] = []
    with pytest.raises(TimeoutError, match=r"longer than 0\.1 seconds"):
        await take(paced(source(), heartbeat=5, longest=0.1), taken)
    assert taken == ["a"]
    assert source.closed


async def test_what_the_source_raises_comes_after_what_it_said() -> None:
    async def broken() -> AsyncGenerator[str]:
        yield "a"
        raise ValueError("broken")

    taken: list[str | None] = []
    with pytest.raises(ValueError, match="broken"):
        await take(paced(broken(), heartbeat=5, longest=5), taken)
    assert taken == ["a"]


async def test_who_takes_no_more_ends_the_source() -> None:
    source = Source("a", 10, "b")
    items = paced(source(), heartbeat=5, longest=5)
    assert await anext(items) == "a"
    await items.aclose()
    assert source.closed


async def events(source: Source) -> AsyncGenerator[bytes]:
    async for text in source():
        yield text.encode()


async def test_a_client_that_leaves_ends_the_work_at_once() -> None:
    source = Source("a", 10, "b")
    body = []
    began = asyncio.Event()

    async def receive() -> Message:
        await began.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        body.append(message.get("body"))
        if message.get("body"):
            began.set()

    async with asyncio.timeout(5):
        await EventStream(events(source))(SCOPE, receive, send)
    assert body == [None, b"a"]
    assert source.closed


async def test_a_client_that_stays_gets_everything() -> None:
    body = []

    async def receive() -> Message:
        await asyncio.sleep(10)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        body.append((message.get("body"), message.get("more_body")))

    async with asyncio.timeout(5):
        await EventStream(events(Source("a", 0.05, "b")))(SCOPE, receive, send)
    assert body == [(None, None), (b"a", True), (b"b", True), (b"", False)]


async def test_a_failure_is_not_taken_for_a_client_that_left() -> None:
    async def broken() -> AsyncGenerator[bytes]:
        yield b"a"
        raise ValueError("broken")

    async def receive() -> Message:
        await asyncio.sleep(10)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None: ...

    with pytest.raises(ValueError, match="broken"):
        await EventStream(broken())(SCOPE, receive, send)


def test_the_heartbeat_is_a_comment() -> None:
    assert HEARTBEAT.startswith(b":")
    assert HEARTBEAT.endswith(b"\n\n")
