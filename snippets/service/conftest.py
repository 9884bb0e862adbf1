"""What the tests share. pytest puts this file's folder on the import path, so the package need not be installed."""

import io
import json
import logging
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from assistant import logs
from assistant.app import create_app
from assistant.settings import ServerSettings, Settings

PASSWORD = "kW7uZr2-tQx9_bFhM4cV"

Lines = Callable[[], list[dict[str, Any]]]


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
def app(monkeypatch: pytest.MonkeyPatch, absent_port: int) -> FastAPI:
    """The application, not started yet, with a database that refuses connections."""
    monkeypatch.setenv("DATABASE_PASSWORD", PASSWORD)
    monkeypatch.setenv("DATABASE_PORT", str(absent_port))
    return create_app()


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, which is started for it."""
    transport = httpx.ASGITransport(app, client=("192.0.2.7", 50000))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
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
