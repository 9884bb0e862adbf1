"""A client of a booted stack, and how to wait for something."""

import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from handbook.stacks import Boot


@dataclass(frozen=True)
class Client:
    """A client of the service at `host`, whose ports 80 and 443 are `http` and `https` on 127.0.0.1.

    `ca` is the certificate of the one CA that it trusts, `key` what it may call the API with; an empty one is not sent.
    """

    http: int
    https: int
    ca: Path
    key: str = ""
    host: str = "api.example.com"

    @cached_property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))

    @cached_property
    def _secure(self) -> httpx.Client:
        return httpx.Client(base_url=f"https://127.0.0.1:{self.https}", verify=self.trust, trust_env=False, timeout=45)

    @cached_property
    def _plain(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://127.0.0.1:{self.http}", trust_env=False, timeout=10)

    def connect(self) -> httpx.AsyncClient:
        """Return what sends many requests beside one another, each over a kept connection, to the secure port."""
        address = f"https://127.0.0.1:{self.https}"
        return httpx.AsyncClient(base_url=address, verify=self.trust, trust_env=False, timeout=45)

    def request(
        self,
        method: str,
        path: str,
        *,
        scheme: str = "https",
        host: str = "",
        headers: Mapping[str, str] | None = None,
        content: Any = None,
        params: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send one request over a kept connection and return the answer; redirects are not followed."""
        client = self._secure if scheme == "https" else self._plain
        authorization = {"Authorization": f"Bearer {self.key}"} if self.key and scheme == "https" else {}
        return client.request(
            method,
            path,
            params=params,
            json=content,
            headers={**authorization, **(headers or {}), "Host": host or self.host},
            extensions={"sni_hostname": self.host},
        )

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def handshake(self, context: ssl.SSLContext | None = None, name: str | None = None) -> ssl.SSLSocket:
        """Return a fresh TLS connection that asks for `name` (the host's own; an empty one sends none)."""
        name = self.host if name is None else name
        plain = socket.create_connection(("127.0.0.1", self.https), timeout=5)
        try:
            return (context or self.trust).wrap_socket(plain, server_hostname=name or None)
        except BaseException:
            plain.close()
            raise

    def store(self, text: str) -> str:
        answer = self.request("POST", "/v1/documents", content={"text": text})
        assert answer.status_code == 201, answer.text
        identity: str = answer.json()["id"]
        return identity

    def find(self, text: str) -> list[str]:
        """The ids of what a search for `text` finds, nearest first."""
        answer = self.get("/v1/search", params={"q": text})
        assert answer.status_code == 200, answer.text
        return [match["id"] for match in answer.json()["matches"]]


def client_of(boot: Boot) -> Client:
    """Return a client of a started production stack, with the operator's key."""
    secrets = boot.folder / "secrets"
    key = (secrets / "api_key").read_text().strip()
    return Client(boot.ports[80], boot.ports[443], secrets / "ca" / "ca.crt", key)


def wait_for(condition: Callable[[], object], what: str, seconds: float = 90, pause: float = 0.05) -> None:
    """Wait until `condition` returns something true; an AssertionError in it means not yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
            reason = ""
        except (AssertionError, httpx.TransportError) as error:
            reason = f": {error}"
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}{reason}"
        time.sleep(pause)
