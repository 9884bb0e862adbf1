"""How often a caller may ask: one limit over all processes and replicas, as Redis counts."""

import time
from functools import partial
from math import ceil
from typing import Any
from urllib.parse import urlsplit

from limits import RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from assistant.redis_server import Away, RedisServer
from assistant.settings import Settings

# The broker's server keeps what it holds, and it has these databases: 0 for jobs, 1 for counts.
COUNTERS = 1


class Limiter:
    """Counts the requests of each caller in a window that slides, so that no minute lets twice as many through.

    While the counts cannot be asked for, every request passes: a service that stands still because of its limit would
    be the worse failure, and the proxy has a limit of its own.
    """

    def __init__(self, settings: Settings) -> None:
        url = urlsplit(settings.broker_url)._replace(path=f"/{COUNTERS}").geturl()
        self.server = RedisServer("counters", url, settings.broker_password)
        pool: dict[str, Any] = {"connection_pool": self.server.pool}
        storage = RedisStorage("async+redis://", implementation="redispy", **pool)
        self.window = SlidingWindowCounterRateLimiter(storage)
        self.limit = RateLimitItemPerMinute(settings.rate_limit_per_minute)

    async def wait(self, name: str) -> int:
        """Count a request of this caller. Return 0 when it may pass, else in how many seconds the next one may."""
        try:
            if await self.server.ask(partial(self.window.hit, self.limit, name)):
                return 0
        except Away:
            return 0
        try:
            free = await self.server.ask(partial(self.window.get_window_stats, self.limit, name))
        except Away:
            return 1
        return max(1, ceil(free.reset_time - time.time()))

    async def close(self) -> None:
        """Close the connections."""
        await self.server.close()
