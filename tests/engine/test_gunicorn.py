"""What the page about gunicorn's settings says is what gunicorn does: each is made to happen, with real processes.

All but the ones about the service itself serve a small application with the service's own gunicorn.conf.py.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from gunicorn.app.wsgiapp import WSGIApplication
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.gasgi import ASGIWorker

from handbook import tools
from handbook.catalog import ROOT, Catalog
from handbook.facts import gunicorn as facts
from handbook.site import tables
from handbook.walkthroughs import steps
from tests.boot import symptoms
from tests.boot.symptoms import Symptom
from tests.running import SECRETS, SERVICE, Running, running

PAGE = ROOT / "docs" / "gunicorn.md"
LOOK = ROOT / "snippets" / "gunicorn" / "look.sh"
GUNICORN = (sys.executable, "-m", "gunicorn")
SMALL = (*GUNICORN, "small_app:app")
LISTENS = "ASGI server listening"
Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a server with these settings, wait until its workers listen, and end it with the test."""
    with ExitStack() as stack:

        def started(*command: str, workers: int = 1, cwd: Path = SERVICE, port: int = 0, **settings: str) -> Running:
            log = tmp_path / f"log-{len(list(tmp_path.glob('log-*')))}"
            settings = {"PYTHONPATH": str(Path(__file__).parent), **settings}
            server = stack.enter_context(running(command or SMALL, log, settings, cwd=cwd, port=port))
            if workers:
                server.until(LISTENS, workers)
            return server

        yield started


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the service with the small application in it, to be edited."""
    folder = tmp_path / "service"
    shutil.copytree(SERVICE, folder, ignore=shutil.ignore_patterns("__pycache__", "tests", ".venv"))
    shutil.copy2(Path(__file__).with_name("small_app.py"), folder / "edited_app.py")
    return folder


def get(server: Running, path: str = "/") -> str:
    """Ask on a connection of its own."""
    return httpx.get(f"{server.url}{path}", timeout=20, trust_env=False).text


def test_the_page_has_a_heading_for_each_setting_of_the_table() -> None:
    headings = re.findall(r"^### `(\w+)`$", PAGE.read_text(encoding="utf-8").partition("\n## When it")[0], re.MULTILINE)
    assert headings == list(tables.gunicorn_names(Catalog()))


def test_the_page_names_the_symptoms_that_are_shown() -> None:
    symptoms.all_are_shown(PAGE, sys.modules[__name__])


def test_the_defaults_that_contracts_use_are_those_of_gunicorn() -> None:
    settings = Config().settings
    wrong = {name: value for name, value in facts.DEFAULTS.items() if settings[name].get() not in (value, [value])}
    assert not wrong


@pytest.mark.parametrize(
    ("variable", "value", "workers"),
    [("GUNICORN_WORKERS", "3", 1), ("WEB_CONCURRENCY", "3", 3), ("GUNICORN_CMD_ARGS", "--workers=3", 3)],
)
def test_gunicorn_itself_reads_two_variables(
    start: Start, tmp_path: Path, variable: str, value: str, workers: int
) -> None:
    """In a folder without gunicorn.conf.py. Three would have said the same within a moment."""
    server = start(
        *SMALL, "--worker-class=asgi", "--bind=127.0.0.1:0", cwd=tmp_path, workers=workers, **{variable: value}
    )
    time.sleep(0.5)
    assert len(server.children()) == workers


def test_arguments_win_over_the_file(start: Start) -> None:
    server = start(
        *SMALL, "--print-config", workers=0, GUNICORN_CMD_ARGS="--timeout=77 --workers=3", GUNICORN_TIMEOUT="9"
    )
    assert server.ended() == 0
    assert re.findall(r"^(?:workers|timeout) += (\d+)$", server.said(), re.MULTILINE) == ["77", "3"]


@pytest.mark.parametrize(
    ("name", "says"),
    [("see-what-counts", "graceful_timeout                   = 65\n"), ("check-before-a-reload", "")],
)
def test_the_page_says_how_to_look(name: str, says: str, tmp_path: Path) -> None:
    (step,) = (step for step in steps(LOOK) if step.name == name)
    environment = {**SECRETS, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    looked = tools.run(["bash", "-euo", "pipefail", "-c", step.text], cwd=SERVICE, env=environment)
    assert looked.returncode == 0, looked.stderr
    assert says in looked.stdout


@pytest.mark.shows("Connection in use")
def test_an_address_that_is_taken(start: Start, symptom: Symptom) -> None:
    first = start()
    second = start(port=first.port, workers=0)
    assert second.ended() == 1
    symptom.is_in(second.said())
    assert get(first)


@pytest.mark.shows("Invalid address")
def test_an_address_of_another_host(start: Start, symptom: Symptom) -> None:
    server = start(workers=0, GUNICORN_BIND="192.0.2.7:8000")
    symptom.is_in(server.until("Invalid address"))


@pytest.mark.parametrize(("host", "answers"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_loopback_is_not_every_address(start: Start, host: str, answers: bool) -> None:
    """127.0.0.2 stands for the other addresses of a host: Linux gives all of 127.0.0.0/8 to the loopback device."""
    server = start(GUNICORN_BIND=f"{host}:0")
    (port,) = re.findall(rf"ASGI server listening on http://{re.escape(host)}:(\d+)", server.said())
    with socket.socket() as client:
        assert (client.connect_ex(("127.0.0.2", int(port))) == 0) is answers


def test_whoever_may_enter_its_folder_may_use_a_socket(start: Start, tmp_path: Path) -> None:
    """A file that a killed gunicorn has left is replaced."""
    path = tmp_path / "api.sock"
    first = start(GUNICORN_BIND=f"unix:{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o777
    first.send(signal.SIGKILL)
    first.ended()
    assert path.exists()
    start(GUNICORN_BIND=f"unix:{path}")
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
        assert client.get("http://localhost/").status_code == 200


def test_a_socket_in_a_folder_that_is_not_there(start: Start, tmp_path: Path) -> None:
    server = start(workers=0, GUNICORN_BIND=f"unix:{tmp_path}/gone/api.sock")
    server.until("No such file or directory")


@pytest.mark.shows("WORKER TIMEOUT")
def test_timeout_is_how_long_a_worker_may_be_stuck(start: Start, symptom: Symptom) -> None:
    server = start(GUNICORN_TIMEOUT="2")
    (before,) = server.children()
    assert get(server, "/wait?seconds=4") == str(before), "a request that waits is not stuck"
    with pytest.raises(httpx.RemoteProtocolError):
        get(server, "/block?seconds=10")
    symptom.is_in(server.until("Booting worker", 2))
    # The signal that comes first would let it end in order, but a worker that is stuck does not see it.
    assert f"Worker (pid:{before}) was sent SIGKILL! Perhaps out of memory?" in server.said()
    assert get(server) != str(before)


def test_every_request_of_a_worker_dies_with_it(start: Start) -> None:
    server = start(GUNICORN_TIMEOUT="2")
    with ThreadPoolExecutor(2) as pool:
        other = pool.submit(get, server, "/wait?seconds=8")
        time.sleep(1)
        stuck = pool.submit(get, server, "/block?seconds=10")
    assert isinstance(stuck.exception(), httpx.RemoteProtocolError)
    assert isinstance(other.exception(), httpx.RemoteProtocolError)


@pytest.mark.parametrize(("grace", "whole"), [("1", False), ("10", True)])
def test_graceful_timeout_is_what_a_stop_waits_for(start: Start, grace: str, whole: bool) -> None:
    server = start(GUNICORN_GRACEFUL_TIMEOUT=grace)
    with ThreadPoolExecutor(1) as pool:
        stream = pool.submit(get, server, "/stream?seconds=6")
        time.sleep(1.5)
        server.send(signal.SIGTERM)
        assert (stream.exception() is None) is whole
    assert server.ended() == 0


def test_a_stop_waits_for_idle_connections_too(start: Start) -> None:
    server = start()
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        server.send(signal.SIGTERM)
        assert server.ended() == 0
    assert 2 < time.monotonic() - began < 10


def test_keepalive_ends_a_connection_that_is_idle(start: Start) -> None:
    server = start(*SMALL, "--keep-alive=1")
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = client.recv(1000)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" not in answer.lower()
        time.sleep(3)
        # What a proxy meets that takes the connection for an open one.
        assert asked_again(client) == b""


def asked_again(client: socket.socket) -> bytes:
    """Send a request on an open connection, and return what comes: nothing when the server has closed it."""
    try:
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        return client.recv(1000)
    except ConnectionError:
        return b""


def test_with_one_process_its_replacement_is_waited_for(start: Start) -> None:
    """max_requests with one process: nothing fails, and what comes in between waits until the next has booted."""
    server = start(GUNICORN_MAX_REQUESTS="3", IMPORT_SECONDS="1")
    took, answered = [], set()
    end = time.monotonic() + 20
    while len(answered) < 2 and time.monotonic() < end:
        began = time.monotonic()
        answered.add(get(server))
        took.append(time.monotonic() - began)
        time.sleep(0.05)
    assert len(answered) == 2
    assert max(took) > 0.9
    assert "Autorestarting worker after current request." in server.said()


@pytest.mark.parametrize(("jitter", "together"), [(0, True), (50, False)])
def test_without_jitter_all_workers_have_the_same_limit(jitter: int, together: bool) -> None:
    config = Config()
    config.set("max_requests", 1000)
    config.set("max_requests_jitter", jitter)
    # Made without its constructor, which reads the command line.
    application = WSGIApplication.__new__(WSGIApplication)
    workers = [ASGIWorker(age, 1, [], application, 30, config, Logger(config)) for age in range(16)]
    limits = {worker.max_requests for worker in workers}
    for worker in workers:
        worker.tmp.close()
    assert (len(limits) == 1) is together
    assert limits <= set(range(1000, 1000 + jitter + 1))


@pytest.mark.shows("ASGI worker does not use threads configuration.")
def test_threads_have_no_effect(start: Start, symptom: Symptom) -> None:
    symptom.is_in(start(GUNICORN_THREADS="4").said())


def test_the_sync_worker_cannot_serve_the_service(start: Start) -> None:
    server = start(*GUNICORN, "--worker-class=sync", workers=0)
    server.until("Booting worker")
    assert httpx.get(f"{server.url}/version", timeout=20, trust_env=False).status_code == 500
    assert "missing 1 required positional argument: 'send'" in server.said()


def test_with_preload_nothing_is_counted(start: Start) -> None:
    """The application is imported before the folder for the counts is known."""
    seen = {}
    for option in ((), ("--preload",)):
        server = start(*GUNICORN, *option, PROMETHEUS_MULTIPROC_DIR="")
        get(server, "/version")
        seen[option] = 'route="/version"' in get(server, "/metrics")
        # In order: it has to remove the folder.
        server.send(signal.SIGTERM)
        assert server.ended() == 0
    assert seen == {(): True, ("--preload",): False}


@pytest.mark.parametrize(("option", "answer"), [((), "new"), (("--preload",), "old")])
def test_reload_serves_the_new_files_unless_they_were_imported_before(
    start: Start, copied: Path, option: tuple[str, ...], answer: str
) -> None:
    server = start(*GUNICORN, "edited_app:app", *option, cwd=copied)
    app = copied / "edited_app.py"
    app.write_text(app.read_text().replace("str(os.getpid()).encode()", 'b"new"'))
    server.send(signal.SIGHUP)
    server.until("Worker exiting")
    assert (get(server) == "new") is (answer == "new")


@pytest.mark.parametrize(("path", "announced"), [("/wait", True), ("/stream", False)])
def test_a_reload_closes_connections_that_stay_open(start: Start, path: str, announced: bool) -> None:
    """An answer that has begun before it can't say any more that it is the last on its connection."""
    server = start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(f"GET {path}?seconds=3 HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        time.sleep(0.5)
        server.send(signal.SIGHUP)
        answer = b""
        while not answer.endswith(b"0\r\n\r\n") and (more := client.recv(1000)):
            answer += more
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b"0\r\n\r\n")
        assert (b"connection: close" in answer.lower()) is announced
        assert asked_again(client) == b""


