"""Reads a service's own code: its settings, routes, health check, version, server configuration and Dockerfile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from handbook.facts import Fact, celery, dockerfiles, gunicorn, python, routes, settings, unreadable
from handbook.facts.dockerfiles import Dockerfile
from handbook.facts.python import Check, Lookup, Module
from handbook.facts.settings import Setting
from handbook.facts.values import Source


@dataclass
class Code:
    """What the code of a service says."""

    folder: str
    version: Fact[str] | None = None
    settings: list[Setting] = field(default_factory=list)
    lookups: list[Fact[Lookup]] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    """Every attribute that the code takes from some object, outside of the modules that declare settings."""
    routes: list[Fact[str]] = field(default_factory=list)
    streams: list[Fact[str]] = field(default_factory=list)
    """Those of the routes whose answer is a stream."""
    loads: dict[str, frozenset[str]] = field(default_factory=dict)
    """The classes that each file makes, settings among them."""
    unpooled: set[str] = field(default_factory=set)
    """The files that open connections to the database without a pool, and those that import one of them."""
    gunicorn: dict[str, Fact[Source]] = field(default_factory=dict)
    celery: dict[str, Fact[Source]] = field(default_factory=dict)
    checks: dict[str, Check] = field(default_factory=dict)
    """What the modules that can be run (`python -m`) ask, by module."""
    dockerfile: Dockerfile | None = None

    def entry(self, command: Sequence[str]) -> str:
        """The file that a command runs first; without a command it is gunicorn's."""
        words = [part for word in command for part in word.split("=", 1)]
        if "alembic" in words:
            return f"{self.folder}/migrations/env.py"
        for option in ("--app", "-A", "-m"):
            if option in words[:-1]:
                module = words[words.index(option) + 1].partition(":")[0]
                return f"{self.folder}/{module.replace('.', '/')}.py"
        return self.at.path

    def settings_of(self, command: Sequence[str]) -> list[Setting]:
        """The settings that a command reads: those of the classes that its file makes; all, when that says nothing."""
        made = self.loads.get(self.entry(command), frozenset())
        return [setting for setting in self.settings if setting.classes & made] or self.settings

    @property
    def at(self) -> Fact[str]:
        """The place for what is not there at all."""
        return Fact(self.folder, f"{self.folder}/gunicorn.conf.py", 1)


def read(root: Path, folder: str, files: Sequence[str]) -> Code:
    """Read the service in `folder`; `files` are those of the repository.

    Raises HandbookError when `gunicorn.conf.py` doesn't name the package, and for a file that can't be read.
    """
    conf = python.read(root, f"{folder}/gunicorn.conf.py")
    code = Code(folder, gunicorn=gunicorn.of(conf))
    package = _package(code)
    inside = f"{folder}/{package}/"
    modules = [python.read(root, file) for file in files if file.startswith(inside) and file.endswith(".py")]
    scripts = [python.read(root, file) for file in files if file == f"{folder}/migrations/env.py"]
    code.loads = {module.path: settings.loaded(module) for module in [*modules, *scripts, conf]}
    for module in [*modules, conf]:
        declared = settings.of(module)
        code.settings += declared
        code.lookups += python.lookups(module)
        code.celery |= celery.of(module)
        if not declared:
            code.used |= python.attributes(module)
        if _runs(module) and (check := python.check(module)).paths:
            code.checks[_dotted(module.path, folder)] = check
        if module.path == f"{inside}__init__.py":
            code.version = module.constants().get("__version__")
    unpooled = {_dotted(module.path, folder) for module in modules if "NullPool" in module.text}
    code.unpooled = {m.path for m in modules if {_dotted(m.path, folder), *python.imports(m)} & unpooled}
    found = routes.read(modules)
    code.routes = [route.path for route in found]
    code.streams = [route.path for route in found if route.streams]
    if f"{folder}/Dockerfile" in set(files):
        code.dockerfile = dockerfiles.read(root, f"{folder}/Dockerfile")
    return code


def _package(code: Code) -> str:
    application = code.gunicorn.get("wsgi_app")
    if application is None or not isinstance(application.value.literal, str):
        at = application or code.at
        raise unreadable(at.path, at.line, 'the application is expected here: wsgi_app = "package.module:app"')
    return application.value.literal.partition(":")[0].partition(".")[0]


def _runs(module: Module) -> bool:
    return "__main__" in module.text


def _dotted(path: str, folder: str) -> str:
    return ".".join(PurePosixPath(path).relative_to(folder).with_suffix("").parts)
