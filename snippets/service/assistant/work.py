"""What workers do with jobs, apart from how jobs come to them."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid5

from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy import Connection, NullPool, Row, create_engine, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import InternalError, OperationalError

from assistant.cache import SearchCache
from assistant.database import database_url
from assistant.embedder import embed
from assistant.models import Document, Job
from assistant.queue import SOFT_SHARE, resend_after
from assistant.settings import WorkSettings

UNFINISHED = ("queued", "running")
MOST_ATTEMPTS = 3
BATCH = 10
MOST_SENT_AT_ONCE = 100
KEPT = timedelta(days=7)

# The database cannot be reached, does not answer in time, or takes nothing at the moment.
DATABASE_UNAVAILABLE = (OperationalError, InternalError)

logger = logging.getLogger(__name__)


class Work:
    """Works at jobs. Making one connects to nothing, so it may be made before a process forks.

    Every step may be done twice, and a process may end between any two of them.
    """

    def __init__(self, settings: WorkSettings) -> None:
        self._settings = settings
        self._longest = settings.job_timeout_seconds * SOFT_SHARE
        self._resend_after = resend_after(settings)
        # A statement ends before its job does, waits for locks included: then there is time to say so.
        statement_timeout = round(self._longest * 1000 * 0.9)
        options = {
            "statement_timeout": statement_timeout,
            "lock_timeout": statement_timeout,
            "idle_in_transaction_session_timeout": settings.job_timeout_seconds * 1000,
            # A connection whose process died is given up, with its locks, even while a statement runs.
            "client_connection_check_interval": 1000,
        }
        self._engine = create_engine(
            database_url(settings),
            # None is kept between jobs: the lock of a job ends with its connection.
            poolclass=NullPool,
            hide_parameters=True,
            connect_args={
                "application_name": "assistant worker",
                "connect_timeout": settings.database_connect_timeout_seconds,
                "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
            },
        )

    def run(self, job_id: UUID) -> None:
        """Store the texts of a job, and tell in its row what has become of it.

        Raises DATABASE_UNAVAILABLE; then the job is left as it is, and the sweep sends it again.
        """
        started = time.monotonic()
        with self._engine.connect() as connection:
            # While this connection is open, another process that gets the same job waits here.
            connection.execute(select(func.pg_advisory_lock(func.hashtextextended(str(job_id), 0))))
            job = self._begin(connection, job_id)
            if job is None:
                return
            state, error = self._outcome(connection, job, started)
            # Before anybody is told that the job is done.
            asyncio.run(self._forget_searches())
            with self._engine.begin() as other:
                other.execute(update(Job).filter_by(id=job_id).values(state=state, error=error))
        fields = {"job_id": job_id, "state": state, "error": error, "seconds": round(time.monotonic() - started, 3)}
        logger.info("job %(job_id)s %(state)s", fields, extra=fields)

    def _begin(self, connection: Connection, job_id: UUID) -> Row | None:
        """Mark a job as running and return it, with the attempts before; None when there is nothing to do."""
        wanted = select(Job.id, Job.texts, Job.done, Job.attempts)
        job = connection.execute(wanted.where(Job.id == job_id, Job.state.in_(UNFINISHED))).one_or_none()
        if job and job.attempts < MOST_ATTEMPTS:
            due_at = func.now() + self._resend_after
            running = update(Job).values(state="running", attempts=Job.attempts + 1, due_at=due_at)
            connection.execute(running.filter_by(id=job_id))
        connection.commit()
        return job

    def _outcome(self, connection: Connection, job: Row, started: float) -> tuple[str, str | None]:
        """Work at a job, and return its last state and, when it failed, why. Raises DATABASE_UNAVAILABLE."""
        if job.attempts >= MOST_ATTEMPTS:
            return "failed", f"Given up after {MOST_ATTEMPTS} attempts."
        too_long = "failed", f"Not done within {self._longest:g} seconds."
        try:
            self._store(connection, job)
        except SoftTimeLimitExceeded:
            connection.invalidate()
            return too_long
        except DATABASE_UNAVAILABLE:
            connection.invalidate()
            # The limit may come in the middle of a statement, which then fails in a way of its own.
            if time.monotonic() - started > self._longest * 0.95:
                return too_long
            raise
        except Exception:
            logger.exception("job %s failed", job.id)
            return "failed", "The service failed. The log has the id of the job."
        return "done", None

    def _store(self, connection: Connection, job: Row) -> None:
        """Store what is left of the texts. A document that is there already stays as it is."""
        for first in range(job.done, len(job.texts), BATCH):
            documents = [
                {"id": uuid5(job.id, str(index)), "text": text, "embedding": embed(text)}
                for index, text in enumerate(job.texts[first : first + BATCH], first)
            ]
            connection.execute(insert(Document).on_conflict_do_nothing(), documents)
            connection.execute(update(Job).filter_by(id=job.id).values(done=first + len(documents)))
            connection.commit()

    async def _forget_searches(self) -> None:
        cache = SearchCache(self._settings)
        await cache.forget()
        await cache.close()

    def sweep(self, send: Callable[[str], object]) -> None:
        """Send again what is due, and delete what ended long ago. Raises DATABASE_UNAVAILABLE, and what `send` raises.

        Nothing is lost when it raises: what was not marked as sent is sent by the next sweep.
        """
        with self._engine.begin() as connection:
            due = select(Job.id).where(Job.state.in_(UNFINISHED), Job.due_at <= func.now())
            due = due.order_by(Job.due_at).limit(MOST_SENT_AT_ONCE).with_for_update(skip_locked=True)
            ids = connection.scalars(due).all()
            for job_id in ids:
                send(str(job_id))
            connection.execute(update(Job).where(Job.id.in_(ids)).values(due_at=func.now() + self._resend_after))
            connection.execute(delete(Job).where(Job.state.not_in(UNFINISHED), Job.created_at < func.now() - KEPT))
        if ids:
            logger.warning("sent again: %s jobs", len(ids))
