"""The connection to PostgreSQL."""

from typing import Any

from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from assistant.settings import DatabaseSettings


def database_url(settings: DatabaseSettings) -> URL:
    """Return the address of the database, for the asynchronous engine and for Alembic alike."""
    return URL.create(
        "postgresql+psycopg",
        username=settings.database_user,
        password=settings.database_password.get_secret_value(),
        host=settings.database_host,
        port=settings.database_port,
        database=settings.database_name,
    )


class Database:
    """A pool of connections. Making one connects to nothing: the first statement does."""

    def __init__(self, settings: DatabaseSettings) -> None:
        statement_timeout = settings.database_statement_timeout_seconds * 1000
        session_options = {
            "statement_timeout": statement_timeout,
            "lock_timeout": statement_timeout // 2,
            "idle_in_transaction_session_timeout": round(settings.request_timeout_seconds * 1000),
        }
        self._engine = create_async_engine(
            database_url(settings),
            pool_size=settings.database_pool_size,
            max_overflow=settings.database_pool_overflow,
            pool_timeout=settings.database_pool_timeout_seconds,
            pool_pre_ping=True,
            # Errors are logged; the parameters of a statement hold what people wrote.
            hide_parameters=True,
            connect_args={
                "application_name": "assistant",
                "connect_timeout": settings.database_connect_timeout_seconds,
                "options": " ".join(f"-c {name}={milliseconds}" for name, milliseconds in session_options.items()),
            },
        )
        self.sessions = async_sessionmaker(self._engine, expire_on_commit=False)

    async def server_version(self) -> str:
        """Return PostgreSQL's version. Raises SQLAlchemy's errors when it does not answer."""
        return await self._ask("SELECT current_setting('server_version')")

    async def vector_version(self) -> str:
        """Return pgvector's version. Raises LookupError when the extension is not in this database."""
        version = await self._ask("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
        if version is None:
            raise LookupError("the extension vector is not installed in this database")
        return version

    async def _ask(self, question: str) -> Any:
        async with self._engine.connect() as connection:
            return await connection.scalar(text(question))

    async def close(self) -> None:
        """Close the connections that are not in use."""
        await self._engine.dispose()
