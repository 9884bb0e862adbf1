"""Secrets: made, readable by the one who needs them, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator

from handbook.contracts import Wrong, contract, place
from handbook.facts import Fact
from handbook.facts.deployment import Deployment
from handbook.facts.shell import Made
from handbook.facts.workload import Workload


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
    database = deployment.database.workload.environment if deployment.database else {}
    for name, value in database.items():
        if name.endswith("PASSWORD"):
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
    for workload in deployment.workloads:
        for path, source in workload.secrets.items():
            file = _made(deployment, source.value)
            if file is None or workload.user is None:
                continue
            if not _may_read(workload.user.value, file.value):
                message = f"{workload.name.value} runs as {workload.user.value} and may not read {path}"
                owner = ":".join(map(str, file.value.owner)) if file.value.owner else "whoever makes it"
                hint = f"change its owner ({owner}) or its mode ({file.value.mode:04o}); {place(workload.user)}"
                yield Wrong(file, message, hint)


def _reads(deployment: Deployment) -> Iterator[tuple[Workload, Fact[str]]]:
    """Every path that files of the proxy and of the database read secrets from."""
    if proxy := deployment.proxy:
        yield from ((proxy.workload, path) for path in proxy.nginx.files)
    database = deployment.database
    if database is None:
        return
    for path in database.made.secrets:
        yield database.workload, path
    for name, value in database.workload.environment.items():
        if name.endswith("_FILE"):
            yield database.workload, value


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


CONTRACTS = (plain, mounted, used, made, readable)
