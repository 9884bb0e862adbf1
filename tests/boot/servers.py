"""Starts the service on this machine in one of the ways that a page compares, and says what can be seen of it."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from handbook.stacks import Boot, free_ports

from .client import wait_for
from .database import held_table, waits_for_the_table
from .development import client_of, edited, version

# As short as it may be, so that a request can be seen to outlast it.
SHORT_GRACE = "2"
LONGER_SECONDS = 5
# Who compares the times of files does so once a second, and has to have seen them before an edit.
NOTICED_SECONDS = 1.5
LONG_REQUESTS = {"DATABASE_STATEMENT_TIMEOUT_SECONDS": "60", "REQUEST_TIMEOUT_SECONDS": "90"}


@dataclass(frozen=True)
class Way:
    """A way to start the service: `command` is what one types in its folder, and `port` says where it listens."""

    command: tuple[str, ...]
    port: Callable[[int], tuple[str, ...]] = lambda port: ()


WAYS = {
    "python -m assistant": Way(("python", "-m", "assistant")),
    "uvicorn --factory assistant.app:create_app": Way(
        ("uvicorn", "--factory", "assistant.app:create_app"), lambda port: ("--port", str(port))
    ),
    "gunicorn": Way(("gunicorn",)),
}


@dataclass
class Place:
    """Where the service runs: its folder, its settings, its environment's programs, and the stack that it needs."""

    folder: Path
    environment: Mapping[str, str]
    boot: Boot
    port: int
    programs: Path

    @property
    def secrets(self) -> Path:
        return self.boot.folder / "secrets"

    def client(self) -> httpx.Client:
        return client_of(self.port, self.secrets)

    def copied(self, folder: Path, port: int) -> "Place":
        """The same in a folder of its own, where the files may be edited, with a port of its own."""
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns(".venv", "__pycache__"))
        environment = {**self.environment, "GUNICORN_BIND": f"127.0.0.1:{port}"}
        return replace(self, folder=folder, environment=environment, port=port)


