import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

SERVICE = Path(__file__).parents[1]

WATCHED = """
import time
from assistant import logs
from assistant.alive import Watchdog

logs.configure("json", "INFO")
watchdog = Watchdog(0.2, pause=0.05)
watchdog.start()
for _ in range({touches}):
    watchdog.touch()
    time.sleep(0.05)
print("touched no more")
time.sleep(10)
"""


def alive(file: Path, seconds: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "assistant.alive", str(file), seconds]
    return subprocess.run(command, cwd=SERVICE, capture_output=True, text=True, timeout=30)


def test_a_file_that_was_touched_lately_is_a_sign_of_life(tmp_path: Path) -> None:
    file = tmp_path / "worker"
    assert "no sign of life yet" in alive(file, "60").stderr
    file.touch()
    assert alive(file, "60").returncode == 0
    os.utime(file, (time.time() - 100, time.time() - 100))
    ended = alive(file, "60")
    assert ended.returncode == 1
    assert ended.stderr.strip() == "no sign of life for 100 seconds"


@pytest.mark.parametrize("touches", [0, 10])
def test_the_watchdog_ends_a_process_that_nobody_touches_any_more(touches: int) -> None:
    command = [sys.executable, "-u", "-c", WATCHED.format(touches=touches)]
    ended = subprocess.run(command, cwd=SERVICE, capture_output=True, text=True, timeout=8)
    assert (ended.returncode, ended.stderr) == (1, "")
    first, last = ended.stdout.splitlines()
    assert first == "touched no more"
    assert json.loads(last)["level"] == "CRITICAL"
