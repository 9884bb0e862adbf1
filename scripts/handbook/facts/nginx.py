"""Reads nginx configurations with crossplane, includes followed the way the server sees them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import crossplane

from handbook.facts import Fact, quantities, text_of, unreadable
from handbook.facts.quantities import Address

# The packages of nginx bring these into the folder of nginx.conf.
BROUGHT = ("mime.types", "fastcgi_params", "fastcgi.conf", "scgi_params", "uwsgi_params")

# The file that nginx reads first, in its image and in Debian's package.
MAIN = "/etc/nginx/nginx.conf"

# What nginx does when a directive is not there: https://nginx.org/en/docs/http/ngx_http_proxy_module.html
_DEFAULTS = {"proxy_read_timeout": "60s", "proxy_send_timeout": "60s", "proxy_connect_timeout": "60s"}
_UPSTREAM_KEEPALIVE = "60s"

# Directives of which the innermost level that has one counts, with what holds where no level has one.
_INHERITED = {
    "client_max_body_size": ("1m",),
    "gzip": ("off",),
    "gzip_types": ("text/html",),
    "limit_conn_status": ("503",),
    "limit_req_status": ("503",),
    "proxy_buffering": ("on",),
}
# The same, but without one nothing holds.
_LIMITS = ("limit_conn", "limit_req")


@dataclass(frozen=True)
class Directive:
    """One directive, with those in its block; those of included files stand where the `include` stood."""

    name: str
    arguments: tuple[str, ...]
    path: str
    line: int
    block: tuple[Directive, ...] = ()

    def fact(self) -> Fact[tuple[str, ...]]:
        """Its arguments, and the place where it stands."""
        return Fact(self.arguments, self.path, self.line)

    def all(self, name: str) -> list[Directive]:
        """The directives of a name that stand in its block itself."""
        return [directive for directive in self.block if directive.name == name]

    def anywhere(self, name: str) -> Iterator[Directive]:
        """The directives of a name that stand in its block or in one inside of it."""
        for directive in self.block:
            if directive.name == name:
                yield directive
            yield from directive.anywhere(name)


@dataclass
class Location:
    """A location, with what it inherits."""

    at: Fact[str]
    modifier: str
    timeouts: dict[str, Fact[float]]
    """Effective `proxy_*_timeout`, in seconds."""
    request_headers: dict[str, Fact[str]]
    """Effective `proxy_set_header`: lower-case name -> value. A level with one of its own inherits none."""
    effective: dict[str, Fact[tuple[str, ...]]] = field(default_factory=dict)
    """What is written, here or on a level above, of buffering, compression, the size of bodies, and statuses."""
    limits: dict[str, Fact[tuple[str, ...]]] = field(default_factory=dict)
    """The last `limit_req` and `limit_conn` that hold here."""
    passes_to: Fact[str] | None = None
    """Host, and port where there is one, of `proxy_pass`; or its Unix socket; or the name of an upstream."""
    answer: Fact[int] | None = None

    def holding(self, name: str) -> Fact[tuple[str, ...]]:
        """The arguments of a directive that hold here; nginx's default, at the location, where none is written."""
        return self.effective.get(name) or self.at.having(_INHERITED[name])

    @property
    def body_bytes(self) -> Fact[int]:
        """How large a body may be; 0: as large as it likes."""
        return self.holding("client_max_body_size").read(lambda words: quantities.size_bytes(words[0]))

    @property
    def is_buffered(self) -> Fact[bool]:
        """Whether answers are kept here until there is enough of them."""
        buffering = self.holding("proxy_buffering")
        return buffering.having(buffering.value[0] != "off")

    def compresses(self, media_type: str) -> Fact[bool]:
        """Whether answers of a media type are compressed, which keeps them here like a buffer."""
        gzip, types = self.holding("gzip"), self.holding("gzip_types")
        named = {"text/html", *types.value} & {media_type, "*"}
        return (types if named else gzip).having(gzip.value[0] != "off" and bool(named))

    @property
    def refuses(self) -> bool:
        """Whether nginx itself answers here with an error."""
        return self.passes_to is None and self.answer is not None and self.answer.value >= 400


@dataclass
class Server:
    """A server, with the locations in it."""

    at: Fact[str]
    names: list[Fact[str]]
    listens: list[Fact[Address]]
    locations: list[Location]
    answer: Fact[int] | None
    redirects_to: Fact[str] | None

    @property
    def is_public(self) -> bool:
        """Whether it can be reached from elsewhere."""
        return any(not listen.value.is_loopback for listen in self.listens)

    def location(self, path: str) -> Location | None:
        """Return the location that nginx picks for a path: exact, longest prefix with ^~, regex, longest prefix."""
        named = [location for location in self.locations if location.modifier != "@"]
        for location in named:
            if location.modifier == "=" and location.at.value == path:
                return location
        prefixes = [x for x in named if x.modifier in ("", "^~") and path.startswith(x.at.value)]
        best = max(prefixes, key=lambda location: len(location.at.value), default=None)
        if best and best.modifier == "^~":
            return best
        for location in named:
            flags = re.IGNORECASE if location.modifier == "~*" else 0
            if location.modifier in ("~", "~*") and re.search(location.at.value, path, flags):
                return location
        return best


