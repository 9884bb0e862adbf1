"""Mixed load on a booted stack, through nginx: what failed, what was cut, and how long the slowest request took.

It runs beside what a test does. It is paced, because it is there to notice and not to press, and stays within what the
stack allows to one address and to one API key. A connection that breaks is a failure. Only a POST that failed is sent
again, with the same Idempotency-Key, as its client would; the failure counts all the same.

One end of a connection is none: a server may close a kept connection after an answer, and who sends the next request in
that moment gets no byte back. It is sent once more, over a new connection, as curl, Go and browsers do:
https://www.rfc-editor.org/rfc/rfc9112#section-9.3.1. All that is asked here may be asked twice: it reads, or has an
Idempotency-Key, or wants an answer, which changes nothing. How often that was so is told.
"""

import asyncio
import itertools
import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from types import TracebackType
from typing import Any, Protocol

import httpx

from handbook import quiet, tools
from handbook.stacks import Boot

# For each kind of request: how many clients send it, and how many seconds each of them waits from one to the next.
PACE = {"version": (8, 0.05), "search": (4, 0.5), "store": (4, 0.5), "stream": (4, 1.0)}
# A stream lasts this many tenths of a second; see the provider's `drip`.
DROPS = 150
_ATTEMPTS = 3
_BREATH = 0.05
# Who closes a connection does so at once, even on a busy machine.
_CLOSING_SECONDS = 1
# Steps of a request: https://www.encode.io/httpcore/extensions/#trace.
_CONNECTS, _ANSWERED = "connection.connect_tcp.started", "http11.receive_response_headers.complete"


@dataclass(frozen=True)
class Seen:
    """One request: when it began, how long it took, and what was wrong with it, if anything was."""

    kind: str
    began: float
    seconds: float
    problem: str


@dataclass
class Result:
    """What the load saw. `stored` has the text of each POST that was answered well, and the id in the answer.

    `again` is when requests met a kept connection that was just being closed.
    """

    seen: list[Seen] = field(default_factory=list)
    stored: dict[str, str] = field(default_factory=dict)
    again: list[float] = field(default_factory=list)

    @property
    def failed(self) -> list[Seen]:
        return [one for one in self.seen if one.problem and one.kind != "stream"]

    @property
    def cut(self) -> list[Seen]:
        """The streams that did not come to their end."""
        return [one for one in self.seen if one.problem and one.kind == "stream"]

    @property
    def slowest(self) -> float:
        """The seconds that the slowest request took, streams aside."""
        return max((one.seconds for one in self.seen if one.kind != "stream"), default=0.0)

    def between(self, since: float, until: float) -> "Result":
        """What was under way between two times."""
        seen = [one for one in self.seen if one.began < until and one.began + one.seconds > since]
        return Result(seen, again=[moment for moment in self.again if since < moment < until])

    def streams_across(self, moment: float) -> int:
        """How many streams had begun a second before a moment and ended a second after it, or later."""
        return sum(s.kind == "stream" and s.began < moment - 1 and s.began + s.seconds > moment + 1 for s in self.seen)

    def __str__(self) -> str:
        counts = Counter(one.kind for one in self.seen)
        wrong = Counter(f"{one.kind}: {one.problem}" for one in self.failed + self.cut)
        told = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        return f"{told}; slowest {self.slowest:.2f} s; sent again: {len(self.again)}; wrong: {dict(wrong) or 'nothing'}"


def new_clients(many: int) -> tuple[list[str], str]:
    """Return the keys of clients, and the lines by which the service knows them."""
    keys = [uuid.uuid4().hex * 2 for _ in range(many)]
    return keys, "".join(f"client-{number}:{sha256(key.encode()).hexdigest()}\n" for number, key in enumerate(keys))


def add_clients(boot: Boot, many: int) -> list[str]:
    """Add clients to those that the service knows when it starts next, as an operator does, and return their keys."""
    keys, lines = new_clients(many)
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    appended = tools.run([*as_root, "tee", "--append", "secrets/api_keys"], cwd=boot.folder, input=lines)
    assert appended.returncode == 0, appended.stderr
    return keys


class Asked(Protocol):
    """What is asked: a name, and how to reach it."""

    @property
    def host(self) -> str: ...

    def connect(self) -> httpx.AsyncClient: ...


