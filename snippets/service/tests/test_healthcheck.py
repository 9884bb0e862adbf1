from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
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


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "[::]", ""])
def test_a_ready_service_passes_wherever_it_is_bound(monkeypatch: pytest.MonkeyPatch, port: int, host: str) -> None:
    monkeypatch.setenv("GUNICORN_BIND", f"{host}:{port}")
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
