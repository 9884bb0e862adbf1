"""Makes deployments from the files of a target. A new target is one more assembler in `ASSEMBLERS`."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from handbook.catalog import Catalog
from handbook.facts import (
    Fact,
    below,
    code,
    compose,
    dockerfiles,
    hosts,
    kubernetes,
    measured,
    nginx,
    postgres,
    quantities,
    redis,
    shell,
    text_of,
    unreadable,
)
from handbook.facts.compose import Compose
from handbook.facts.deployment import Database, Deployment, Facts, Proxy, Service
from handbook.facts.hosts import Host
from handbook.facts.installs import Put
from handbook.facts.redis import Redis
from handbook.facts.systemd import Unit
from handbook.facts.workload import Mount, Workload
from handbook.findings import HandbookError
from handbook.go import pins
from handbook.measured import path as measured_path

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
POSTGRES_SCRIPTS = "/docker-entrypoint-initdb.d"


def read(catalog: Catalog) -> Facts:
    """Read everything that contracts compare.

    Raises HandbookError when there is no deployment at all: contracts that compare nothing must not look kept.
    """
    facts = Facts(
        deployments=[],
        files=frozenset(catalog.files),
        snippets=catalog.snippets,
        used=set(),
        shown=set(catalog.shown()),
        pages={page.path: text_of(catalog.root, page.path) for page in catalog.pages},
    )
    for path in catalog.snippets:
        for pattern, assemble in ASSEMBLERS.items():
            if fnmatchcase(path, pattern):
                deployment, used = assemble(catalog.root, path, catalog.snippets)
                facts.used |= used
                facts.deployments += [deployment] if deployment else []
    facts.overlays = _overlays(catalog, facts)
    if not facts.deployments:
        raise HandbookError("snippets: no file deploys the service, so there is nothing to compare")
    return facts


def _overlays(catalog: Catalog, facts: Facts) -> list[kubernetes.Overlay]:
    """Read what would be applied to Kubernetes, each overlay beside what the other targets say of the same images."""
    found = [
        kubernetes.read(catalog.root, f, catalog.snippets) for f in kubernetes.overlays(catalog.root, catalog.snippets)
    ]
    charts = [kubernetes.chart(catalog.root, f, catalog.snippets) for f in kubernetes.charts(catalog.snippets)]
    found += charts
    for overlay in found:
        for deployment in facts.deployments:
            for service in deployment.services:
                if image := service.workload.image:
                    overlay.codes.setdefault(kubernetes.image_name(image.value), service.code)
            if any(workload.image for workload in deployment.workloads):
                overlay.others += deployment.workloads
                overlay.peaks |= deployment.measured or {}
        facts.used |= overlay.files
    if found:
        facts.used |= {"scripts/handbook/kustomize.py", *pins("kustomize")} & facts.files
    if charts:
        facts.used |= {"scripts/handbook/helm.py", *pins("helm")} & facts.files
    return found


def of_compose(root: Path, path: str, files: Sequence[str]) -> tuple[Deployment | None, set[str]]:
    """Read a Compose file: the deployment (None when it does not run the service), and the files that it uses.

    Who is who is told by images and build folders. Raises HandbookError when there are two proxies or two databases.
    """
    stack = compose.read(root, path, files)
    folders = _built(stack)
    codes = {name: folder for name, folder in folders.items() if f"{folder}/gunicorn.conf.py" in files}
    # Without a command it is gunicorn that serves. Where another server does, it is the one that publishes a port.
    serves = [name for name in codes if not stack.workloads[name].command]
    running = serves or [name for name in codes if stack.workloads[name].ports]
    name = posixpath.relpath(stack.folder, "snippets")
    measurements = measured_path(name)
    used = compose.closure(stack, files) | ({measurements} & set(files))
    if not running:
        return None, used
    sources = {folder: code.read(root, folder, files) for folder in set(codes.values())}
    services = {name: Service(stack.workloads[name], sources[folder]) for name, folder in codes.items()}
    proxy = _only(stack, r"nginx", "proxy")
    database = _only(stack, r"postgres|pgvector", "database")
    servers = [w for w in stack.workloads.values() if w.image and _is(w.image.value, r"redis|valkey")]
    return Deployment(
        at=Fact(name, path, 1),
        proxy=Proxy(proxy, _nginx(root, proxy, files)) if proxy else None,
        service=services[running[0]],
        database=_database(root, database, files) if database else None,
        workloads=list(stack.workloads.values()),
        jobs=[service for name, service in services.items() if name != running[0]],
        redis=[redis.read(root, server, server.in_repository) for server in servers] or None,
        dockerfiles={
            name: dockerfiles.read(root, f"{folder}/Dockerfile")
            for name, folder in folders.items()
            if f"{folder}/Dockerfile" in files
        },
        measured=measured.memory(root, measurements) if measurements in files else None,
        scripts=[shell.read(root, f) for f in files if posixpath.dirname(f) == stack.folder and f.endswith(".sh")],
        secrets=stack.secrets,
        needs=stack.needs,
        mentions={
            name: shell.secrets(root, (file for file in files if posixpath.dirname(file) == folder))
            for name, folder in folders.items()
            if name not in codes
        },
    ), used


def of_systemd(root: Path, path: str, files: Sequence[str]) -> tuple[Deployment | None, set[str]]:
    """Read a target of systemd: the deployment (None when it does not run the service), and the files that it uses.

    Who is who is told by what is installed where. Of several targets in a folder the first one stands for all. Raises
    HandbookError for files that can't be read.
    """
    folder = posixpath.dirname(posixpath.dirname(path))
    name = posixpath.relpath(folder, "snippets")
    if path != min(file for file in files if fnmatchcase(file, f"{folder}/units/*.target")):
        return None, set()
    needs, measurements = hosts.needs(root, folder, files), measured_path(name)
    used = below(files, {folder, measurements, *(need.value for need in needs)})
    source = next((posixpath.dirname(file) for file in sorted(used) if file.endswith("/gunicorn.conf.py")), None)
    host = hosts.read(root, folder, files)
    if source is None:
        return None, used
    of_code = code.read(root, source, files)
    units = {unit.name: _unit(host, unit) for unit in host.running}
    runs = [Service(units[unit.name], of_code) for unit in host.running if _is_of_release(unit)]
    serving = [service for service in runs if not service.workload.command]
    if not serving:
        return None, used
    for service in serving:
        bound = service.bind.value
        service.workload.reachable_as = {posixpath.dirname(bound.socket)} if bound.socket else set(_LOOPBACK)
        service.workload.listens = {bound.port} if bound.port else set()
    tried = [unit for unit in host.services if _is_of_release(unit) and unit.name not in units]
    main = host.put.get(nginx.MAIN)
    proxy = _proxy(root, host, main, files) if main else None
    database = next((found for at, put in host.put.items() if (found := _postgres(root, host, at, put))), None)
    servers = [found for at, put in host.put.items() if (found := _redis(root, host, at, put))]
    brought = [*([proxy.workload] if proxy else []), *([database.workload] if database else [])]
    scripts = [file for file in host.files if posixpath.dirname(file) == folder and file.endswith(".sh")]
    return Deployment(
        at=Fact(name, path, 1),
        proxy=proxy,
        service=serving[0],
        database=database,
        workloads=[*brought, *(server.workload for server in servers), *units.values()],
        jobs=[service for service in runs if service is not serving[0]],
        redis=servers or None,
        measured=measured.memory(root, measurements) if measurements in files else None,
        scripts=[shell.read(root, file) for file in scripts],
        secrets=None,
        needs=needs,
        host=host,
        trials=[Service(_unit(host, unit), of_code) for unit in tried],
        mentions={unit.name: _mentioned(root, host, unit) for unit in host.running if not _is_of_release(unit)},
    ), used


def _is_of_release(unit: Unit) -> bool:
    """Whether it runs a program of the release that it stands in."""
    folder = unit.value("WorkingDirectory")
    return any(folder and command.value[0].startswith(f"{folder.value}/") for command in unit.commands())


def _unit(host: Host, unit: Unit) -> Workload:
    """What a unit runs. Its user is left out: the files of secrets are read by systemd, and handed to it."""
    commands = unit.commands()
    words = [commands[0].having(word) for word in commands[0].value] if commands else []
    words = [words[0].having(posixpath.basename(words[0].value)), *words[1:]] if words else []
    folder = unit.credentials_folder
    return Workload(
        name=unit.at.having(unit.name),
        command=[] if [word.value for word in words] == ["gunicorn"] else words,
        environment=host.environment(unit),
        secrets={f"{folder}/{name}": source for name, source in unit.credentials.items()},
        runs_once=unit.runs_once,
        stop_grace_seconds=unit.stop_seconds,
        memory_bytes=unit.memory_bytes,
    )


def _brought(host: Host, name: str, put: Fact[Put], listens: set[int], reads: Sequence[str]) -> Workload:
    """A unit of a package: what is dropped into it, and what the host's scripts put or make for it."""
    unit = host.units.unit(name) or Unit(name, put.having(name))
    workload = _unit(host, unit)
    # What the package's own unit says is not known here.
    workload.stop_grace_seconds = unit.seconds("TimeoutStopSec")
    workload.command = [put.having(put.value.target)]
    workload.reachable_as, workload.listens = set(_LOOPBACK), listens
    workload.mounts = [fact.having(Mount(fact.value.source, target)) for target, fact in host.put.items()]
    workload.secrets = {file: host.installer.having(file) for file in reads if file in host.named}
    workload.volumes = {fact.value.path: fact.having(fact.value.path) for fact in host.kept if fact.value.is_folder}
    return workload


