"""Health checks, and the requests that commands make."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from handbook.facts import Fact
from handbook.facts.quantities import Address

_URL = re.compile(r"https?://[^\s'\"\\`)<>|;,]+")


@dataclass(frozen=True)
class HealthCheck:
    """A command that tells whether a workload is healthy."""

    test: Fact[tuple[str, ...]]
    interval_seconds: Fact[float]
    timeout_seconds: Fact[float]

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the command, those of a shell's too."""
        return tuple(word for part in self.test.value for word in part.split())

    @property
    def module(self) -> str | None:
        """The module that `python -m MODULE` runs."""
        words = self.words
        return words[words.index("-m") + 1] if "-m" in words[:-1] else None

    @property
    def requests(self) -> list[Fact[Request]]:
        """The requests that stand in the command."""
        return [self.test.having(request) for request in requests(self.test.value)]

    def option(self, name: str) -> str | None:
        """The value of `--name=value`."""
        prefix = f"--{name}="
        return next((word.removeprefix(prefix) for word in self.words if word.startswith(prefix)), None)


@dataclass(frozen=True)
class Request:
    """What a command asks. `inside` names the workload that the command runs in; None is the outside."""

    address: Address
    path: str
    inside: str | None = None


def requests(texts: Sequence[str], inside: str | None = None) -> Iterator[Request]:
    """Yield the requests to the URLs in some texts. A URL whose host or port is a variable is left out."""
    for text in texts:
        for url in _URL.findall(text):
            parts = urlsplit(url)
            if "$" in parts.netloc or not parts.hostname:
                continue
            port = parts.port or (443 if parts.scheme == "https" else 80)
            yield Request(Address(parts.hostname, port), parts.path or "/", inside)
