import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import PASSWORD

SERVICE = Path(__file__).parents[1]


def upgrade() -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "alembic", "upgrade", "head"]
    return subprocess.run(command, cwd=SERVICE, env=os.environ, capture_output=True, text=True, timeout=30)


def test_a_database_that_refuses_is_one_line(monkeypatch: pytest.MonkeyPatch, absent_port: int) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", PASSWORD)
    monkeypatch.setenv("DATABASE_PORT", str(absent_port))
    ended = upgrade()
    assert (ended.returncode, ended.stderr) == (1, "")
    line = json.loads(ended.stdout)
    assert (line["level"], line["logger"]) == ("CRITICAL", "migrations")
    assert "Connection refused" in line["message"]


def test_a_wrong_setting_is_one_line_in_the_format_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "change-me")
    ended = upgrade()
    assert (ended.returncode, ended.stderr) == (1, "")
    assert json.loads(ended.stdout)["message"].startswith("DATABASE_PASSWORD: a placeholder; ")
    monkeypatch.setenv("LOG_FORMAT", "text")
    (line,) = upgrade().stdout.splitlines()
    assert "CRITICAL migrations: DATABASE_PASSWORD: a placeholder; " in line
