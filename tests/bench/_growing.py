"""The service with one more route, which makes the process that answers it larger until something ends it.

It runs in a container of the service, in the place of `assistant.app`.
"""

from __future__ import annotations

import time

from fastapi import FastAPI

from assistant.app import create_app

STEP = 16 << 20
PAUSE_SECONDS = 0.01


def app() -> FastAPI:
    """Return the application."""
    service = create_app()
    service.add_api_route("/grow", grow, methods=["POST"])
    return service


def grow() -> None:
    """Take memory and use it, step by step: the other requests of this process are still answered."""
    held = []
    while True:
        held.append(b"x" * STEP)
        time.sleep(PAUSE_SECONDS)
