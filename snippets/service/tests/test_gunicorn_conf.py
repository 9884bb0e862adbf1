import json
import logging
import os
import runpy
from collections.abc import Callable
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


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, required_settings: None) -> Callable[[], dict[str, Any]]:
    """Start gunicorn as far as this file goes, and return what is in it."""
    # So that what the start sets is gone after the test.
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")

    def start() -> dict[str, Any]:
        conf = run_file()
        conf["when_ready"](None)
        return conf

    return start


def test_counts_of_an_earlier_start_are_wiped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, start: Callable[[], dict[str, Any]]
) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    (folder / "counter_7.db").write_bytes(b"old")
    (folder / "another.txt").write_text("not ours")
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder))
    start()["on_exit"](None)
    assert [path.name for path in folder.iterdir()] == ["another.txt"]


def test_a_folder_for_counts_is_made_where_none_is_given(start: Callable[[], dict[str, Any]]) -> None:
    conf = start()
    folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
    assert list(folder.iterdir()) == []
    conf["on_exit"](None)
    assert not folder.exists()


def test_a_process_that_ended_is_no_longer_in_progress(start: Callable[[], dict[str, Any]]) -> None:
    conf = start()
    folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
    for name in ("gauge_livesum_7.db", "gauge_livesum_8.db", "counter_7.db"):
        (folder / name).touch()
    conf["child_exit"](None, SimpleNamespace(pid=7))
    assert {path.name for path in folder.iterdir()} == {"gauge_livesum_8.db", "counter_7.db"}
    conf["on_exit"](None)


def test_readiness_ends_when_the_worker_is_told_to_stop(app: FastAPI) -> None:
    worker = SimpleNamespace(alive=True, app=SimpleNamespace(wsgi=lambda: app))
    app.state.readiness.started = True
    run_file()["post_worker_init"](worker)
    assert app.state.readiness
    worker.alive = False
    assert not app.state.readiness
