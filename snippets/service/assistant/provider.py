"""The model provider: any server that speaks the chat part of OpenAI's API."""

import asyncio
import json
import random
import re
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from http import HTTPStatus
from typing import NamedTuple

from openai import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AsyncOpenAI,
    Timeout,
)
from openai.types.chat import ChatCompletionMessageParam
from prometheus_client import Counter, Histogram

from assistant.budget import RetryBudget
from assistant.logs import request_id
from assistant.settings import Settings

CONNECT_TIMEOUT_SECONDS = 3

# A wait before a retry is chosen by chance up to this, and up to twice as much before the next one: clients that failed
# together do not come back together.
BACKOFF_SECONDS = 0.5

# Who is told to come back later than this is better told now that there is no answer.
LONGEST_WAIT_SECONDS = 5

# A word such as invalid_api_key or 429. What is longer may be a sentence, or a key.
WORD = re.compile(r"[A-Za-z0-9_.]{1,40}")

FIRST_TOKEN_SECONDS = Histogram(
    "assistant_first_token_seconds",
    "Time until the provider's first token, retries included",
    buckets=(0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30),
)
RETRIES = Counter("assistant_provider_retries", "Calls of the provider that were repeated")


class ProviderError(Exception):
    """The provider gave no answer, or not all of it. The text is for the client.

    `kind` is one of few words, for the metrics; `status` is the one that a problem should have.
    """

    def __init__(self, kind: str, status: HTTPStatus, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.kind = kind
        self.status = status
        # Seconds; None where asking again is no use.
        self.retry_after = retry_after

    def for_log(self) -> str:
        """Return why, without the provider's own text: that may repeat what a person asked, or a part of a key."""
        error = self.__cause__
        if error is None:
            return str(self)
        words = [(name, str(getattr(error, name, ""))) for name in ("status_code", "type", "code")]
        known = [f"{name} {word}" for name, word in words if word != "None" and WORD.fullmatch(word)]
        return ", ".join([type(error).__name__, *known])


class Piece(NamedTuple):
    """A part of an answer. The last one has a reason for the end: "stop", or "length" where the model had to stop."""

    text: str
    finish_reason: str | None


class Provider:
    """Asks the provider. Making one connects to nothing."""

    def __init__(self, settings: Settings) -> None:
        self._model = settings.provider_model
        self._retries = settings.provider_retries
        self._budget = RetryBudget()
        self._client = AsyncOpenAI(
            base_url=settings.provider_url,
            api_key=settings.provider_api_key.get_secret_value(),
            timeout=Timeout(settings.provider_timeout_seconds, connect=CONNECT_TIMEOUT_SECONDS),
            # The client's own retries know neither a budget nor that somebody waits for the first token.
            max_retries=0,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def stream(self, messages: Iterable[ChatCompletionMessageParam]) -> AsyncGenerator[Piece]:
        """Yield the answer. Raises ProviderError.

        A call that fails before its first token is repeated, where that is of use and the budget has a retry left.
        Afterwards nothing can be repeated: what has been said cannot be taken back.
        """
        started = time.monotonic()
        begun = False
        self._budget.deposit()
        for attempt in range(self._retries + 1):
            try:
                async with aclosing(self._call(messages)) as pieces:
                    async for piece in pieces:
                        if not begun:
                            begun = True
                            FIRST_TOKEN_SECONDS.observe(time.monotonic() - started)
                        yield piece
                return
            except ProviderError as error:
                if begun:
                    raise (cut() if error.kind == "unreachable" else error) from error.__cause__
                retry_after = error.retry_after
                if retry_after is None or retry_after > LONGEST_WAIT_SECONDS:
                    raise
                if attempt == self._retries or not self._budget.withdraw():
                    raise
            RETRIES.inc()
            await asyncio.sleep(retry_after + random.uniform(0, BACKOFF_SECONDS * 2**attempt))

    async def _call(self, messages: Iterable[ChatCompletionMessageParam]) -> AsyncGenerator[Piece]:
        """Yield the answer of one call. Raises ProviderError."""
        finish_reason = None
        try:
            async with await self._client.chat.completions.create(
                model=self._model,
                messages=messages,
                stream=True,
                extra_headers={"X-Client-Request-Id": request_id.get() or ""},
            ) as chunks:
                async for chunk in chunks:
                    # Some providers end with a chunk about the costs, which holds no choice.
                    for choice in chunk.choices:
                        finish_reason = choice.finish_reason
                        if choice.delta.content or finish_reason:
                            yield Piece(choice.delta.content or "", finish_reason)
        except (APIError, json.JSONDecodeError) as error:
            raise explained(error) from error
        if finish_reason is None:
            raise cut()


def explained(error: Exception) -> ProviderError:
    """Return what an error of the client means for who waits for the answer."""
    match error:
        case APITimeoutError():
            # Not asked again: a provider that is slow has too much to do already.
            return ProviderError("slow", HTTPStatus.GATEWAY_TIMEOUT, "The model provider did not answer in time.")
        case APIStatusError(status_code=429):
            busy = "The model provider has too many requests at the moment."
            return ProviderError("limited", HTTPStatus.SERVICE_UNAVAILABLE, busy, retry_after(error))
        case APIStatusError(status_code=status) if status >= 500:
            failed = "The model provider failed."
            return ProviderError("failed", HTTPStatus.BAD_GATEWAY, failed, retry_after(error))
        case APIStatusError():
            # A wrong key, an unknown model: for whoever runs this, not for the client.
            refused = "The model provider refused the request."
            return ProviderError("refused", HTTPStatus.BAD_GATEWAY, refused)
        case APIConnectionError():
            away = "The model provider cannot be reached."
            return ProviderError("unreachable", HTTPStatus.BAD_GATEWAY, away, retry_after=0)
    return cut()


def retry_after(error: APIStatusError) -> float:
    """Return how many seconds the provider wants to be left alone."""
    try:
        return max(0.0, float(error.response.headers.get("Retry-After", "")))
    except ValueError:
        return 0.0


def cut() -> ProviderError:
    return ProviderError("cut", HTTPStatus.BAD_GATEWAY, "The answer of the model provider broke off.")
