import time
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy.dialects.postgresql import dialect
from sqlalchemy.exc import InternalError, OperationalError

from assistant.settings import WorkSettings, load
from assistant.work import BATCH, MOST_ATTEMPTS, Work

JOB = UUID(int=1)


class FakeConnection:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.invalid = False
        self.done: list[str] = []

    def execute(self, statement: Any, parameters: list[dict[str, Any]] | None = None) -> None:
        sql = str(statement.compile(dialect=dialect()))
        self.done.append(f"store {[document['text'] for document in parameters]}" if parameters else sql.split()[0])
        assert not parameters or "ON CONFLICT DO NOTHING" in sql
        assert not parameters or len({document["id"] for document in parameters}) == len(parameters)

    def commit(self) -> None:
        self.done.append("COMMIT")

    def invalidate(self) -> None:
        self.invalid = True


@pytest.fixture
def work(required_settings: None) -> Work:
    return Work(load(WorkSettings))


def job(texts: list[str], done: int = 0, attempts: int = 0) -> Any:
    return SimpleNamespace(id=JOB, texts=texts, done=done, attempts=attempts)


def outcome(work: Work, seconds_ago: float = 0, attempts: int = 0) -> tuple[str, str | None]:
    connection: Any = FakeConnection()
    return work._outcome(connection, job(["a"], attempts=attempts), time.monotonic() - seconds_ago)


def fail_with(monkeypatch: pytest.MonkeyPatch, work: Work, error: Exception) -> None:
    def store(*_: Any) -> None:
        raise error

    monkeypatch.setattr(work, "_store", store)


def test_each_batch_is_stored_together_with_how_far_it_came(work: Work) -> None:
    connection: Any = FakeConnection()
    texts = [f"text {number}" for number in range(BATCH + 1)]
    work._store(connection, job(texts))
    assert connection.done == [
        f"store {texts[:BATCH]}",
        "UPDATE",
        "COMMIT",
        f"store {texts[BATCH:]}",
        "UPDATE",
        "COMMIT",
    ]


def test_what_is_stored_is_not_stored_again(work: Work) -> None:
    connection: Any = FakeConnection()
    work._store(connection, job(["a", "b", "c"], done=2))
    assert connection.done == ["store ['c']", "UPDATE", "COMMIT"]


def test_a_job_that_is_done(work: Work) -> None:
    assert outcome(work) == ("done", None)


def test_a_job_that_takes_too_long_fails_with_a_reason(monkeypatch: pytest.MonkeyPatch, work: Work) -> None:
    fail_with(monkeypatch, work, SoftTimeLimitExceeded())
    assert outcome(work) == ("failed", "Not done within 25 seconds.")


@pytest.mark.parametrize("kind", [OperationalError, InternalError])
def test_a_database_that_is_away_puts_a_job_off(monkeypatch: pytest.MonkeyPatch, work: Work, kind: Any) -> None:
    fail_with(monkeypatch, work, kind("INSERT", None, Exception("away")))
    with pytest.raises(kind):
        outcome(work)
    # The limit came in the middle of the statement.
    assert outcome(work, seconds_ago=25) == ("failed", "Not done within 25 seconds.")


def test_a_job_that_was_begun_too_often_is_given_up(monkeypatch: pytest.MonkeyPatch, work: Work) -> None:
    fail_with(monkeypatch, work, AssertionError("must not be tried"))
    assert outcome(work, attempts=MOST_ATTEMPTS) == ("failed", f"Given up after {MOST_ATTEMPTS} attempts.")


def test_an_error_of_ours_is_told_without_its_text(
    monkeypatch: pytest.MonkeyPatch, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    fail_with(monkeypatch, work, ValueError("private"))
    state, error = outcome(work)
    assert state == "failed"
    assert error
    assert "private" not in error
    assert str(JOB) in caplog.text
