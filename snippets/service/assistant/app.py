"""The application: `create_app` puts the parts together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from assistant import __version__, answers, documents, health, jobs, metrics, queue
from assistant.access import AccessLog, Uncaught
from assistant.body import BodyLimit
from assistant.cache import SearchCache
from assistant.database import Database
from assistant.deadline import DeadlineExceeded
from assistant.health import Readiness
from assistant.jobs import Sender
from assistant.keys import Gate, Keys
from assistant.limits import Limiter
from assistant.metrics import Measure
from assistant.problems import database_unavailable, deadline_exceeded, http_error, invalid_request
from assistant.provider import Provider
from assistant.proxy import ClientAddress
from assistant.settings import Settings, load


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application. Raises SettingsError when no settings are given and those around it do not hold."""
    settings = settings or load(Settings)
    keys = Keys(settings.api_keys)
    limiter = Limiter(settings)
    app = FastAPI(
        title="assistant",
        version=__version__,
        # The schema lists every route, those for inside too; without it there are no pages about it either.
        openapi_url=None,
        lifespan=lifespan,
        # The first is outermost. A refusal by one is logged, counted and readable by a browser by those before it.
        middleware=[
            Middleware(ClientAddress, settings.forwarded_allow_ips),
            Middleware(AccessLog),
            Middleware(Measure),
            *browsers(settings),
            Middleware(Uncaught),
            Middleware(BodyLimit, settings.max_body_bytes),
            Middleware(Gate, keys, limiter),
        ],
        exception_handlers={
            HTTPException: http_error,
            RequestValidationError: invalid_request,
            OperationalError: database_unavailable,
            # A server that is read-only during a failover, or that ended an idle transaction.
            InternalError: database_unavailable,
            PoolTimeout: database_unavailable,
            DeadlineExceeded: deadline_exceeded,
        },
    )
    app.state.settings = settings
    app.state.database = Database(settings)
    app.state.cache = SearchCache(settings)
    app.state.keys = keys
    app.state.limiter = limiter
    app.state.provider = Provider(settings)
    app.state.sender = Sender(queue.connect(settings))
    app.state.readiness = Readiness()
    app.include_router(health.router)
    app.include_router(metrics.router)
    app.include_router(documents.router)
    app.include_router(answers.router)
    app.include_router(jobs.router)
    return app


def browsers(settings: Settings) -> list[Middleware]:
    """Return what lets the pages of CORS_ALLOW_ORIGINS call the service; nothing when there are none.

    A key comes in a header that a page sets itself, so no cookies are allowed.
    """
    if not settings.cors_allow_origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=[origin.strip() for origin in settings.cors_allow_origins.split(",")],
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Idempotency-Key", "X-Request-ID"],
            expose_headers=["Location", "Retry-After", "X-Request-ID"],
        )
    ]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.readiness.started = True
    yield
    await app.state.cache.close()
    await app.state.limiter.close()
    await app.state.provider.close()
    await app.state.database.close()
