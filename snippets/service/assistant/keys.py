"""Who may call: API keys, and how much each of them may ask for."""

import hmac
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request
from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from assistant.limits import Limiter
from assistant.problems import problem


@dataclass(frozen=True)
class Caller:
    """Whose key it is. The name is for limits and for the database; it is no secret."""

    name: str


class Keys:
    """The keys that the service knows, as SHA-256.

    Keys are random and long, so nobody finds one by trying, and a slow password hash would add nothing but load.
    """

    def __init__(self, lines: SecretStr) -> None:
        pairs = (line.split(":") for line in lines.get_secret_value().split())
        self._callers = [(bytes.fromhex(digest), Caller(name)) for name, digest in pairs]

    def caller(self, key: str) -> Caller | None:
        """Return whose key it is. It compares with all of them, so the time tells nothing."""
        digest = sha256(key.encode("latin-1")).digest()
        found = None
        for known, caller in self._callers:
            if hmac.compare_digest(known, digest):
                found = caller
        return found


class Gate:
    """Lets requests under /v1 in that bring a key and are within its limit, before anything of their body is read."""

    def __init__(self, app: ASGIApp, keys: Keys, limiter: Limiter) -> None:
        self.app = app
        self.keys = keys
        self.limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not f"{scope['path']}/".startswith("/v1/"):
            await self.app(scope, receive, send)
            return

        scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        caller = self.keys.caller(key.strip()) if scheme.lower() == "bearer" else None
        if caller is None:
            refusal = problem(
                HTTPStatus.UNAUTHORIZED,
                "An API key is needed: Authorization: Bearer KEY",
                {"WWW-Authenticate": "Bearer"},
            )
            await refusal(scope, receive, send)
            return
        if seconds := await self.limiter.wait(caller.name):
            refusal = problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"This key may ask {self.limiter.limit.amount} times a minute.",
                {"Retry-After": str(seconds)},
            )
            await refusal(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self.app(scope, receive, send)


async def known_caller(request: Request) -> Caller:
    """Return who calls. A route that the gate does not stand before fails here instead of serving anybody."""
    return request.state.caller


CurrentCaller = Annotated[Caller, Depends(known_caller)]