def test_reload_ends_uvicorn_with_one_process(start: Start) -> None:
    """It has no other process then that would start it again."""
    server = start(sys.executable, "-m", "assistant", workers=0)
    server.until("Application startup complete")
    server.send(signal.SIGHUP)
    assert server.ended() == -signal.SIGHUP


def test_reload_does_not_wait_until_the_new_process_can_answer(start: Start) -> None:
    """The port stays open: what comes in between waits, and is answered."""
    server = start(IMPORT_SECONDS="2")
    (before,) = server.children()
    server.send(signal.SIGHUP)
    server.until("Worker exiting")
    assert server.said().count(LISTENS) == 1, "the next one listens already"
    began = time.monotonic()
    assert get(server) != str(before)
    assert time.monotonic() - began > 0.5


def test_reload_reads_the_configuration_again(start: Start, copied: Path) -> None:
    server = start(*GUNICORN, "edited_app:app", cwd=copied)
    with (copied / "gunicorn.conf.py").open("a") as file:
        file.write("\nworkers = 2\n")
    server.send(signal.SIGHUP)
    server.until(LISTENS, 3)
    server.until("Worker exiting")
    assert server.process.poll() is None


@pytest.mark.shows("Failed to read config file")
def test_reload_with_a_mistake_in_the_configuration_ends_gunicorn(start: Start, copied: Path, symptom: Symptom) -> None:
    server = start(*GUNICORN, "edited_app:app", cwd=copied)
    with (copied / "gunicorn.conf.py").open("a") as file:
        file.write("\ntimeout = = 3\n")
    checked = start(*GUNICORN, "--check-config", "edited_app:app", cwd=copied, workers=0)
    assert checked.ended() == 1
    assert server.process.poll() is None
    server.send(signal.SIGHUP)
    assert server.ended() == 1
    symptom.is_in(server.said())


