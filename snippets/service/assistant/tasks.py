"""The programs of the queue: `celery --app assistant.tasks worker`, and `celery --app assistant.tasks beat`.

Both listen nowhere, and touch a file as a sign of life (see alive.py).
"""

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any
from uuid import UUID

import celery.apps.worker
from billiard.util import get_logger
from celery import signals
from celery.beat import ScheduleEntry, Scheduler, SchedulingError
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning
from kombu.exceptions import OperationalError as BrokerUnavailable
from redis.exceptions import RedisError

from assistant import logs, queue, transport
from assistant.alive import Watchdog
from assistant.settings import SettingsError, WorkSettings, load
from assistant.work import DATABASE_UNAVAILABLE, Work

FOLDER = Path(tempfile.gettempdir())

logger = logging.getLogger(__name__)

try:
    settings = load(WorkSettings)
except SettingsError as error:
    logs.refuse("tasks", error)

# Celery would say at the start that a user may be root when it is a number without a name.
warnings.simplefilter("ignore", SecurityWarning)

app = queue.connect(settings)
work = Work(settings)


class Beat(Scheduler):
    """Keeps the schedule in memory: when the last sweep was is not worth a file.

    Celery's own says with a traceback in several lines that the broker is away.
    """

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except SchedulingError as error:
            logger.warning("beat: %s", first_line(error))


@app.task(name=queue.JOB)
def run(job_id: str) -> None:
    try:
        work.run(UUID(job_id))
    except DATABASE_UNAVAILABLE as error:
        logger.warning("database unavailable, job %s is put off: %s", job_id, first_line(error))


@app.task(name=queue.SWEEP)
def sweep() -> None:
    try:
        work.sweep(run.delay)
    except DATABASE_UNAVAILABLE as error:
        logger.warning("database unavailable, no sweep: %s", first_line(error))
    except (BrokerUnavailable, RedisError) as error:
        logger.warning("broker unavailable, no sweep: %s", first_line(error))


def first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


@signals.setup_logging.connect
def configure_logs(**_: Any) -> None:
    """Take the place of what Celery does to the logs."""
    logs.configure(settings.log_format, settings.log_level)
    # Each message would be told of three times, and a sweep comes every few seconds.
    for name in ("celery.beat", "celery.worker.strategy", "celery.worker.request", "celery.app.trace"):
        logging.getLogger(name).setLevel("WARNING")
    # What the pool of processes says would come in a format of its own.
    pool = get_logger()
    pool.propagate = True
    pool.setLevel("WARNING")


@signals.celeryd_init.connect
def worker_begins(**_: Any) -> None:
    # What Celery says at a stop would be plain text.
    celery.apps.worker.safe_say = lambda msg, f=None: None


@signals.worker_ready.connect
def worker_starts(**_: Any) -> None:
    """See that the worker goes on asking for messages, or trying to connect, however busy its processes are."""
    watchdog = Watchdog(settings.job_timeout_seconds + 15)
    watchdog.start()
    transport.on_connect.append(watchdog.touch)
    transport.on_poll.extend([watchdog.touch, (FOLDER / "worker").touch])
    # What Celery says at every loss of the broker: that jobs which run then come again. Nothing is done twice.
    warnings.simplefilter("ignore", CPendingDeprecationWarning)


@signals.worker_shutdown.connect
def worker_stops(**_: Any) -> None:
    logger.info("worker: stopped")


@signals.beat_init.connect
def beat_starts(**_: Any) -> None:
    beat_lives()
    logger.info("beat: a sweep every %s seconds", queue.SWEEP_SECONDS)


@signals.after_task_publish.connect(sender=queue.SWEEP)
def beat_lives(**_: Any) -> None:
    (FOLDER / "beat").touch()
