"""Runs a server on this machine until a test or a benchmark has seen enough of it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from handbook import tools
from handbook.catalog import ROOT

SERVICE = ROOT / "snippets" / "service"
KEY = "pJ4s-Yt8vQe2nXw6_LbGd"
PASSWORD = "kW7uZr2-tQx9_bFhM4cV"
# What the service will not start without. Nothing is asked with it: no database and no Redis run.
SECRETS = {
    "API_KEYS": f"tests:{sha256(KEY.encode()).hexdigest()}",
    "BROKER_PASSWORD": PASSWORD,
    "CACHE_PASSWORD": PASSWORD,
    "DATABASE_PASSWORD": PASSWORD,
    "PROVIDER_API_KEY": PASSWORD,
}
_PATIENCE = 30


@dataclass
class Running:
    """A server that was started: its first process, what it prints, and where it listens."""

    process: subprocess.Popen[bytes]
    log: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def until(self, text: str, times: int = 1) -> str:
        """Wait until it has printed `text` so often, and return all that it printed. Raises AssertionError if not."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            if self.said().count(text) >= times:
                return self.said()
            if self.process.poll() is not None and self.said().count(text) < times:
                break
            time.sleep(0.02)
        raise AssertionError(f"it has not said {text!r} {times} times:\n{self.said()}")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Wait until it has ended, and return its exit code."""
        return self.process.wait(_PATIENCE)

    def children(self) -> list[int]:
        """The processes that the first one has started and that are there now."""
        return children(self.process.pid)


@contextlib.contextmanager
def running(
    command: Sequence[str], log: Path, settings: Mapping[str, str], *, cwd: Path = SERVICE, port: int = 0
) -> Iterator[Running]:
    """Start `command` with those settings and no other of the service, and end it with all of its processes at last.

    A setting that is empty is not set.
    """
    port = port or free_port()
    names = (*SECRETS, "FORWARDED_ALLOW_IPS", "LOG_FORMAT", "LOG_LEVEL", "PROMETHEUS_MULTIPROC_DIR", "WEB_CONCURRENCY")
    inherited = {
        name: value for name, value in os.environ.items() if name not in names and not name.startswith("GUNICORN_")
    }
    # A server that is killed does not remove what it has counted.
    counts = log.with_suffix(".metrics")
    counts.mkdir()
    environment = {
        **inherited,
        **SECRETS,
        "LOG_FORMAT": "text",
        "GUNICORN_BIND": f"127.0.0.1:{port}",
        "PROMETHEUS_MULTIPROC_DIR": str(counts),
        "PYTHONDONTWRITEBYTECODE": "1",
        **settings,
    }
    environment = {name: value for name, value in environment.items() if value}
    with log.open("wb") as out:
        # Under nohup a run of tests ignores SIGHUP, and so would the server.
        whole = [tools.find("env"), "--default-signal=HUP", *command]
        process = subprocess.Popen(
            whole, cwd=cwd, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield Running(process, log, port)
    finally:
        # Its group, not it alone: a server that was killed leaves its workers.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_PATIENCE)


def children(pid: int) -> list[int]:
    """Return the processes that this one has started and that are there now."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
