"""The queue of jobs, for whoever sends and whoever works."""

from datetime import timedelta

from celery import Celery

from assistant.redis_server import with_login
from assistant.settings import WorkSettings

JOB = "assistant.tasks.run"
SWEEP = "assistant.tasks.sweep"

SWEEP_SECONDS = 15

# A job that fills all its time is told so a little earlier, and can still say what has become of it.
SOFT_SHARE = 5 / 6


def connect(settings: WorkSettings) -> Celery:
    """Return the Celery application. It connects to nothing before something is sent or a worker starts."""
    broker = with_login(settings.broker_url, settings.broker_password)
    app = Celery("assistant")
    app.conf.update(
        # Celery's commands read BROKER_URL, too, which has no password in it. These two win.
        broker_read_url=broker,
        broker_write_url=broker,
        broker_transport="assistant.transport:Transport",
        # However long the broker is away: after a hundred attempts Celery would give up.
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # A full broker is no reason to end either.
        broker_channel_error_retry=True,
        broker_transport_options={
            "visibility_timeout": settings.visibility_timeout_seconds,
            # Looks every 5 seconds for jobs whose worker vanished; by default it is every 100.
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            # A worker that vanishes while it looks must not keep others from it for long.
            "unacked_mutex_expire": 10,
            # A connection that died without a word is found out.
            "socket_connect_timeout": 2,
            "socket_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
            # Whoever sends tries once: the job is in the database, and the sweep sends it again.
            "max_retries": 0,
        },
        task_publish_retry=False,
        task_default_queue="jobs",
        accept_content=["json"],
        task_ignore_result=True,
        # A message is done with when its job has ended, and not when it has begun. One that a process died of comes
        # back at once, one that a whole worker died of after the visibility timeout.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        task_time_limit=settings.job_timeout_seconds,
        task_soft_time_limit=settings.job_timeout_seconds * SOFT_SHARE,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        beat_schedule={
            # One that waited for longer than that is dropped: then the queue is long, and jobs wait for good reason.
            "sweep": {"task": SWEEP, "schedule": SWEEP_SECONDS, "options": {"expires": SWEEP_SECONDS}}
        },
        beat_scheduler="assistant.tasks.Beat",
    )
    return app


def resend_after(settings: WorkSettings) -> timedelta:
    """Return after how long a job is sent again that nobody has finished: later than the broker itself would."""
    return timedelta(seconds=settings.visibility_timeout_seconds + SWEEP_SECONDS)
