"""Asks for answers that come as a stream, as a client does with curl, and notes when each part arrived."""

import contextlib
import itertools
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from handbook import quiet, tools

from .client import Client

LONGEST_SECONDS = 90


@dataclass(frozen=True)
class Event:
    """A part of a stream, and the seconds after which it arrived; a comment's name is its text, after a colon."""

    name: str
    data: dict[str, Any]
    at: float


@dataclass
class Stream:
    """A stream that has ended. `version` is the one of HTTP; `cut` is what curl says of an end that is none."""

    status: int = 0
    version: str = ""
    cut: str = ""
    events: list[Event] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return [event.name for event in self.events]

    def named(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]

    def problem(self) -> dict[str, Any]:
        """The problem that it ends with. Raises AssertionError when it ends in another way, or not in order."""
        assert (self.status, self.cut) == (200, ""), self
        assert self.names.count("error") == 1, self.names
        assert self.names[-1] == "error", self.names
        problem = self.events[-1].data
        assert problem.keys() == {"title", "status", "detail", "request_id"}, problem
        return problem

    def is_whole(self) -> None:
        """It begins with its sources, goes on with tokens, and ends as an answer that is complete."""
        assert (self.status, self.cut) == (200, ""), self
        names = [name for name in self.names if not name.startswith(":")]
        assert (names[0], names[-1]) == ("sources", "done"), names
        assert len(names) > 2, names
        assert set(names[1:-1]) == {"token"}, names


def ask(client: Client, question: str, *, version: str = "2") -> Stream:
    """Ask a question and return the answer. `version` is the one of HTTP: "1.1" or "2"."""
    url = f"https://{client.host}:{client.https}/v1/answers"
    there = f"{client.host}:{client.https}:127.0.0.1"
    # curl is not to read a file of whoever runs this, and the key is not for the list of processes.
    options = ["--disable", "--config", "-", "--silent", "--show-error", "--no-buffer", f"--http{version}"]
    options += ["--cacert", str(client.ca), "--resolve", there, "--noproxy", "*", "--max-time", str(LONGEST_SECONDS)]
    options += ["--write-out", "%{stderr}%{http_version} %{http_code}", "--json", json.dumps({"question": question})]
    stream = Stream()
    with subprocess.Popen(
        [tools.find("curl"), *options, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as curl:
        assert curl.stdin
        assert curl.stdout
        assert curl.stderr
        curl.stdin.write(f'header = "Authorization: Bearer {client.key}"\n')
        curl.stdin.close()
        stream.events = list(_events(curl.stdout))
        *said, end = curl.stderr.read().splitlines()
    stream.version, status = end.split()
    stream.status = int(status)
    stream.cut = " ".join(said)
    assert bool(curl.returncode) == bool(said), f"curl ended with {curl.returncode}: {said}"
    return stream


@contextlib.contextmanager
def all_the_time(client: Client, many: int = 8) -> Iterator[None]:
    """Ask for short streams, some at a time, while a `with` block runs. Each of them has to be whole.

    No test of another process runs meanwhile.
    """
    over = threading.Event()

    def one_after_another() -> None:
        while not over.is_set():
            ask(client, "drip 15").is_whole()

    with quiet.measuring(), ThreadPoolExecutor(many) as pool:
        asking = [pool.submit(one_after_another) for _ in range(many)]
        try:
            yield
        finally:
            over.set()
        for asked in asking:
            asked.result()


def _events(lines: Iterator[str]) -> Iterator[Event]:
    """The events of a stream, each with the time at which its last line arrived."""
    started = time.monotonic()
    name, data = "", ""
    for line in map(str.rstrip, lines):
        field_name, _, value = line.partition(": ")
        if field_name == "event":
            name = value
        elif field_name == "data":
            data = value
        elif line.startswith(":"):
            name = line
        elif name:
            yield Event(name, json.loads(data or "{}"), time.monotonic() - started)
            name, data = "", ""


def comes_token_by_token(client: Client, version: str) -> None:
    """Each token arrives when the provider has sent it, and not at the end with all others."""
    stream = ask(client, "drip 20", version=version)
    stream.is_whole()
    assert stream.version == version, f"HTTP {stream.version}"
    arrivals = [event.at for event in stream.named("token")]
    assert len(arrivals) == 20, stream.names
    # The stand-in sends one each 100 ms.
    spread = arrivals[-1] - arrivals[0]
    assert spread > 1, f"the first token came {spread:.2f} s before the last"
    apart = sum(later - earlier > 0.02 for earlier, later in itertools.pairwise(arrivals))
    assert apart > 5, f"{apart} of 20 tokens came by themselves"