@dataclass
class Upstream:
    """A group of servers that requests are passed to."""

    name: Fact[str]
    servers: list[Fact[Address]]
    resolves: dict[Fact[Address], bool]
    keepalive_seconds: Fact[float]


@dataclass
class Nginx:
    """A whole configuration."""

    path: str
    servers: list[Server] = field(default_factory=list)
    upstreams: dict[str, Upstream] = field(default_factory=dict)
    user: Fact[str] | None = None
    """As whom its workers run. None: the configuration does not say it."""
    shutdown_seconds: Fact[float] | None = None
    resolver: Fact[str] | None = None
    retries: list[Fact[tuple[str, ...]]] = field(default_factory=list)
    """Every `proxy_next_upstream`, at whatever level: when a request is sent to another server."""
    files: list[Fact[str]] = field(default_factory=list)
    """Paths, as nginx sees them, of certificates and keys."""

    @property
    def passing(self) -> list[tuple[Server, Location]]:
        """Every location that passes requests on."""
        return [(server, place) for server in self.servers for place in server.locations if place.passes_to]

    def targets(self, location: Location) -> list[Fact[Address]]:
        """Where a location passes to. Raises HandbookError when the place is a variable or has no readable address."""
        assert location.passes_to
        if location.passes_to.value in self.upstreams:
            return self.upstreams[location.passes_to.value].servers
        return [location.passes_to.read(lambda text: quantities.address(text, 80))]

    @property
    def asked(self) -> list[Fact[Address]]:
        """Where all its locations pass to."""
        return [target for _, location in self.passing for target in self.targets(location)]

    def listening(self, port: int) -> list[Server]:
        """The servers that listen on a port."""
        return [s for s in self.servers if any(listen.value.port == port for listen in s.listens)]


def read(root: Path, path: str, seen_as: str, lookup: Callable[[str], str | None], files: Iterable[str]) -> Nginx:
    """Read the configuration that starts in `path`, which nginx knows as `seen_as`.

    `lookup` turns a path that nginx sees into one of the repository, or None; `files` are the files there are, for an
    `include` with `*`. Raises HandbookError for an include that leads nowhere and for a file that can't be read.
    """
    reader = _Reader(root, posixpath.dirname(seen_as), lookup, tuple(files))
    main = Directive("main", (), path, 1, tuple(reader.directives(path)))
    found = Nginx(path)
    if user := main.all("user"):
        found.user = user[-1].fact().having(user[-1].arguments[0])
    if stop := main.all("worker_shutdown_timeout"):
        found.shutdown_seconds = _seconds(stop[-1])
    found.retries = [directive.fact() for directive in main.anywhere("proxy_next_upstream")]
    for http in main.all("http"):
        if resolvers := http.all("resolver"):
            found.resolver = resolvers[-1].fact().having(resolvers[-1].arguments[0])
        for block in http.all("upstream"):
            upstream = _upstream(block)
            found.upstreams[upstream.name.value] = upstream
        for block in http.all("server"):
            found.servers.append(_server(http, block))
            for name in ("ssl_certificate", "ssl_certificate_key"):
                found.files += [d.fact().having(d.arguments[0]) for d in (*block.all(name), *http.all(name))]
    return found


@lru_cache(maxsize=256)
def _parse(text: str, path: str, absolute: str) -> list[dict[str, Any]]:
    """Parse one file; `text` is its content, so that a changed file is parsed again."""
    payload: dict[str, Any] = crossplane.parse(
        absolute, single=True, check_ctx=False, check_args=False, catch_errors=True
    )
    for error in payload["errors"]:
        message = re.sub(r" in \S+?:\d+$", "", str(error["error"])).replace(absolute, path)
        raise unreadable(path, error.get("line") or 0, f"nginx's syntax: {message}")
    parsed: list[dict[str, Any]] = payload["config"][0]["parsed"]
    return parsed


