import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from conftest import PASSWORD

SERVICE = Path(__file__).parents[1]
WORKER = ["worker", "--concurrency", "1", "--without-gossip", "--without-mingle", "--without-heartbeat"]
BEAT = ["beat"]

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts programs, and ends those that a test leaves behind."""
    with ExitStack() as programs:

        def started(*arguments: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "celery", "--quiet", "--app", "assistant.tasks", *arguments]
            program = subprocess.Popen(
                command, cwd=SERVICE, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            programs.enter_context(program)
            programs.callback(program.kill)
            return program

        yield started


def first_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for the first line of the log."""
    assert process.stdout
    assert select.select([process.stdout], [], [], 30)[0]
    return json.loads(process.stdout.readline())


@pytest.fixture
def broker_away(monkeypatch: pytest.MonkeyPatch, required_settings: None, absent_port: int, tmp_path: Path) -> Path:
    """The folder for signs of life of programs whose broker refuses connections."""
    monkeypatch.setenv("BROKER_URL", f"redis://127.0.0.1:{absent_port}/0")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("program", [WORKER, BEAT])
def test_a_wrong_setting_is_one_line(monkeypatch: pytest.MonkeyPatch, program: list[str], start: Start) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "change-me")
    monkeypatch.setenv("CACHE_PASSWORD", PASSWORD)
    monkeypatch.setenv("BROKER_PASSWORD", PASSWORD)
    ended = start(*program)
    stdout, stderr = ended.communicate(timeout=30)
    assert (ended.returncode, stderr) == (1, "")
    line = json.loads(stdout)
    assert line["level"] == "CRITICAL"
    assert line["message"].startswith("DATABASE_PASSWORD: a placeholder; ")


def test_a_worker_waits_for_its_broker_and_says_so_in_one_format(broker_away: Path, start: Start) -> None:
    worker = start(*WORKER)
    first = first_line(worker)
    assert "Cannot connect to" in first["message"]
    assert PASSWORD not in json.dumps(first)
    worker.send_signal(signal.SIGTERM)
    stdout, stderr = worker.communicate(timeout=30)
    assert (worker.returncode, stderr) == (0, "")
    for line in stdout.splitlines():
        assert "traceback" not in json.loads(line)
    assert not (broker_away / "worker").exists()


def test_beat_shows_at_once_that_it_lives(broker_away: Path, start: Start) -> None:
    beat = start(*BEAT)
    assert "every 15 seconds" in first_line(beat)["message"]
    assert (broker_away / "beat").exists()
    beat.send_signal(signal.SIGTERM)
    stdout, stderr = beat.communicate(timeout=30)
    assert (beat.returncode, stderr) == (0, "")
    for line in stdout.splitlines():
        json.loads(line)
