import json
import logging
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from gunicorn.config import Config

SERVICE = Path(__file__).parents[1]


def run_file() -> dict[str, Any]:
    return runpy.run_path(str(SERVICE / "gunicorn.conf.py"))


def configuration() -> dict[str, object]:
    """Return gunicorn's settings as it would read them from the file."""
    config = Config()
    for name, value in run_file().items():
        if name in config.settings:
            config.set(name, value)
    return {name: setting.get() for name, setting in config.settings.items()}


@pytest.mark.parametrize(
    ("variable", "value", "setting", "expected"),
    [
        ("GUNICORN_BIND", "0.0.0.0:9000", "bind", ["0.0.0.0:9000"]),
        ("GUNICORN_WORKERS", "3", "workers", 3),
        ("WEB_CONCURRENCY", "4", "workers", 4),
        ("GUNICORN_THREADS", "2", "threads", 2),
        ("GUNICORN_TIMEOUT", "61", "timeout", 61),
        ("GUNICORN_GRACEFUL_TIMEOUT", "51", "graceful_timeout", 51),
        ("GUNICORN_MAX_REQUESTS", "1000", "max_requests", 1000),
        ("GUNICORN_MAX_REQUESTS_JITTER", "200", "max_requests_jitter", 200),
        ("GUNICORN_LOG_LEVEL", "warning", "loglevel", "warning"),
        ("LOG_LEVEL", "debug", "loglevel", "debug"),
        ("FORWARDED_ALLOW_IPS", "10.0.0.0/8", "forwarded_allow_ips", ["10.0.0.0/8"]),
    ],
)
def test_every_variable_takes_effect(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, setting: str, expected: object
) -> None:
    assert configuration()[setting] != expected
    monkeypatch.setenv(variable, value)
    assert configuration()[setting] == expected


def test_the_more_specific_name_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    monkeypatch.setenv("GUNICORN_WORKERS", "2")
    assert configuration()["workers"] == 2


@pytest.mark.parametrize(
    ("variable", "value"), [("GUNICORN_TIMEOUT", "30s"), ("WEB_CONCURRENCY", "0"), ("GUNICORN_BIND", "here")]
)
@pytest.mark.usefixtures("lines")
def test_a_wrong_value_ends_in_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit, match="1"):
        configuration()
    line = json.loads(capsys.readouterr().out)
    assert line["level"] == "CRITICAL"
    assert line["message"].startswith(f"{variable}: ")


def test_nothing_listens_beside_the_service() -> None:
    assert configuration()["control_socket_disable"] is True


def test_a_missing_secret_stops_gunicorn_before_it_has_workers(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SystemExit, match="1"):
        run_file()["on_starting"](SimpleNamespace(log=logging.getLogger()))
    assert caplog.messages[0].startswith("DATABASE_PASSWORD: missing")


def test_readiness_ends_when_the_worker_is_told_to_stop(app: FastAPI) -> None:
    worker = SimpleNamespace(alive=True, app=SimpleNamespace(wsgi=lambda: app))
    app.state.readiness.started = True
    run_file()["post_worker_init"](worker)
    assert app.state.readiness
    worker.alive = False
    assert not app.state.readiness
