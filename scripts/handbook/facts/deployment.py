"""One model for every target: a service, the proxy before it, the database behind it, and what runs beside them.

Contracts know this model and nothing of Compose, systemd or Kubernetes. `targets` makes it from the files of a target.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult

from handbook.facts import Fact, celery, gunicorn, postgres, quantities, unreadable
from handbook.facts.code import Code
from handbook.facts.dockerfiles import Dockerfile
from handbook.facts.health import HealthCheck
from handbook.facts.hosts import Host
from handbook.facts.nginx import Nginx
from handbook.facts.quantities import Address
from handbook.facts.redis import Redis
from handbook.facts.settings import Setting
from handbook.facts.shell import Script
from handbook.facts.values import Source
from handbook.facts.workload import Workload

if TYPE_CHECKING:
    from handbook.facts.kubernetes import Overlay

_PORTS = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379}


@dataclass
class Proxy:
    """What the outside reaches."""

    workload: Workload
    nginx: Nginx


@dataclass
class Database:
    """Where the data is."""

    workload: Workload
    flags: dict[str, Fact[str]]
    made: postgres.Made

    def flag(self, name: str) -> Fact[str]:
        """A parameter of the server; where none is given, PostgreSQL's default."""
        return self.flags.get(name) or self.workload.name.having(postgres.DEFAULTS[name])


@dataclass
class Service:
    """What answers: its code, and what runs it."""

    workload: Workload
    code: Code

    @property
    def dockerfile(self) -> Dockerfile | None:
        """How its image is made. None where it runs without one, even if the code brings a Dockerfile."""
        return self.code.dockerfile if self.workload.in_container else None

    def effective(self, field: str) -> Fact[Any] | None:
        """The value of a setting: the target's variable, else the image's, else the default. None: there is none."""
        setting = next((setting for setting in self.code.settings if setting.field == field), None)
        name = setting.name.value if setting else field.upper()
        return self.variable(name) or (setting.default if setting else None)

    def variable(self, name: str) -> Fact[str] | None:
        """A variable that the target or else the image sets. An empty one counts as not set."""
        image = self.dockerfile.environment if self.dockerfile else {}
        for environment in (self.workload.environment, image):
            if name in environment and environment[name].value:
                return environment[name]
        return None

    def number(self, field: str) -> Fact[float] | None:
        """The value of a setting as a number. Raises HandbookError when it isn't one."""
        value = self.effective(field)
        return value.read(quantities.number) if value else None

    def server(self, name: str) -> Fact[Any]:
        """The value of one of gunicorn's settings; where none is given, gunicorn's default.

        Raises HandbookError when `gunicorn.conf.py` works it out in a way that is not read here.
        """
        source = self.code.gunicorn.get(name)
        if source is None:
            return self.code.at.having(gunicorn.DEFAULTS[name])
        value = self._resolved(source)
        if value is None:
            raise unreadable(source.path, source.line, f"`{name} = {source.value.expression}` is not read here")
        return value

    def _resolved(self, source: Fact[Source]) -> Fact[Any] | None:
        """What a value in the code is here. None: it is worked out in a way that is not read."""
        if source.value.literal is not None:
            return source.having(source.value.literal)
        for name in source.value.fields:
            value = self.effective(name)
            if value is not None and value.value is not None:
                return value if source.value.is_plain else value.read(source.value.work_out)
        for lookup in source.value.lookups:
            value = self.variable(lookup.name) or (source.having(lookup.default) if lookup.default else None)
            if value:
                return value
        return None

    def celery_number(self, name: str) -> Fact[float] | None:
        """The value of one of Celery's settings as a number. None: the code does not set it.

        Raises HandbookError when the code works it out in a way that is not read here.
        """
        source = self.code.celery.get(name)
        if source is None:
            return None
        value = self._resolved(source)
        if value is None:
            raise unreadable(source.path, source.line, f"`{name}: {source.value.expression}` is not read here")
        return value.read(quantities.number)

    @property
    def celery_role(self) -> str | None:
        """What Celery is told to be here: `worker` or `beat`. None: this is not Celery."""
        return celery.role(self.workload.command)

    @property
    def processes(self) -> int:
        """How many processes do the work."""
        if self.celery_role == "worker":
            told, set_to = celery.concurrency(self.workload.command), self.celery_number("worker_concurrency")
            return int(told.value if told else set_to.value if set_to else 1)
        return 1 if self.workload.command else int(self.server_number("workers").value)

    def server_number(self, name: str) -> Fact[float]:
        """The value of one of gunicorn's settings as a number."""
        return self.server(name).read(quantities.number)

    @property
    def bind(self) -> Fact[Address]:
        """Where the service listens."""
        return self.server("bind").read(lambda text: quantities.address(str(text), 8000))

    @property
    def secrets_folder(self) -> str:
        """The folder that the code reads its secrets from."""
        value = self.variable("SECRETS_DIR")
        default = next((x.value.default for x in self.code.lookups if x.value.name == "SECRETS_DIR"), None)
        return value.value if value else default or "/run/secrets"

    @property
    def settings(self) -> list[Setting]:
        """The settings that what runs here reads."""
        return self.code.settings_of(self._words)

    @property
    def pools(self) -> bool:
        """Whether its processes keep a pool of connections to the database."""
        return self.code.entry(self._words) not in self.code.unpooled

    @property
    def _words(self) -> list[str]:
        return [word.value for word in self.workload.command]

    @property
    def secrets(self) -> list[Setting]:
        """Those of them that are secrets."""
        return [setting for setting in self.settings if setting.secret]

    def secret_path(self, setting: Setting) -> str:
        """The file that a secret is read from."""
        return f"{self.secrets_folder}/{setting.field}"

    @property
    def health(self) -> list[HealthCheck]:
        """The health checks that ask this service: the target's and the image's."""
        if self.workload.health_off:
            return []
        image = self.dockerfile.health if self.dockerfile else None
        return [check for check in (self.workload.health, image) if check]


