"""Redis servers, without which the service is slower or less strict, and not broken."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from pydantic import SecretStr
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

from assistant.metrics import REDIS_AWAY

USER = "assistant"

# For each answer of the server; then for a connection, a login and an answer together.
SOCKET_TIMEOUT_SECONDS = 0.2
TIMEOUT_SECONDS = 0.5
REST_SECONDS = 3
WARN_SECONDS = 60
CONNECTIONS = 20

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


class Away(Exception):
    """The server did not answer, or is not asked at the moment because it did not answer."""


def with_login(url: str, password: SecretStr) -> str:
    """Return the address with user and password in it, for a library that takes them in no other way."""
    parts = urlsplit(url)
    login = f"{USER}:{quote(password.get_secret_value(), safe='')}"
    return parts._replace(netloc=f"{login}@{parts.netloc}").geturl()


class RedisServer:
    """A pool of connections that nobody has to wait for: making one connects to nothing.

    After a failure no request asks for some seconds, then one asks again, and the others go on without until it was
    answered. There are no retries: what is lost is an answer of the cache or one count.
    """

    def __init__(self, name: str, url: str, password: SecretStr) -> None:
        self.name = name
        self.pool = ConnectionPool.from_url(
            url,
            username=USER,
            password=password.get_secret_value(),
            socket_timeout=SOCKET_TIMEOUT_SECONDS,
            socket_connect_timeout=SOCKET_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            # These are for a hosted Redis that tells when it moves; others answer with an error on each connection.
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
        # Any: redis-py's own types know no more of an answer than that it is bytes, text or True.
        self.redis: Any = Redis(connection_pool=self.pool)
        # A wait for a turn is no fault of the server; a pool with a limit of its own would count it as one.
        self._turns = asyncio.Semaphore(CONNECTIONS)
        # Zero while the server answers.
        self._rest_until = 0.0
        self._warned_at = float("-inf")

    async def ask(self, question: Callable[[], Awaitable[Result]]) -> Result:
        """Return what the server answers. Raises Away when it does not, or is at rest."""
        async with self._turns:
            if self._rest_until:
                now = time.monotonic()
                if now < self._rest_until:
                    REDIS_AWAY.labels(self.name).inc()
                    raise Away(f"{self.name} is at rest")
                self._rest_until = now + REST_SECONDS
            try:
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    answer = await question()
            except (RedisError, OSError) as error:
                self._rest(error)
                raise Away(f"{self.name} does not answer") from error
            self._rest_until = 0.0
            return answer

    def _rest(self, error: Exception) -> None:
        REDIS_AWAY.labels(self.name).inc()
        now = time.monotonic()
        self._rest_until = now + REST_SECONDS
        if now - self._warned_at > WARN_SECONDS:
            self._warned_at = now
            logger.warning("%s: Redis does not answer: %s", self.name, str(error) or type(error).__name__)

    async def version(self) -> str:
        """Return the server's version, even when it is at rest. Raises errors of redis-py when it does not answer."""
        properties = await self.redis.execute_command("HELLO")
        return properties[b"version"].decode()

    async def close(self) -> None:
        """Close the connections."""
        await self.pool.aclose()
