import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

SERVICE = Path(__file__).parents[1]
REQUESTS = 100


@pytest.fixture
def gunicorn(monkeypatch: pytest.MonkeyPatch, required_settings: None, tmp_path: Path) -> Iterator[str]:
    """Run three processes of the service, and return their address."""
    monkeypatch.setenv("GUNICORN_BIND", "127.0.0.1:0")
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    log = tmp_path / "log"
    with log.open("w") as out:
        server = subprocess.Popen([sys.executable, "-m", "gunicorn"], cwd=SERVICE, env=os.environ, stdout=out)
    try:
        yield listening(log)
    finally:
        server.terminate()
        server.wait(timeout=60)


def listening(log: Path) -> str:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        address = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
        if address:
            return address[0]
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def get(url: str) -> str:
    """Ask on a connection of its own, so that any process may answer."""
    with urlopen(url, timeout=60) as answer:
        return answer.read().decode()


def test_every_scrape_tells_what_all_processes_counted(gunicorn: str) -> None:
    for _ in range(REQUESTS):
        get(f"{gunicorn}/version")
    scrapes = [get(f"{gunicorn}/metrics") for _ in range(6)]
    counted = 'http_requests_total{method="GET",route="/version",status="200"} '
    assert [line.removeprefix(counted) for text in scrapes for line in text.splitlines() if counted in line] == [
        f"{REQUESTS}.0"
    ] * len(scrapes)
    assert all("\nhttp_requests_in_progress 1.0\n" in text for text in scrapes)
