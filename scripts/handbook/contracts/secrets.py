"""Secrets: made, readable by the one who needs them, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from handbook.contracts import Wrong, contract, place
from handbook.facts import Fact
from handbook.facts.deployment import Deployment, Proxy
from handbook.facts.shell import Made
from handbook.facts.workload import Workload

_SECRET = ("PASSWORD", "SECRET", "TOKEN", "API_KEY")


@contract
def plain(deployment: Deployment) -> Iterator[Wrong]:
    """No secret is a variable: `docker inspect` and every child process show those.

    https://docs.docker.com/compose/how-tos/use-secrets/
    """
    for service in deployment.services:
        for setting in service.secrets:
            value = service.variable(setting.name.value)
            if value:
                message = f"{setting.name.value} is a secret and stands in the environment"
                yield Wrong(value, message, f"mount it as {service.secret_path(setting)}")
    services = [service.workload for service in deployment.services]
    for workload in deployment.workloads:
        for name, value in workload.environment.items():
            if workload not in services and name.endswith(_SECRET) and value.value:
                yield Wrong(value, f"{name} is a secret and stands in the environment", f"use {name}_FILE")


@contract
def mounted(deployment: Deployment) -> Iterator[Wrong]:
    """Every secret that a workload reads is given to it under the name that it reads."""
    for service in deployment.services:
        if not service.secrets:
            yield Wrong(service.code.at, "the service declares no secret", "give a secret the type Secret")
        for setting in service.secrets:
            path = service.secret_path(setting)
            missing = setting.required and path not in service.workload.secrets
            if missing and service.variable(setting.name.value) is None:
                message = f"{service.workload.name.value} does not get {path}, which {place(setting.name)} needs"
                yield Wrong(service.workload.name, message, "give it the secret")
    for workload, path in _reads(deployment):
        if path.value not in workload.secrets and workload.in_repository(path.value) is None:
            message = f"{workload.name.value} reads {path.value} and does not get it"
            yield Wrong(path, message, "give it the secret, or correct the path")


@contract
def used(deployment: Deployment) -> Iterator[Wrong]:
    """No workload is given a secret that it does not read, and every secret is given to some workload.

    Where a workload lacks one, `secrets.mounted` has said so, and a wrong name is one mistake.
    """
    readers: dict[str, set[str]] = {}
    for workload, path in _reads(deployment):
        readers.setdefault(workload.name.value, set()).add(path.value)
    for service in deployment.services:
        paths = {service.secret_path(setting) for setting in service.secrets}
        readers.setdefault(service.workload.name.value, set()).update(paths)
    for workload in deployment.workloads:
        read = readers.get(workload.name.value)
        for path, source in workload.secrets.items():
            if read is not None and path not in read and read <= set(workload.secrets):
                message = f"{workload.name.value} gets {path} and does not read it"
                yield Wrong(source, message, "take it away, or correct its name")
    given = {source.value for workload in deployment.workloads for source in workload.secrets.values()}
    for name, file in (deployment.secrets or {}).items():
        if file.value not in given:
            yield Wrong(file, f"no workload gets the secret {name}", "take it away, or give it to its reader")


@contract
def made(deployment: Deployment, secrets: dict[str, Fact[str]]) -> Iterator[Wrong]:
    """Every secret's file is made by a script beside the target: none of them is in the repository."""
    if not secrets:
        yield Wrong(deployment.at, "the target defines no secrets", "give passwords and keys as secrets")
    for name, file in secrets.items():
        if _made(deployment, file.value) is None:
            yield Wrong(file, f"no script makes {file.value} for the secret {name}", "make it, or correct the path")


@contract
def readable(deployment: Deployment) -> Iterator[Wrong]:
    """A secret's owner and mode let the user of each workload that gets it read it.

    Compose mounts the file as it is on the host, and without capabilities root is no exception:
    https://docs.docker.com/reference/compose-file/services/#secrets
    """
    for workload, path, source in _given(deployment):
        file = _made(deployment, source)
        if file is None or workload.user is None:
            continue
        if not _may_read(workload.user.value, file.value):
            message = f"{workload.name.value} runs as {workload.user.value} and may not read {path}"
            owner = ":".join(map(str, file.value.owner)) if file.value.owner else "whoever makes it"
            hint = f"change its owner ({owner}) or its mode ({file.value.mode:04o}); {place(workload.user)}"
            yield Wrong(file, message, hint)


def _given(deployment: Deployment) -> Iterator[tuple[Workload, str, str]]:
    """Every secret that a workload gets, by itself or with a folder: the path that it reads, and the file."""
    for workload in deployment.workloads:
        yield from ((workload, path, source.value) for path, source in workload.secrets.items())
    for workload, path in _reads(deployment):
        if path.value not in workload.secrets and (source := workload.in_repository(path.value)):
            yield workload, path.value, source


@contract
def renewable(deployment: Deployment, proxy: Proxy, networks: set[str]) -> Iterator[Wrong]:
    """The proxy gets the folder of its certificate: a mounted file stays what it was, and a reload sees no other one.

    https://docs.docker.com/engine/storage/bind-mounts/
    """
    workload = proxy.workload
    mounts: dict[str, Fact[Any]] = {**workload.secrets, **{mount.value.target: mount for mount in workload.mounts}}
    for path in proxy.nginx.files:
        if path.value in mounts:
            message = f"{path.value} is mounted as a file: after a renewal the proxy still has the old one"
            yield Wrong(mounts[path.value], message, "mount the folder that it lies in")


def _reads(deployment: Deployment) -> Iterator[tuple[Workload, Fact[str]]]:
    """Every path that files of the proxy, of the database and of other images read secrets from."""
    if proxy := deployment.proxy:
        yield from ((proxy.workload, path) for path in proxy.nginx.files)
    if database := deployment.database:
        yield from ((database.workload, path) for path in database.made.secrets)
    for server in deployment.redis or ():
        if acl := server.options.get("aclfile"):
            yield server.workload, acl
    services = [service.workload for service in deployment.services]
    for workload in deployment.workloads:
        if workload in services:
            continue
        yield from ((workload, path) for path in deployment.mentions.get(workload.name.value, ()))
        for name, value in workload.environment.items():
            if name.endswith("_FILE"):
                yield workload, value


def _made(deployment: Deployment, source: str) -> Fact[Made] | None:
    """The last command that gives the file its owner and mode; what it says of neither stands from before."""
    found: Fact[Made] | None = None
    for script in deployment.scripts:
        for fact in script.made:
            if source.endswith(f"/{fact.value.file}"):
                owner = fact.value.owner or (found.value.owner if found else None)
                found = fact.having(Made(fact.value.file, owner, fact.value.mode))
    return found


def _may_read(user: str, file: Made) -> bool:
    uid, _, gid = user.partition(":")
    if file.owner and uid == str(file.owner[0]):
        return bool(file.mode & 0o400)
    if file.owner and gid == str(file.owner[1]):
        return bool(file.mode & 0o040)
    return bool(file.mode & 0o004)


CONTRACTS = (plain, mounted, used, made, readable, renewable)
