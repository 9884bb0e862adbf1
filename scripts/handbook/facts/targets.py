"""Makes deployments from the files of a target. A new target is one more assembler in `ASSEMBLERS`."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from handbook.catalog import Catalog, kind_of
from handbook.facts import (
    Fact,
    code,
    compose,
    dockerfiles,
    measured,
    nginx,
    postgres,
    redis,
    shell,
    text_of,
    unreadable,
)
from handbook.facts.compose import Compose
from handbook.facts.deployment import Database, Deployment, Facts, Proxy, Service
from handbook.facts.workload import Workload
from handbook.findings import HandbookError
from handbook.measured import path as measured_path

NGINX_CONF = "/etc/nginx/nginx.conf"
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
        kind = kind_of(path)
        if kind and kind.name in ASSEMBLERS:
            deployment, used = ASSEMBLERS[kind.name](catalog.root, path, catalog.snippets)
            facts.used |= used
            if deployment:
                facts.deployments.append(deployment)
    if not facts.deployments:
        raise HandbookError("snippets: no file deploys the service, so there is nothing to compare")
    return facts


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
    main = workload.in_repository(NGINX_CONF)
    if main is None:
        at = workload.name
        raise unreadable(at.path, at.line, f"nginx gets no {NGINX_CONF} from here; mount one")
    return nginx.read(root, main, NGINX_CONF, workload.in_repository, files)


Assembler = Callable[[Path, str, Sequence[str]], tuple[Deployment | None, set[str]]]

# The kind of the file that a target starts from -> what reads it.
ASSEMBLERS: dict[str, Assembler] = {"compose": of_compose}
