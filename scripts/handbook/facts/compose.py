"""Reads Compose files: their services as workloads, and the files that they need."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from handbook.facts import Fact, below, env, quantities, unreadable, yamls
from handbook.facts.health import HealthCheck
from handbook.facts.workload import Mount, Workload
from handbook.facts.yamls import Node


@dataclass
class Compose:
    """A Compose file. Paths are relative to the repository."""

    path: str
    workloads: dict[str, Workload] = field(default_factory=dict)
    secrets: dict[str, Fact[str]] = field(default_factory=dict)
    """The name of each secret that a file stands for -> that file."""
    needs: list[Fact[str]] = field(default_factory=list)
    """Files and folders that it names: build contexts, bind mounts, configs, environment files."""

    @property
    def folder(self) -> str:
        """The folder that it stands in."""
        return posixpath.dirname(self.path)


def read(root: Path, path: str, files: Iterable[str] = ()) -> Compose:
    """Read a Compose file and its environment files.

    `files` are those of the repository: a `.env` among them, beside the Compose file, fills in variables. One that is
    not among them belongs to whoever works here and says nothing. Raises HandbookError for what is not read here
    (`include`, `extends`) and for values that can't be understood.
    """
    beside = posixpath.join(posixpath.dirname(path), ".env")
    given = env.read(root, beside) if beside in files else {}
    document = yamls.read(root, path, {name: fact.value for name, fact in given.items()})
    for key, node in document.pairs().items():
        if key == "include":
            raise unreadable(path, node.line, "`include` is not read: contracts need one file")
    compose = Compose(path)
    sources = {name: _sources(compose, node) for name, node in _files(document)}
    compose.secrets = {name: fact for (kind, name), fact in sources.items() if kind == "secrets"}
    networks = {name: _is_internal(node) for name, node in document["networks"].pairs().items()}
    for name, node in document["services"].pairs().items():
        compose.workloads[name] = _workload(root, compose, name, node, sources, networks)
    return compose


def closure(compose: Compose, files: Iterable[str]) -> set[str]:
    """Return those of `files` that a stack uses: its own folder, and every file or folder that it names."""
    return below(files, [compose.folder, *(fact.value for fact in compose.needs)])


def _files(document: Node) -> Iterator[tuple[tuple[str, str], Node]]:
    """Yield the secrets and configs that stand in a file of their own."""
    for kind in ("secrets", "configs"):
        for name, node in document[kind].pairs().items():
            if node["file"]:
                yield (kind, name), node["file"]


def _sources(compose: Compose, node: Node) -> Fact[str]:
    return node.text().read(lambda text: _below(compose, text))


def _below(compose: Compose, text: str) -> str:
    """The path in the repository of a path in a Compose file. Raises ValueError when it leads out of it."""
    path = posixpath.normpath(posixpath.join(compose.folder, text))
    if path.startswith(("../", "/")):
        raise ValueError(f"{text} leads out of the repository")
    return path


def _is_internal(node: Node) -> Fact[bool]:
    return Fact(node["internal"].is_true() if node.is_mapping else False, node.path, node.line)


def _workload(
    root: Path,
    compose: Compose,
    name: str,
    node: Node,
    sources: dict[tuple[str, str], Fact[str]],
    networks: dict[str, Fact[bool]],
) -> Workload:
    if node["extends"]:
        raise unreadable(node.path, node["extends"].line, "`extends` is not read: contracts need one file")
    limits = node["deploy"]["resources"]["limits"]
    memory = (limits["memory"] or node["mem_limit"]).optional()
    shm = node["shm_size"].optional()
    grace = node["stop_grace_period"].optional() or Fact("10s", node.path, node.line)
    replicas = (node["deploy"]["replicas"] or node["scale"]).optional() or Fact("1", node.path, node.line)
    workload = Workload(
        name=Fact(name, node.path, node.line),
        image=node["image"].optional(),
        build=_build(compose, node["build"]),
        command=[*_command(node["entrypoint"]), *_command(node["command"])],
        user=node["user"].optional(),
        environment=_environment(root, compose, node),
        ports=list(_ports(node["ports"])),
        networks=_networks(node["networks"], networks),
        reachable_as={name, *_aliases(node)},
        mounts=list(_mounts(compose, node["volumes"])),
        volumes=dict(_volumes(node["volumes"])),
        health=_health(node["healthcheck"]),
        health_off=_is_off(node["healthcheck"]),
        runs_once=node["restart"].optional() is None or node["restart"].text().value == "no",
        replicas=replicas.read(quantities.whole),
        stop_grace_seconds=grace.read(quantities.seconds),
        memory_bytes=memory.read(quantities.size_bytes) if memory else None,
        shm_bytes=shm.read(quantities.size_bytes) if shm else None,
    )
    for target, fact in _granted(node["secrets"], "secrets", "/run/secrets/", sources):
        workload.secrets[target] = fact
    for target, fact in _granted(node["configs"], "configs", "/", sources):
        workload.mounts.append(fact.having(Mount(fact.value, target)))
    compose.needs += [fact.having(fact.value.source) for fact in workload.mounts]
    if workload.build:
        compose.needs.append(workload.build)
    return workload


def _build(compose: Compose, node: Node) -> Fact[str] | None:
    context = node["context"] if node.is_mapping else node
    return context.text().read(lambda text: _below(compose, text)) if context else None


def _command(node: Node) -> Iterator[Fact[str]]:
    for number, fact in enumerate(words := list(yamls.words(node))):
        # watchfiles is given the command that it starts as one word.
        starts = number > 0 and words[0].value == "watchfiles"
        yield from [fact] if node.is_list and not starts else map(fact.having, fact.read(shlex.split).value)


def _environment(root: Path, compose: Compose, node: Node) -> dict[str, Fact[str]]:
    found: dict[str, Fact[str]] = {}
    entries = node["env_file"].items() if node["env_file"].is_list else [node["env_file"]] if node["env_file"] else []
    for entry in entries:
        file = (entry["path"] if entry.is_mapping else entry).text().read(lambda text: _below(compose, text))
        compose.needs.append(file)
        if (root / file.value).is_file():
            found |= env.read(root, file.value)
    variables = node["environment"]
    if variables.is_list:
        for fact in yamls.words(variables):
            variable, _, value = fact.value.partition("=")
            found[variable] = fact.having(value)
    else:
        found |= {variable: value.text() for variable, value in variables.pairs().items() if value}
    return found


def _ports(node: Node) -> Iterator[Fact[quantities.Port]]:
    for item in node.items():
        if not item.is_mapping:
            fact = item.text()
            yield from map(fact.having, fact.read(quantities.ports).value)
            continue
        target, published = item["target"].text().read(quantities.whole), item["published"].optional()
        host, protocol = item["host_ip"].optional(), item["protocol"].optional()
        yield target.having(
            quantities.Port(
                published.read(quantities.published).value if published else None,
                target.value,
                host.value if host else "",
                protocol.value if protocol else "tcp",
            )
        )


def _networks(node: Node, networks: dict[str, Fact[bool]]) -> dict[str, Fact[bool]]:
    """The networks of a service. Without any it is in `default`, which is not internal."""
    names = list(yamls.words(node)) if node.is_list else [n.having(k) for k, n in _keys(node)]
    if not names:
        return {"default": networks.get("default", Fact(False, node.path, node.line))}
    return {fact.value: fact.having(networks[fact.value].value if fact.value in networks else False) for fact in names}


def _aliases(node: Node) -> Iterator[str]:
    """The names by which other services reach a service, besides its own."""
    if node["container_name"]:
        yield node["container_name"].text().value
    if node["networks"].is_mapping:
        for network in node["networks"].pairs().values():
            yield from (alias.value for alias in yamls.words(network["aliases"]))


def _keys(node: Node) -> Iterator[tuple[str, Fact[None]]]:
    for key, value in node.pairs().items():
        yield key, Fact(None, value.path, value.line)


def _mounts(compose: Compose, node: Node) -> Iterator[Fact[Mount]]:
    """The bind mounts; named volumes and tmpfs hold nothing of the repository."""
    for kind, source, target in _mounted(node):
        if kind == "bind" and not source.value.startswith(("/", "~")):
            path = source.read(lambda text: _below(compose, text))
            yield path.having(Mount(path.value, target.rstrip("/")))


def _volumes(node: Node) -> Iterator[tuple[str, Fact[str]]]:
    """The volumes with a name: the path that each is mounted on, and the name."""
    for kind, source, target in _mounted(node):
        if kind == "volume" and source.value:
            yield target.rstrip("/"), source


def _mounted(node: Node) -> Iterator[tuple[str, Fact[str], str]]:
    """Yield kind, source and target of everything that is mounted."""
    for item in node.items():
        if item.is_mapping:
            target = item["target"].text()
            yield item["type"].text().value, item["source"].optional() or target.having(""), target.value
        else:
            fact = item.text()
            outer, colon, rest = fact.value.partition(":")
            kind = "bind" if outer.startswith((".", "/", "~")) and colon else "volume"
            yield kind, fact.having(outer if colon else ""), rest.partition(":")[0] if colon else outer


def _granted(
    node: Node, kind: str, folder: str, sources: dict[tuple[str, str], Fact[str]]
) -> Iterator[tuple[str, Fact[str]]]:
    """Yield the secrets or configs of a service: the path it sees, and the file behind it."""
    for item in node.items():
        name = (item["source"] if item.is_mapping else item).text()
        target = item["target"].optional() if item.is_mapping else None
        if (kind, name.value) in sources:
            path = posixpath.join(folder, target.value if target else name.value)
            yield path, name.having(sources[kind, name.value].value)


def _is_off(node: Node) -> bool:
    return node["disable"].is_true() or [fact.value for fact in yamls.words(node["test"])] == ["NONE"]


def _health(node: Node) -> HealthCheck | None:
    test = tuple(yamls.words(node["test"]))
    if not test or _is_off(node):
        return None
    command = tuple(fact.value for fact in test)
    interval = node["interval"].optional() or test[0].having("30s")
    timeout = node["timeout"].optional() or test[0].having("30s")
    return HealthCheck(
        test=test[0].having(command[1:] if command[0] in ("CMD", "CMD-SHELL") else command),
        interval_seconds=interval.read(quantities.seconds),
        timeout_seconds=timeout.read(quantities.seconds),
    )
