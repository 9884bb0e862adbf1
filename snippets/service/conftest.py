"""What the tests share. pytest puts this file's folder on the import path, so the package need not be installed."""

import io
import json
import logging
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import redirect_stdout
from hashlib import sha256
from http.server import ThreadingHTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from assistant import logs
from assistant.app import create_app
from assistant.settings import ServerSettings, Settings

PASSWORD = "kW7uZr2-tQx9_bFhM4cV"
KEY = "pJ4s-Yt8vQe2nXw6_LbGd"

Lines = Callable[[], list[dict[str, Any]]]

STAND_IN = Path(__file__).parents[1] / "provider" / "provider.py"


class StandIn:
    """The stand-in for a model provider, which listens at `url`. `module` is its file, `lines` its log."""

    def __init__(self, module: ModuleType, server: ThreadingHTTPServer) -> None:
        self.module = module
        self.server = server
        self.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        self.lines: list[dict[str, Any]] = []

    def write(self, message: str, **fields: Any) -> None:
        self.lines.append(json.loads(json.dumps({"message": message, **fields})))

    def end(self) -> list[dict[str, Any]]:
        """End it and return its whole log: it answers a request first, and writes the line about it then."""
        self.server.shutdown()
        self.server.server_close()
        return self.lines


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty secrets directory, and no setting of this machine."""
    for name in Settings.model_fields | ServerSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def absent_port() -> Iterator[int]:
    """A port that refuses connections: bound, so that nobody else takes it, and never listening."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def required_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every setting that has no default, as variables."""
    for name in ("DATABASE_PASSWORD", "CACHE_PASSWORD", "BROKER_PASSWORD", "PROVIDER_API_KEY"):
        monkeypatch.setenv(name, PASSWORD)
    monkeypatch.setenv("API_KEYS", f"tests:{sha256(KEY.encode()).hexdigest()}")


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, required_settings: None, absent_port: int) -> FastAPI:
    """The application, not started yet, with a database and Redis servers that refuse connections.

    It knows one key: KEY, of the caller "tests".
    """
    monkeypatch.setenv("DATABASE_PORT", str(absent_port))
    for name in ("CACHE_URL", "BROKER_URL"):
        monkeypatch.setenv(name, f"redis://127.0.0.1:{absent_port}/0")
    return create_app()


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, which is started for it, with KEY."""
    transport = httpx.ASGITransport(app, client=("192.0.2.7", 50000))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=transport, base_url="http://test", headers={"Authorization": f"Bearer {KEY}"}
        ) as client,
    ):
        yield client


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """Log as the service does, and read the lines that stdout got so far."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    with redirect_stdout(io.StringIO()) as stdout:
        logs.configure("json", "INFO")
    yield lambda: [json.loads(line) for line in stdout.getvalue().splitlines()]
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """The stand-in for a model provider, in a thread of this process and in a hurry."""
    spec = spec_from_file_location("stand_in", STAND_IN)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.Provider(("127.0.0.1", 0), module.Handler) as server:
        running = StandIn(module, server)
        monkeypatch.setattr(module, "log", running.write)
        monkeypatch.setattr(module, "TOKEN_SECONDS", 0)
        monkeypatch.setattr(module, "DRIP_SECONDS", 0.01)
        monkeypatch.setattr(module, "RETRY_AFTER_SECONDS", 0)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        # A proxy of this machine has no way to it.
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield running
        server.shutdown()
        thread.join()