@dataclass
class Deployment:
    """One target, as its files say it."""

    at: Fact[str]
    """Its main file; the value is the target's name."""
    proxy: Proxy | None
    """None: the service is asked without one."""
    service: Service
    database: Database | None
    """None: it is none of the target's own."""
    workloads: list[Workload]
    jobs: list[Service] = field(default_factory=list)
    """What else runs the service's image, such as migrations."""
    redis: list[Redis] | None = None
    """None: it has none of its own."""
    dockerfiles: dict[str, Dockerfile] = field(default_factory=dict)
    """How the images that are built here are made, by the name of each workload that runs one."""
    measured: dict[str, Fact[int]] | None = None
    """The bytes that each workload needed at most when it was measured, by name. None: nothing was measured."""
    scripts: list[Script] = field(default_factory=list)
    secrets: dict[str, Fact[str]] | None = field(default_factory=dict)
    """The name of each secret that the target defines -> its file. None: they come from elsewhere than such files."""
    needs: list[Fact[str]] = field(default_factory=list)
    """Files and folders of the repository that the target names."""
    host: Host | None = None
    """What the files of a host say besides. None: systemd runs nothing of it."""
    trials: list[Service] = field(default_factory=list)
    """What runs the service's code for a moment only: a release that is tried out."""
    mentions: dict[str, list[Fact[str]]] = field(default_factory=dict)
    """The paths of secrets that the files of other images than the service's name, by the name of each workload."""

    @property
    def serving(self) -> list[Service]:
        """The service, and the other instances of it where each is a workload of its own."""
        own = [word.value for word in self.service.workload.command]
        return [each for each in self.services if [word.value for word in each.workload.command] == own]

    @property
    def image(self) -> Fact[str] | None:
        """The image of the service, or where it is built. None: the service runs without an image."""
        return self.service.workload.image or self.service.workload.build

    @property
    def networks(self) -> set[str] | None:
        """The names of its networks. None: everything runs in the network of one host."""
        return {name for workload in self.workloads for name in workload.networks} or None

    def workload(self, name: str) -> Workload | None:
        """Return what runs under a name."""
        return next((workload for workload in self.workloads if workload.name.value == name), None)

    @property
    def hosts(self) -> set[str]:
        """The names that the proxy answers to."""
        if self.proxy is None:
            return set()
        names = (name.value for server in self.proxy.nginx.servers if server.is_public for name in server.names)
        return {name for name in names if name != "_" and not quantities.is_ip(name)}

    @property
    def worker(self) -> Service | None:
        """What does the jobs that the service puts aside."""
        return next((job for job in self.jobs if job.celery_role == "worker"), None)

    def asked(self, setting: str) -> Fact[SplitResult] | None:
        """The URL in one of the service's settings. None: there is none. Raises HandbookError when it is no URL."""
        url = self.service.effective(setting)
        return url.read(lambda text: quantities.url(str(text))) if url and url.value else None

    def behind(self, setting: str) -> Workload | None:
        """The workload that the URL in one of the service's settings leads to; None: it is none of these."""
        url = self.asked(setting)
        if url is None:
            return None
        port = url.value.port or _PORTS.get(url.value.scheme)
        return next((w for w in self.workloads if w.is_at(url.value.hostname, port)), None)

    def redis_behind(self, setting: str) -> Redis | None:
        """The Redis that the URL in one of the service's settings leads to."""
        workload = self.behind(setting)
        return next((redis for redis in self.redis or () if redis.workload is workload), None)

    @property
    def services(self) -> Iterator[Service]:
        """Everything that runs the service's code."""
        yield self.service
        yield from self.jobs


@dataclass
class Facts:
    """Everything that contracts may know."""

    deployments: list[Deployment]
    files: frozenset[str]
    snippets: tuple[str, ...]
    used: set[str]
    """The snippets that some stack uses."""
    shown: set[str]
    """The snippets that some page shows."""
    pages: dict[str, str]
    """The text of each page."""
    overlays: list[Overlay] = field(default_factory=list)
    """What would be applied to a cluster of Kubernetes, one a folder."""