def _proxy(root: Path, host: Host, main: Fact[Put], files: Sequence[str]) -> Proxy:
    conf = nginx.read(root, main.value.source, nginx.MAIN, host.in_repository, files)
    listens = {listen.value.port for server in conf.servers for listen in server.listens if listen.value.port}
    workload = _brought(host, "nginx.service", main, listens, [file.value for file in conf.files])
    return Proxy(workload, conf)


def _postgres(root: Path, host: Host, at: str, put: Fact[Put]) -> Database | None:
    """The server that reads a file, when it is one of the folder that Debian's configuration includes."""
    match = re.fullmatch(r"/etc/postgresql/(?P<version>\d+)/(?P<cluster>\w+)/conf\.d/[^/]+\.conf", at)
    if match is None:
        return None
    flags = postgres.settings(root, put.value.source)
    workload = _brought(host, f"postgresql@{match['version']}-{match['cluster']}.service", put, set(), [])
    found = Database(workload, flags, postgres.scripts(root, [host.installer.path]))
    workload.listens = {found.flag("port").read(quantities.whole).value}
    return found


def _redis(root: Path, host: Host, at: str, put: Fact[Put]) -> Redis | None:
    """The server that reads a file, when it is the file of an instance of Debian's unit."""
    match = re.fullmatch(r"/etc/redis/redis-(?P<name>\w+)\.conf", at)
    if match is None:
        return None
    options = redis.of(root, put.value.source, host.in_repository)
    reads = [options["aclfile"].value] if "aclfile" in options else []
    found = Redis(_brought(host, f"redis-server@{match['name']}.service", put, set(), reads), options)
    found.workload.listens = {found.port.value}
    # Of the folders that are kept, each has its own.
    found.workload.volumes = {k: v for k, v in found.workload.volumes.items() if k == found.option("dir").value}
    return found


