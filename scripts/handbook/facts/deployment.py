"""One model for every target: a service, the proxy before it, the database behind it, and what runs beside them.

Contracts know this model and nothing of Compose, systemd or Kubernetes. `targets` makes it from the files of a target.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from handbook.facts import Fact, gunicorn, postgres, quantities, unreadable
from handbook.facts.code import Code
from handbook.facts.dockerfiles import Dockerfile
from handbook.facts.health import HealthCheck
from handbook.facts.nginx import Nginx
from handbook.facts.quantities import Address
from handbook.facts.settings import Setting
from handbook.facts.shell import Script
from handbook.facts.workload import Workload


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
        if source.value.literal is not None:
            return source.having(source.value.literal)
        for name_of_field in source.value.fields:
            value = self.effective(name_of_field)
            if value is not None and value.value is not None:
                return value
        for lookup in source.value.lookups:
            value = self.variable(lookup.name) or (source.having(lookup.default) if lookup.default else None)
            if value:
                return value
        raise unreadable(source.path, source.line, f"`{name} = {source.value.expression}` is not read here")

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
    def secrets(self) -> list[Setting]:
        """The settings that are secrets."""
        return [setting for setting in self.code.settings if setting.secret]

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
    scripts: list[Script] = field(default_factory=list)
    secrets: dict[str, Fact[str]] | None = field(default_factory=dict)
    """The name of each secret that the target defines -> its file. None: they come from elsewhere than such files."""
    needs: list[Fact[str]] = field(default_factory=list)
    """Files and folders of the repository that the target names."""

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
