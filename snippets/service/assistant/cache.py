"""The answers to searches, kept in Redis.

Any new document may change any answer, so a store makes all of them invalid at once: the key of an entry holds a random
*generation*, and a store replaces it. Entries of an old generation are never found again, and Redis drops them when it
needs the room. A search takes the generation before it asks the database, so an answer that a store has overtaken is
put where nobody looks. Should Redis lose the generation, the next search makes a new one.
"""

import json
import random
import secrets
from functools import partial
from hashlib import sha256

from assistant import __version__
from assistant.embedder import NAME, words
from assistant.redis_server import Away, RedisServer
from assistant.settings import WorkSettings

GENERATION = "search:generation"

# One answer must not push out many others, nor take long to pass on.
MOST_BYTES = 100_000

SURE = 0.8
LONG = 12
JITTER = 0.1


def entry_key(generation: str, question: str, limit: int) -> str:
    """Return where an answer is kept. Another release, or another embedder, may answer in another way."""
    parts = json.dumps([__version__, NAME, question, limit])
    return f"search:{generation}:{sha256(parts.encode()).hexdigest()}"


def lifetime(longest: int, question: str, best: float | None) -> int:
    """Return for how many seconds an answer is kept: the longest, half of it, or a quarter.

    Stores make answers invalid, so the time is no matter of being right but for the store whose process ended before
    it could say so, or while Redis was away. Then an answer with a sure best match (`best` is its score) is the
    likeliest to be still right, and may stay longest. A long question is hardly ever asked again word for word, so its
    answer gives up its place sooner.

    Up to a tenth is taken off at random: entries that were made together, as after a store, do not end together.
    """
    seconds = float(longest)
    if best is None or best <= SURE:
        seconds /= 2
    if len(words(question)) > LONG:
        seconds /= 2
    return max(1, round(seconds * (1 - random.uniform(0, JITTER))))


class SearchCache:
    """Answers by question. While Redis is away there are none, and nothing fails.

    Every caller sees the same documents, so the answers are for all of them.
    """

    def __init__(self, settings: WorkSettings) -> None:
        self.server = RedisServer("cache", settings.cache_url, settings.cache_password)
        self._owes_new_generation = False

    async def place(self, question: str, limit: int) -> str | None:
        """Return the key under which this answer is to be found and put now; None while Redis is away."""
        if self._owes_new_generation and not await self.forget():
            return None
        fresh = secrets.token_hex(8)
        try:
            known = await self.server.ask(
                partial(self.server.redis.set, GENERATION, fresh, nx=True, get=True),
            )
        except Away:
            return None
        return entry_key(known.decode() if known else fresh, question, limit)

    async def get(self, key: str) -> bytes | None:
        """Return the answer that is kept under the key."""
        try:
            return await self.server.ask(partial(self.server.redis.get, key))
        except Away:
            return None

    async def put(self, key: str, answer: bytes, seconds: int) -> None:
        """Keep an answer under its key, if it is not too long."""
        if len(answer) > MOST_BYTES:
            return
        try:
            await self.server.ask(partial(self.server.redis.set, key, answer, ex=seconds))
        except Away:
            return

    async def forget(self) -> bool:
        """Make all answers invalid: for whoever has stored documents, once they are committed.

        Returns False while Redis is away. Then this object does it before it looks for an answer again; what other
        processes find in the meantime may be older, by no more than the longest lifetime.
        """
        self._owes_new_generation = True
        try:
            await self.server.ask(partial(self.server.redis.set, GENERATION, secrets.token_hex(8)))
        except Away:
            return False
        self._owes_new_generation = False
        return True

    async def close(self) -> None:
        """Close the connections."""
        await self.server.close()
