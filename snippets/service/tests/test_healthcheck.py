import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from assistant import healthcheck


class Ready(BaseHTTPRequestHandler):
    """Answers as /health/ready would, with the status that a test sets."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health/ready" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Ready) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize("host", ["0.0.0.0:1,0.0.0.0", "0.0.0.0", "127.0.0.1", "[::]", ""])
def test_a_ready_service_passes_wherever_it_is_bound(monkeypatch: pytest.MonkeyPatch, port: int, host: str) -> None:
    monkeypatch.setenv("GUNICORN_BIND", f"{host}:{port}")
    healthcheck.main()


def test_a_unix_socket_is_asked_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GUNICORN_BIND", "unix:service.sock")
    with pytest.raises(SystemExit, match="No such file"):
        healthcheck.main()

    def answer() -> None:
        with server.accept()[0] as connection:
            assert connection.recv(4096).startswith(b"GET /health/ready ")
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with socket.socket(socket.AF_UNIX) as server:
        server.bind("service.sock")
        server.listen()
        Thread(target=answer, daemon=True).start()
        healthcheck.main()


def test_a_service_with_one_address_is_asked_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.2", 0), Ready) as server:
        Thread(target=server.handle_request, daemon=True).start()
        monkeypatch.setenv("GUNICORN_BIND", f"127.0.0.2:{server.server_port}")
        healthcheck.main()


def test_a_service_that_is_not_ready_fails(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setenv("GUNICORN_BIND", f"0.0.0.0:{port}")
    monkeypatch.setattr(Ready, "status", 503)
    with pytest.raises(SystemExit, match="status 503"):
        healthcheck.main()


def test_an_absent_service_fails(monkeypatch: pytest.MonkeyPatch, absent_port: int) -> None:
    monkeypatch.setenv("GUNICORN_BIND", f"0.0.0.0:{absent_port}")
    with pytest.raises(SystemExit, match="refused"):
        healthcheck.main()