@dataclass
class _Reader:
    root: Path
    folder: str
    lookup: Callable[[str], str | None]
    files: Sequence[str]
    within: tuple[str, ...] = ()

    def directives(self, path: str) -> list[Directive]:
        if path in self.within:
            raise unreadable(path, 1, "the file includes itself")
        self.within = (*self.within, path)
        found = self._convert(_parse(text_of(self.root, path), path, str(self.root / path)), path)
        self.within = self.within[:-1]
        return found

    def _convert(self, parsed: list[dict[str, Any]], path: str) -> list[Directive]:
        found: list[Directive] = []
        for item in parsed:
            if item["directive"] == "include":
                for included in self._included(item["args"][0], path, item["line"]):
                    found += self.directives(included)
            else:
                block = tuple(self._convert(item.get("block", []), path))
                found.append(Directive(item["directive"], tuple(item["args"]), path, item["line"], block))
        return found

    def _included(self, pattern: str, path: str, line: int) -> list[str]:
        seen = posixpath.normpath(posixpath.join(self.folder, pattern))
        if posixpath.basename(seen) in BROUGHT and posixpath.dirname(seen) == self.folder:
            return []
        folder, name = posixpath.split(seen)
        if "*" in name:
            inside = self.lookup(folder)
            glob = (
                re.compile(f"{re.escape(inside)}/{re.escape(name).replace(chr(92) + '*', '[^/]*')}") if inside else None
            )
            return [file for file in self.files if glob and glob.fullmatch(file)]
        file = self.lookup(seen)
        if file is None or not (self.root / file).is_file():
            raise unreadable(path, line, f"nothing of the repository stands at {seen}; mount the file there")
        return [file]


def _seconds(directive: Directive) -> Fact[float]:
    return directive.fact().read(lambda words: quantities.nginx_seconds(" ".join(words)))


def _upstream(block: Directive) -> Upstream:
    servers: list[Fact[Address]] = []
    resolves: dict[Fact[Address], bool] = {}
    for server in block.all("server"):
        address = server.fact().read(lambda words: quantities.address(words[0], 80))
        servers.append(address)
        resolves[address] = "resolve" in server.arguments and bool(block.all("zone"))
    keepalive = block.all("keepalive")
    idle = block.all("keepalive_timeout")
    default = (keepalive[-1] if keepalive else block).fact().having(quantities.nginx_seconds(_UPSTREAM_KEEPALIVE))
    return Upstream(
        name=block.fact().having(block.arguments[0]),
        servers=servers,
        resolves=resolves,
        keepalive_seconds=_seconds(idle[-1]) if idle else default,
    )


def _server(http: Directive, block: Directive) -> Server:
    listens = [d.fact().read(lambda words: quantities.address(words[0], 80)) for d in block.all("listen")]
    names = [directive.fact().having(name) for directive in block.all("server_name") for name in directive.arguments]
    target = next((d for d in block.all("return") if d.arguments[-1].startswith("http")), None)
    return Server(
        at=block.fact().having(names[0].value if names else "_"),
        names=names,
        listens=listens or [block.fact().having(Address("", 80))],
        locations=list(_locations((http, block), block)),
        answer=_answer(block),
        redirects_to=target.fact().having(target.arguments[-1]) if target else None,
    )


def _locations(levels: tuple[Directive, ...], block: Directive) -> list[Location]:
    found = []
    for directive in block.all("location"):
        words = directive.arguments
        modifier, pattern = (words[0], words[1]) if len(words) == 2 else ("", words[0])
        if pattern.startswith("@"):
            modifier, pattern = "@", pattern[1:]
        inner = (*levels, directive)
        passed = directive.all("proxy_pass")
        found.append(
            Location(
                at=directive.fact().having(pattern),
                modifier=modifier,
                timeouts=_timeouts(inner, passed[-1] if passed else directive),
                request_headers=_headers(inner),
                effective={name: fact for name in _INHERITED if (fact := _innermost(inner, name))},
                limits={name: fact for name in _LIMITS if (fact := _innermost(inner, name))},
                passes_to=_target(passed[-1]) if passed else None,
                answer=_answer(directive),
            )
        )
        found += _locations(inner, directive)
    return found


def _target(directive: Directive) -> Fact[str]:
    address = re.sub(r"^https?://", "", directive.arguments[0])
    address = "unix:" + address.split(":")[1] if address.startswith("unix:") else address.partition("/")[0]
    if "$" in address or not address:
        raise unreadable(directive.path, directive.line, f"{directive.arguments[0]!r} is only known at run time")
    return directive.fact().having(address)


def _answer(directive: Directive) -> Fact[int] | None:
    for answer in directive.all("return"):
        word = answer.arguments[0]
        return answer.fact().having(int(word) if word.isdigit() else 302)
    return None


def _timeouts(levels: tuple[Directive, ...], at: Directive) -> dict[str, Fact[float]]:
    found = {name: at.fact().having(quantities.nginx_seconds(value)) for name, value in _DEFAULTS.items()}
    for level in levels:
        for name in _DEFAULTS:
            for directive in level.all(name):
                found[name] = _seconds(directive)
    return found


def _innermost(levels: tuple[Directive, ...], name: str) -> Fact[tuple[str, ...]] | None:
    return next((own[-1].fact() for level in reversed(levels) if (own := level.all(name))), None)


def _headers(levels: tuple[Directive, ...]) -> dict[str, Fact[str]]:
    for level in reversed(levels):
        if own := level.all("proxy_set_header"):
            return {d.arguments[0].lower(): d.fact().having(d.arguments[1]) for d in own}
    return {}