@pytest.mark.shows("Worker failed to boot.")
def test_reload_with_a_mistake_in_the_application_ends_gunicorn(start: Start, copied: Path, symptom: Symptom) -> None:
    server = start(*GUNICORN, "edited_app:app", cwd=copied)
    with (copied / "edited_app.py").open("a") as file:
        file.write("\nx = = 3\n")
    checked = start(*GUNICORN, "--check-config", "edited_app:app", cwd=copied, workers=0)
    assert checked.ended() == 1
    server.send(signal.SIGHUP)
    assert server.ended() == 3
    symptom.is_in(server.said())


def test_ready_is_said_before_the_application_is_loaded(start: Start, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        server = start(workers=0, NOTIFY_SOCKET=str(tmp_path / "notify"), IMPORT_SECONDS="3")
        assert systemd.recv(1000).startswith(b"READY=1")
    began = time.monotonic()
    assert LISTENS not in server.said()
    # The connection is made, and waits.
    assert get(server)
    assert time.monotonic() - began > 2


@pytest.mark.parametrize(("level", "said"), [("warning", False), ("info", True)])
def test_the_log_level_of_gunicorn_is_not_that_of_the_service(start: Start, level: str, said: bool) -> None:
    server = start(*GUNICORN, workers=0, GUNICORN_LOG_LEVEL=level)
    end = time.monotonic() + 20
    while True:
        try:
            get(server, "/version")
            break
        except httpx.ConnectError:
            assert time.monotonic() < end, server.said()
            time.sleep(0.05)
    server.until("GET /version 200")
    assert ("Listening at" in server.said()) is said
