"""gunicorn reads this file when it starts in this folder; what a target may change comes from the environment."""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from gunicorn.glogging import Logger

from assistant import logs
from assistant.settings import ServerSettings, Settings, SettingsError, load

try:
    settings = load(ServerSettings)
except SettingsError as error:
    logs.refuse("gunicorn.conf", error)


class PropagatingLogger(Logger):
    """Hands gunicorn's lines to the root logger, which writes everybody's in one format."""

    def setup(self, cfg: Any) -> None:
        logs.configure(settings.log_format, settings.log_level)
        super().setup(cfg)
        self.error_log.propagate = True


wsgi_app = "assistant.app:create_app()"
worker_class = "asgi"

bind = settings.gunicorn_bind
workers = settings.gunicorn_workers or settings.web_concurrency
threads = settings.gunicorn_threads
timeout = settings.gunicorn_timeout
graceful_timeout = settings.gunicorn_graceful_timeout
max_requests = settings.gunicorn_max_requests
max_requests_jitter = settings.gunicorn_max_requests_jitter
forwarded_allow_ips = settings.forwarded_allow_ips

# A proxy must give up an idle connection first, or it may send a request on one that is being closed here. A stop
# waits for idle connections, so this also stays far below the graceful timeout.
keepalive = 5

loglevel = (settings.gunicorn_log_level or settings.log_level).lower()
logger_class = PropagatingLogger
# The application writes the access lines, and the root logger has the only handler.
accesslog = None
errorlog = None

# The heartbeat file: in memory, so that it neither waits for a disk nor needs a writable root.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None

control_socket_disable = True


def on_starting(server: Any) -> None:
    """Check the application's settings before there is a worker: one that fails would leave a traceback."""
    try:
        load(Settings)
    except SettingsError as error:
        server.log.critical("%s", error)
        sys.exit(1)


def when_ready(server: Any) -> None:
    """Tell the processes, of which there is none yet, where to put their counts."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = empty_metrics_folder()


def empty_metrics_folder() -> str:
    """Return a folder for the counts of the processes. What an earlier start left there would be added to them."""
    if not settings.prometheus_multiproc_dir:
        return tempfile.mkdtemp(prefix="assistant-metrics-", dir=worker_tmp_dir)
    folder = Path(settings.prometheus_multiproc_dir)
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.db"):
        file.unlink()
    return str(folder)


def child_exit(server: Any, worker: Any) -> None:
    """Take a process that has ended out of the metrics that tell about living ones."""
    # At the top, it would be imported before the folder is known.
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)


def on_exit(server: Any) -> None:
    """Remove the folder that was made at the start."""
    if not settings.prometheus_multiproc_dir:
        shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)


def post_worker_init(worker: Any) -> None:
    """Turn /health/ready red with SIGTERM, while the worker still finishes the requests that it has."""
    worker.app.wsgi().state.readiness.stopping = lambda: not worker.alive
