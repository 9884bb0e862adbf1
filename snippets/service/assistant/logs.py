"""One log for the application, the server and the libraries: a JSON object a line, or text for a person."""

import logging
import logging.config
import os
import sys
from contextvars import ContextVar
from types import TracebackType
from typing import NoReturn

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class RequestId(logging.Filter):
    """Gives every record the id of the request in whose context it was made."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


FORMATTERS = {
    "json": {
        "()": "pythonjsonlogger.json.JsonFormatter",
        "fmt": ["levelname", "name", "message", "request_id"],
        "rename_fields": {"levelname": "level", "name": "logger", "exc_info": "traceback"},
        "timestamp": "time",
    },
    "text": {"format": "%(asctime)s %(levelname)-8s %(name)s: %(message)s"},
}


def configure(log_format: str, level: str) -> None:
    """Send every record, warnings and uncaught exceptions too, to stdout in the given format ("json" or "text")."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"request_id": {"()": RequestId}},
            "formatters": {"stdout": FORMATTERS[log_format]},
            "handlers": {
                "stdout": {
                    "class": "logging.StreamHandler",
                    "stream": "ext://sys.stdout",
                    "formatter": "stdout",
                    "filters": ["request_id"],
                }
            },
            "root": {"level": level, "handlers": ["stdout"]},
        }
    )
    logging.captureWarnings(True)
    sys.excepthook = log_uncaught


def log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if not issubclass(kind, Exception):
        # Ctrl-C is no failure.
        sys.__excepthook__(kind, error, traceback)
        return
    logging.critical("uncaught exception", exc_info=(kind, error, traceback))


def refuse(name: str, reason: Exception) -> NoReturn:
    """End a program that cannot start with exit code 1 and one line of the log, which says why.

    The settings may be what is wrong, so the format comes from LOG_FORMAT itself; any value but "text" means JSON.
    """
    configure("text" if os.environ.get("LOG_FORMAT") == "text" else "json", "INFO")
    logging.getLogger(name).critical(" ".join(str(reason).split()))
    sys.exit(1)