class Load:
    """The load of clients with these API keys while a `with` block runs, for `longest` seconds at most.

    No test of another process runs meanwhile.

    `drops` is how long a stream lasts, in tenths of a second; `pace` takes the place of PACE.
    """

    def __init__(
        self,
        client: Asked,
        keys: Sequence[str],
        longest: float = 600,
        *,
        drops: int = DROPS,
        pace: Mapping[str, tuple[int, float]] = PACE,
    ) -> None:
        self.result = Result()
        self._drops = drops
        self._pace = pace
        self._longest = longest
        self.name = uuid.uuid4().hex
        self._client = client
        self._keys = itertools.cycle(keys)
        self._numbers = itertools.count()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")

    def __enter__(self) -> "Load":
        with ExitStack() as entered:
            entered.enter_context(quiet.measuring())
            self._thread.start()
            self._entered = entered.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._ends.set()
            self._thread.join()
        finally:
            self._entered.__exit__(kind, error, trace)

    async def _run(self) -> None:
        requests = {"version": self._version, "search": self._search, "store": self._store, "stream": self._stream}
        clients = (
            # Streams begin one after another, so that at any moment some are in their middle.
            self._one_client(requests[kind], pause, number * self._drops / 10 / many if kind == "stream" else 0)
            for kind, (many, pause) in self._pace.items()
            for number in range(many)
        )
        await asyncio.gather(*clients)

    async def _one_client(
        self, request: Callable[[httpx.AsyncClient], Awaitable[object]], pause: float, after: float
    ) -> None:
        """Send one request after the other over one kept connection, until the load ends; begin `after` seconds."""
        await asyncio.sleep(after)
        deadline = time.monotonic() + self._longest
        async with self._client.connect() as client:
            while not self._ends.is_set() and time.monotonic() < deadline:
                next_one = time.monotonic() + pause
                await request(client)
                wait = next_one - time.monotonic()
                await asyncio.sleep(wait if wait > 0 else _BREATH)

    async def _version(self, client: httpx.AsyncClient) -> None:
        await self._send("version", client, "GET", "/version")

    async def _search(self, client: httpx.AsyncClient) -> None:
        # Never the same question: no answer is to come out of the cache.
        await self._send("search", client, "GET", "/v1/search", params={"q": f"question {next(self._numbers)}"})

    async def _store(self, client: httpx.AsyncClient) -> None:
        text = f"{self.name} {next(self._numbers)}"
        headers = {**self._key(), "Idempotency-Key": uuid.uuid4().hex}
        for _ in range(_ATTEMPTS):
            answer = await self._send("store", client, "POST", "/v1/documents", json={"text": text}, headers=headers)
            if answer:
                self.result.stored[text] = answer.json()["id"]
                return
            await asyncio.sleep(0.5)

    async def _stream(self, client: httpx.AsyncClient) -> None:
        """Ask for a stream that lasts, and look whether each of its parts arrives."""
        await self._send("stream", client, "POST", "/v1/answers", json={"question": f"drip {self._drops}"})

    async def _send(
        self, kind: str, client: httpx.AsyncClient, method: str, path: str, **options: Any
    ) -> httpx.Response | None:
        """Send one request, note how it ended, and return the answer if it is a good one."""
        headers = {"Host": self._client.host, **options.pop("headers", self._key())}
        extensions = {"sni_hostname": self._client.host}
        began = time.monotonic()
        answer, problem = None, ""
        steps: set[str] = set()

        async def note(step: str, _: object) -> None:
            steps.add(step)

        ask = partial(client.request, method, path, headers=headers, extensions={**extensions, "trace": note})
        try:
            try:
                answer = await ask(**options)
            except (httpx.RemoteProtocolError, httpx.ReadError):
                # A new connection, an answer that has begun, and one that somebody works on are ended by nobody who is
                # well.
                late = time.monotonic() - began > _CLOSING_SECONDS
                if steps & {_CONNECTS, _ANSWERED} or late:
                    raise
                self.result.again.append(time.monotonic())
                answer = await ask(**options)
        except httpx.HTTPError as error:
            problem = repr(error)
        else:
            if answer.is_error:
                problem = f"{answer.status_code} {answer.text[:200]}"
            elif kind == "stream" and (events := _events(answer.text)) != self._whole_stream:
                problem = f"has {events}"
        self.result.seen.append(Seen(kind, began, time.monotonic() - began, problem))
        return None if problem else answer

    @property
    def _whole_stream(self) -> dict[str, int]:
        return {"sources": 1, "token": self._drops, "done": 1}

    def _key(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {next(self._keys)}"}


def stored_texts(ask: Callable[[str], str], load: Load) -> list[str]:
    """The texts of a load that are in the database, one for each document, in the order of `sorted`.

    `ask` returns what a statement yields, one row a line.
    """
    found = ask(f"SELECT text FROM documents WHERE text LIKE '{load.name} %' ORDER BY text COLLATE \"C\"")
    return found.splitlines()


def _events(text: str) -> dict[str, int]:
    """How many events of each name a stream has."""
    return dict(Counter(line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event: ")))
