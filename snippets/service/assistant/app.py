"""The application: `create_app` puts the parts together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from assistant import __version__, documents, health
from assistant.access import AccessLog
from assistant.database import Database
from assistant.deadline import DeadlineExceeded
from assistant.health import Readiness
from assistant.problems import database_unavailable, deadline_exceeded, http_error, invalid_request
from assistant.proxy import ClientAddress
from assistant.settings import Settings, load


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application. Raises SettingsError when no settings are given and those around it do not hold."""
    settings = settings or load(Settings)
    app = FastAPI(
        title="assistant",
        version=__version__,
        # The schema lists every route, those for inside too; without it there are no pages about it either.
        openapi_url=None,
        lifespan=lifespan,
        middleware=[Middleware(ClientAddress, settings.forwarded_allow_ips), Middleware(AccessLog)],
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
    app.state.readiness = Readiness()
    app.include_router(health.router)
    app.include_router(documents.router)
    return app


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.readiness.started = True
    yield
    await app.state.database.close()
