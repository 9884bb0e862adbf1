"""Turns the ways in which configurations write durations, sizes and ports into numbers.

Every function takes a text and raises ValueError, which quotes it, when it can't be read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from math import inf
from urllib.parse import SplitResult, urlsplit

_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_NGINX_SECONDS = {"ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "M": 2592000, "y": 31536000, "": 1}
# https://www.freedesktop.org/software/systemd/man/257/systemd.time.html
_SYSTEMD_SECONDS = {
    **dict.fromkeys(("us", "usec", "µs"), 1e-6),
    **dict.fromkeys(("ms", "msec"), 1e-3),
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86400),
    **dict.fromkeys(("w", "week", "weeks"), 604800),
}
_UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def seconds(text: str) -> float:
    """Read a duration of Compose, a Dockerfile or Kubernetes: `40s`, `1m30s`, `500ms`."""
    return _sum(text, text, _SECONDS, "40s or 1m30s")


def nginx_seconds(text: str) -> float:
    """Read a duration of nginx: `35s`, `1h 30m`, `1d`; a bare number counts seconds, and `M` is a month."""
    return _sum(text, re.sub(r"\s+", "", text), _NGINX_SECONDS, "35s or 1m")


def systemd_seconds(text: str) -> float:
    """Read a span of time of systemd: `75`, `5min`, `1min 30s`, `infinity`; a bare number counts seconds."""
    return inf if text == "infinity" else _sum(text, re.sub(r"\s+", "", text), _SYSTEMD_SECONDS, "75 or 1min 30s")


def _sum(text: str, compact: str, units: dict[str, float], example: str) -> float:
    """Add up the parts of a duration, each a number and a unit."""
    if compact == "0":
        return 0.0
    parts = re.findall(r"(\d+(?:\.\d+)?)([a-zA-Zµ]*)", compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact or {u for _, u in parts} - set(units):
        raise ValueError(f"{text!r} is not a duration like {example}")
    return round(sum(float(number) * units[unit] for number, unit in parts), 9)


def size_bytes(text: str) -> int:
    """Read a size: `512m`, `1G`, `256MB`, `8k`. A kilobyte has 1024 bytes in Compose, nginx and PostgreSQL alike."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?b)?", text.strip("'").strip(), re.IGNORECASE)
    if not match:
        raise ValueError(f"{text!r} is not a size like 512m")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def redis_bytes(text: str) -> int:
    """Read a size of Redis: `128mb` has 1024 kb, and `128m` 1000 k."""
    match = re.fullmatch(r"(\d+)([kmg]?)(b?)", text, re.IGNORECASE)
    if not match:
        raise ValueError(f"{text!r} is not a size like 128mb")
    power = "kmg".find(match[2].lower()) + 1 if match[2] else 0
    return int(match[1]) * int((1024 if match[3] else 1000) ** power)


def whole(text: str) -> int:
    """Read a whole number."""
    try:
        return int(str(text).strip("'"))
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None


def number(text: object) -> float:
    """Read a number that may have a fraction."""
    try:
        return float(str(text))
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None


@dataclass(frozen=True)
class Address:
    """Where something listens or is asked. A Unix socket has no port and no host; "" or `*` is every interface."""

    host: str
    port: int | None
    socket: str = ""
    """The path of a Unix socket."""

    def __str__(self) -> str:
        if self.socket:
            return f"unix:{self.socket}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if host else f"port {self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only the machine (or the container) itself can get there."""
        if self.host == "localhost" or self.port is None:
            return True
        return is_ip(self.host) and ip_address(self.host).is_loopback


def is_ip(host: str) -> bool:
    """Whether a host is written as an address, not as a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def address(text: str, default_port: int | None = None) -> Address:
    """Read `8000`, `:8000`, `host:8000`, `[::1]:8000`, `host`, `unix:/run/service.sock`."""
    if text.startswith("unix:"):
        return Address("", None, _socket(text))
    match = re.fullmatch(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<host>[^:\[\]]*))(?::(?P<port>\d+))?", text)
    if not match:
        raise ValueError(f"{text!r} is not an address like host:8000")
    host, port = match["six"] or match["host"] or "", match["port"]
    if port is None and host.isdigit():
        host, port = "", host
    if port is None and default_port is None:
        raise ValueError(f"{text!r} names no port")
    return Address("" if host == "*" else host, _port(text, int(port)) if port else default_port)


def _socket(text: str) -> str:
    """The path in `unix:/path`, gunicorn's `unix:///path` and nginx's `unix:/path:/uri`."""
    path = re.sub(r"^unix:(//(?=/))?", "", text).partition(":")[0]
    if not path:
        raise ValueError(f"{text!r} names no socket")
    return path


def url(text: str) -> SplitResult:
    """Read a URL with a host: `redis://cache:6379/0`."""
    parts = urlsplit(text)
    if not parts.hostname:
        raise ValueError(f"{text!r} is not a URL like http://host:8000/path")
    return parts


@dataclass(frozen=True)
class Port:
    """A port of a workload that is open to the outside: `published` on the host leads to `target` inside."""

    published: int | None
    target: int
    host: str = ""
    protocol: str = "tcp"


def ports(text: str) -> list[Port]:
    """Read the short form of Compose: `8000`, `443:8443`, `127.0.0.1:443:8443`, `8000-8001:9000-9001/udp`."""
    match = re.fullmatch(
        r"(?:(?P<host>\[[^\]]+\]|[^:\[\]]+):(?=[^:]*:))?(?:(?P<published>\d+(?:-\d+)?)?:)?"
        r"(?P<target>\d+(?:-\d+)?)(?:/(?P<protocol>\w+))?",
        text,
    )
    if not match:
        raise ValueError(f"{text!r} is not a port like 443:8443")
    targets = _range(text, match["target"])
    published: list[int] | list[None] = (
        _range(text, match["published"]) if match["published"] else [None] * len(targets)
    )
    if len(targets) != len(published):
        raise ValueError(f"{text!r} leads from {len(published)} ports to {len(targets)}")
    host = (match["host"] or "").strip("[]")
    return [
        Port(outer, inner, host, match["protocol"] or "tcp") for outer, inner in zip(published, targets, strict=True)
    ]


def published(text: str) -> int:
    """Read `published` of Compose's long form: a port, or the first one of a range that Docker may choose from."""
    if not re.fullmatch(r"\d+(-\d+)?", text):
        raise ValueError(f"{text!r} is not a port like 443")
    return _range(text, text)[0]


def _range(text: str, numbers: str) -> list[int]:
    first, _, last = numbers.partition("-")
    if int(last or first) < int(first):
        raise ValueError(f"{text!r}: the range {numbers} is empty")
    return [_port(text, port) for port in range(int(first), int(last or first) + 1)]


def _port(text: str, number: int) -> int:
    if not 0 < number < 65536:
        raise ValueError(f"{text!r}: there is no port {number}")
    return number
