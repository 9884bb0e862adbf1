"""`python -m assistant`, up to where uvicorn takes over."""

import json
import logging
import sys
from typing import Any

import pytest

from assistant.__main__ import address, app, main

pytestmark = pytest.mark.usefixtures("lines")


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch, required_settings: None) -> dict[str, Any]:
    """What uvicorn is given, once `main` has run."""
    given: dict[str, Any] = {}
    monkeypatch.setattr("uvicorn.run", lambda app, **options: given.update(app=app, **options))
    monkeypatch.setattr(sys, "argv", ["assistant"])
    return given


@pytest.mark.parametrize(
    ("variable", "value", "option", "expected"),
    [
        ("GUNICORN_BIND", "127.0.0.1:8001", "port", 8001),
        ("GUNICORN_WORKERS", "3", "workers", 3),
        ("WEB_CONCURRENCY", "4", "workers", 4),
        ("GUNICORN_GRACEFUL_TIMEOUT", "51", "timeout_graceful_shutdown", 51),
        ("FORWARDED_ALLOW_IPS", "10.0.0.0/8", "forwarded_allow_ips", "10.0.0.0/8"),
    ],
)
def test_the_variables_of_gunicorn_take_effect(
    monkeypatch: pytest.MonkeyPatch, handed: dict[str, Any], variable: str, value: str, option: str, expected: object
) -> None:
    main()
    assert handed[option] != expected
    monkeypatch.setenv(variable, value)
    main()
    assert handed[option] == expected


def test_a_reload_waits_for_a_moment_only(monkeypatch: pytest.MonkeyPatch, handed: dict[str, Any]) -> None:
    main()
    assert (handed["reload"], handed["timeout_graceful_shutdown"]) == (False, 65)
    monkeypatch.setattr(sys, "argv", ["assistant", "--reload"])
    main()
    assert (handed["reload"], handed["timeout_graceful_shutdown"]) == (True, 1)
    (folder,) = handed["reload_dirs"]
    assert folder.endswith("assistant")


@pytest.mark.parametrize(
    ("bind", "listens"),
    [
        ("127.0.0.1:8001", {"host": "127.0.0.1", "port": 8001}),
        (":8000", {"host": "0.0.0.0", "port": 8000}),
        ("[::1]:8000", {"host": "::1", "port": 8000}),
        ("unix:/run/assistant.sock", {"uds": "/run/assistant.sock"}),
    ],
)
def test_it_listens_where_gunicorn_would(bind: str, listens: dict[str, Any]) -> None:
    assert address(bind) == listens


def test_the_process_that_serves_logs_in_the_same_format(
    required_settings: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app().title == "assistant"
    logging.getLogger("some.library").warning("words")
    assert json.loads(capsys.readouterr().out)["message"] == "words"


def test_a_wrong_setting_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, handed: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_PORT", "many")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert "DATABASE_PORT" in line
    assert not handed


def test_without_uvicorn_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, handed: dict[str, Any]) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(SystemExit, match=r"uvicorn is not installed; run: pip install .*requirements-development\.txt"):
        main()