@dataclass
class Server:
    """A server that was started; its output is in `log`."""

    process: subprocess.Popen[bytes]
    log: Path
    client: httpx.Client = field(repr=False)

    @property
    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def answers(self) -> None:
        """Wait until it does. Raises AssertionError, with its output, when it ends instead."""

        def there() -> bool:
            assert self.process.poll() is None, self.text
            return self.client.get("/health/ready").status_code == 200

        wait_for(there, "it answers", 60)

    def serving(self) -> list[int]:
        """The processes that answer: the last ones of the tree, without the one in which Python counts resources."""
        return [pid for pid in _leaves(self.process.pid) if "resource_tracker" not in _command_line(pid)]

    def ends(self, seconds: float) -> int | None:
        """Its exit code; None when it still runs after some seconds."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None


def _leaves(pid: int) -> Iterator[int]:
    children = [int(child) for child in _read(f"/proc/{pid}/task/{pid}/children").split()]
    if not children:
        yield pid
    others = [child for child in children if "resource_tracker" not in _command_line(child)]
    if children and not others:
        yield pid
    for child in others:
        yield from _leaves(child)


def _command_line(pid: int) -> str:
    return _read(f"/proc/{pid}/cmdline").replace("\0", " ")


def _read(path: str) -> str:
    with contextlib.suppress(OSError):
        return Path(path).read_text(encoding="utf-8")
    return ""


@contextlib.contextmanager
def running(way: Way, place: Place, *options: str, cwd: Path | None = None, **settings: str) -> Iterator[Server]:
    """Start the service with more options and settings. All its processes are gone at the end."""
    program, *arguments = way.command
    command = [str(place.programs / program), *arguments, *way.port(place.port), *options]
    log = place.folder.parent / "server.log"
    environment = {**os.environ, **place.environment, **settings}
    with log.open("wb") as output, place.client() as client:
        process = subprocess.Popen(
            command,
            cwd=cwd or place.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield Server(process, log, client)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def observe(place: Place) -> dict[str, dict[str, str]]:
    """Return the column of each way: what is seen when one starts, edits, misconfigures and stops it.

    All ways are looked at at the same time, in copies; but one after the other where a table is held against them.
    """
    beside = place.boot.scratch / "ways"
    ports = free_ports()
    places = {name: place.copied(beside / str(number) / "service", next(ports)) for number, name in enumerate(WAYS)}
    with ThreadPoolExecutor() as pool:
        begun = {name: pool.submit(_by_itself, WAYS[name], places[name]) for name in WAYS}
        seen = {name: cells.result() for name, cells in begun.items()}
    return {name: {**seen[name], **_stopped(WAYS[name], places[name])} for name in WAYS}


def _by_itself(way: Way, place: Place) -> dict[str, str]:
    return {**_left_alone(way, place), **_edited(way, place), **_started_wrongly(way, place)}


@contextlib.contextmanager
def _edit(place: Place) -> Iterator[None]:
    """Edit a module of the routes, which no configuration imports."""
    with edited(place.folder / "assistant" / "health.py", '"name": "assistant"', '"name": "edited"'):
        yield


def _is_edited(client: httpx.Client) -> bool:
    answer = client.get("/version")
    assert answer.status_code == 200, answer.text
    return bool(answer.json()["name"] == "edited")


def _left_alone(way: Way, place: Place) -> dict[str, str]:
    cells = {}
    with running(way, place, LOG_FORMAT="json") as server:
        server.answers()
        cells["Processes that answer"] = str(len(server.serving()))
        identity = server.client.get("/version").headers["x-request-id"]
        with _edit(place):
            time.sleep(NOTICED_SECONDS)
            cells["An edit is served"] = "yes" if _is_edited(server.client) else "no"
        lines = server.text.splitlines()
        cells["The log has the format of `LOG_FORMAT`"] = "yes" if all(line.startswith("{") for line in lines) else "no"
        cells["A line for each request has its id"] = "yes" if identity in server.text else "no"
    with running(way, place, WEB_CONCURRENCY="2") as server:
        server.answers()
        wait_for(lambda: len(server.serving()) > 1, "more than one process", 15)
        cells["The same with `WEB_CONCURRENCY=2`"] = str(len(server.serving()))
    return cells


def _edited(way: Way, place: Place) -> dict[str, str]:
    cells = {}
    with running(way, place, "--reload") as server:
        server.answers()
        time.sleep(NOTICED_SECONDS)
        with _replaced_by_an_edit(server, _edit(place)):
            cells["The same with `--reload`"] = "yes" if _is_edited(server.client) else "no"
        configured = edited(place.folder / "assistant" / "__init__.py", "1.0.0", "5.0.0")
        with _replaced_by_an_edit(server, configured):
            cells["The same for a module that `gunicorn.conf.py` imports"] = (
                "yes" if version(server.client) == "5.0.0" else "no"
            )
        cells["A stream that is open at a reload"] = _edited_while_a_stream_is_open(server, place)
        with edited(place.folder / "assistant" / "embedder.py", "def embed(", "def (embed"):
            wait_for(lambda: "SyntaxError" in server.text, "the log says so", 30)
            code = server.ends(5)
        if code is None:
            server.answers()
        cells["An edit with a mistake, with `--reload`"] = (
            "waits for the next" if code is None else f"ends with code {code}"
        )
    return cells


@contextlib.contextmanager
def _replaced_by_an_edit(server: Server, edit: contextlib.AbstractContextManager[None]) -> Iterator[None]:
    """Edit a file and wait until other processes answer, and the same when the edit is taken back."""
    before = set(server.serving())
    with edit:
        wait_for(lambda: before.isdisjoint(server.serving()), "another process", 60)
        server.answers()
        yield
        time.sleep(NOTICED_SECONDS)
        before = set(server.serving())
    wait_for(lambda: before.isdisjoint(server.serving()), "another process", 60)
    server.answers()
    time.sleep(NOTICED_SECONDS)


def _edited_while_a_stream_is_open(server: Server, place: Place) -> str:
    """What becomes of a stream of ten seconds."""
    lines: list[str] = []

    def read() -> None:
        with (
            contextlib.suppress(httpx.TransportError),
            place.client() as other,
            other.stream("POST", "/v1/answers", json={"question": "drip 100"}) as answer,
        ):
            for line in answer.iter_lines():
                lines.append(line)

    before = set(server.serving())
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        wait_for(lambda: "event: token" in lines, "the stream has begun", 20)
        with _edit(place):
            wait_for(lambda: before.isdisjoint(server.serving()), "another process", 60)
            server.answers()
            time.sleep(NOTICED_SECONDS)
            before = set(server.serving())
        reading.result()
    wait_for(lambda: before.isdisjoint(server.serving()), "another process", 60)
    server.answers()
    time.sleep(NOTICED_SECONDS)
    return "is waited for" if "event: done" in lines else "is cut off"


def _stopped(way: Way, place: Place) -> dict[str, str]:
    """SIGTERM comes while a request waits for the database."""
    cells = {}
    with running(way, place) as server, held_table(place.boot) as release, ThreadPoolExecutor(1) as pool:
        server.answers()
        storing = pool.submit(_store, place)
        wait_for(lambda: waits_for_the_table(place.boot), "the request waits for the table")
        server.process.terminate()
        time.sleep(1)
        release()
        cells["A request that runs at SIGTERM"] = storing.result()
        exit_code = server.ends(20)
        cells["Exit code then"] = "that of the signal" if exit_code == -signal.SIGTERM else str(exit_code)
    with (
        running(way, place, GUNICORN_GRACEFUL_TIMEOUT=SHORT_GRACE, **LONG_REQUESTS) as server,
        held_table(place.boot),
        ThreadPoolExecutor(1) as pool,
    ):
        server.answers()
        storing = pool.submit(_store, place)
        wait_for(lambda: waits_for_the_table(place.boot), "the request waits for the table")
        server.process.terminate()
        waits = server.ends(LONGER_SECONDS) is None
        cells["The most that a request may take then"] = "has no limit" if waits else "`GUNICORN_GRACEFUL_TIMEOUT`"
        server.process.kill()
        storing.result()
    return cells


def _store(place: Place) -> str:
    with place.client() as client, contextlib.suppress(httpx.TransportError):
        answer = client.post("/v1/documents", json={"text": "Stored while the service stops."})
        return "is answered" if answer.status_code == 201 else f"gets {answer.status_code}"
    return "is cut off"


def _started_wrongly(way: Way, place: Place) -> dict[str, str]:
    with running(way, place, DATABASE_PASSWORD="changeme") as server:
        code = server.ends(30)
        how = "a traceback" if "Traceback" in server.text else "a line that names it"
        assert "DATABASE_PASSWORD" in server.text, server.text
        cells = {"A wrong setting": f"{how}, code {code}"}
    with running(way, place, cwd=place.folder.parent) as server:
        assert server.ends(30), "it runs"
        lines = server.text.strip().splitlines()
        cells["Started in another folder"] = f"`{lines[-1].rpartition(': ')[2]}`"
    return cells