def _mentioned(root: Path, host: Host, unit: Unit) -> list[Fact[str]]:
    """The secrets that the scripts name which a unit runs."""
    programs = (host.in_repository(word) for command in unit.commands() for word in command.value)
    return shell.secrets(root, (program for program in programs if program), unit.credentials_folder)


def _built(stack: Compose) -> dict[str, str]:
    """The folder that the image of a workload is built from, by name: one that builds it is enough for all it is of."""
    images = {w.image.value: w.build.value for w in stack.workloads.values() if w.image and w.build}
    folders = {}
    for name, workload in stack.workloads.items():
        folder = workload.build.value if workload.build else images.get(workload.image.value if workload.image else "")
        if folder:
            folders[name] = folder
    return folders


def _only(stack: Compose, pattern: str, role: str) -> Workload | None:
    """Return the workload whose image has a name like `pattern`; None when there is none."""
    found = [w for w in stack.workloads.values() if w.image and _is(w.image.value, pattern)]
    if len(found) > 1:
        names = " and ".join(workload.name.value for workload in found)
        raise unreadable(
            stack.path, found[1].name.line, f"one {role} is expected, {names} have the image of one; split the file"
        )
    return found[0] if found else None


def _is(image: str, pattern: str) -> bool:
    """Whether the last part of an image's name, `pgvector` of `pgvector/pgvector:0.8.1`, begins like `pattern`."""
    return re.match(pattern, image.rpartition("/")[2].partition("@")[0].partition(":")[0]) is not None


def _inside(folder: str | None, files: Sequence[str]) -> list[str]:
    return [f for f in files if folder and f.startswith(f"{folder}/") and f.endswith((".sql", ".sh"))]


def _database(root: Path, workload: Workload, files: Sequence[str]) -> Database:
    made = postgres.scripts(root, _inside(workload.in_repository(POSTGRES_SCRIPTS), files))
    return Database(workload, postgres.flags(workload.command), made)


def _nginx(root: Path, workload: Workload, files: Sequence[str]) -> nginx.Nginx:
    main = workload.in_repository(nginx.MAIN)
    if main is None:
        at = workload.name
        raise unreadable(at.path, at.line, f"nginx gets no {nginx.MAIN} from here; mount one")
    return nginx.read(root, main, nginx.MAIN, workload.in_repository, files)


Assembler = Callable[[Path, str, Sequence[str]], tuple[Deployment | None, set[str]]]

# A pattern of the paths of files that a target starts from -> what reads it.
ASSEMBLERS: dict[str, Assembler] = {
    "snippets/*/compose.yaml": of_compose,
    "snippets/*/units/*.target": of_systemd,
}
