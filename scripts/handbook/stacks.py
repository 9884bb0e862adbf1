"""Stacks: which files one is made of, its copy in an empty folder, and what a test puts around the copy.

A stack is a folder below `snippets/` that holds what marks its kind, such as a `compose.yaml`. It boots from a copy of
exactly the files that a reader gets. What a test needs besides (free ports, images of this machine, a project name)
enters through the environment and through an overlay beside the copy, never through the files.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import re
import shutil
import socket
import tarfile
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

import dockerfile
import yaml

from handbook import images, kustomize
from handbook.catalog import ROOT, Catalog
from handbook.facts import Fact, below, compose, hosts, shell
from handbook.facts.quantities import Port
from handbook.findings import HandbookError
from handbook.proof import digest, digests
from handbook.tools import run

HOST = "api.example.com"

_NO_ENGINE = (
    "scripts/handbook/site/",
    "scripts/handbook/contracts/",
    "scripts/handbook/bench.py",
    "scripts/handbook/copies.py",
    "scripts/handbook/facts/products.py",
    "scripts/handbook/support.py",
    "scripts/handbook/versions.py",
)
_LOCKS = ("requirements/handbook.txt", "requirements/images.lock")
_BUILT = "bootproof.local"
_PROJECT = "com.docker.compose.project"
# Below the range from which the kernel gives out ports by itself (32768 and up).
_PORTS = range(20_000, 32_000)
_LOG_LINES = 50
_DOWN_SECONDS = 5
# Of every file in an archive: 2026-01-01.
_PACKED = 1_767_225_600


def names(catalog: Catalog) -> tuple[str, ...]:
    """The names of all stacks: folders below `snippets/` that hold what marks a stack of some kind."""
    return tuple(sorted(name for kind in KINDS for name in kind.names(catalog)))


def find(name: str, catalog: Catalog) -> Stack:
    """Return the stack of a name. Raises HandbookError, which lists those there are, when there is none."""
    kind = next((kind for kind in KINDS if name in kind.names(catalog)), None)
    if kind is None:
        marks = " and no ".join(f"snippets/{name}/{kind.MARK}" for kind in KINDS)
        there = ", ".join(names(catalog)) or "none"
        raise HandbookError(f"no stack {name!r}: git knows no {marks}; there is: {there}")
    return kind(name, catalog)


def lock_images(catalog: Catalog) -> None:
    """Write the digest of every image that a stack takes from a registry into the lock, and print them.

    Raises ImageError when the registry does not answer or lacks one of them; the lock is then left alone.
    """
    stacks = (ComposeStack(name, catalog) for name in ComposeStack.names(catalog))
    references = {reference for stack in stacks for reference in stack.references}
    for name, locked in images.write_lock(sorted(references)).items():
        print(f"{name}@{locked}")


@dataclass(frozen=True)
class Stack(ABC):
    """A stack by its name, which is its folder below `snippets/`: the files that a reader gets, and their copies.

    `MARK` is what stands in the folder of each stack of a kind, as a path with or without `*` in its last part.
    """

    MARK: ClassVar[str]

    name: str
    catalog: Catalog

    @classmethod
    def names(cls, catalog: Catalog) -> tuple[str, ...]:
        """The names of the stacks of this kind."""
        marked = re.compile(rf"snippets/(.+)/{re.escape(cls.MARK).replace(re.escape('*'), '[^/]*')}")
        return tuple(dict.fromkeys(match[1] for path in catalog.snippets if (match := marked.fullmatch(path))))

    @property
    def folder(self) -> str:
        return f"snippets/{self.name}"

    @property
    @abstractmethod
    def needs(self) -> list[Fact[str]]:
        """The files and folders that it names, as paths in the repository."""

    @cached_property
    def files(self) -> tuple[str, ...]:
        """The files it boots from, as paths in the repository: its folder, and what it names.

        Only files that git tracks or would track: a reader has no others. Raises HandbookError when it names a path
        where there is no such file and no script beside it makes one, or a path outside `snippets/`.
        """
        beside = (f for f in self.catalog.snippets if os.path.dirname(f) == self.folder and f.endswith(".sh"))
        scripts = [shell.read(self.catalog.root, file) for file in beside]
        for need in self.needs:
            if need.value == "snippets":
                raise HandbookError(f"{need.path}:{need.line}: this needs all of snippets/; name the files in it")
            if not below(self.catalog.snippets, [need.value]) and not shell.makes(scripts, need.value):
                raise HandbookError(
                    f"{need.path}:{need.line}: this needs {need.value}, and there is no tracked file of that name or "
                    "below it; a stack takes its files from snippets/"
                )
        return tuple(sorted(below(self.catalog.snippets, {self.folder, *(need.value for need in self.needs)})))

    def digests(self) -> dict[str, str]:
        """Each of its files with the digest of its content."""
        return digests(self.catalog.root, self.files)

    def inputs(self, also: Iterable[Path] = ()) -> dict[str, str]:
        """All that goes into a boot, by name: its files, the engine, the locks, `also` (the tests)."""
        return {**self.digests(), **engine(also)}

    def digest(self, also: Iterable[Path] = ()) -> str:
        """One digest of all `inputs`: while it is the same, the same things would boot again."""
        return digest(*(part for item in sorted(self.inputs(also).items()) for part in item))

    def archive(self) -> bytes:
        """Its files as one archive (.tar.gz), laid out as below `snippets/`, in a folder that is named after the stack.

        The same files make the same bytes. Only the owner may write, and what can be run here can be run there.
        """
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for path in self.files:
                source = self.catalog.root / path
                member = tarfile.TarInfo(f"{slug(self.name)}/{path.removeprefix('snippets/')}")
                content = source.read_bytes()
                member.size, member.mtime = len(content), _PACKED
                member.mode = 0o755 if source.stat().st_mode & 0o100 else 0o644
                archive.addfile(member, io.BytesIO(content))
        return gzip.compress(packed.getvalue(), mtime=_PACKED)

    def unpack(self, folder: Path) -> Path:
        """Unpack its archive, without the folder around it, into `folder`; return where its own folder is then.

        So what boots in a test is what a reader downloads.
        """
        with tarfile.open(fileobj=io.BytesIO(self.archive())) as archive:
            # Not by extractall: Python 3.11.3 and older have no filter for what it may do.
            for member in archive.getmembers():
                target = folder / member.name.partition("/")[2]
                target.parent.mkdir(parents=True, exist_ok=True)
                content = archive.extractfile(member)
                target.write_bytes(content.read() if content else b"")
                target.chmod(member.mode)
        return folder / self.name


class ComposeStack(Stack):
    """A stack that `docker compose` starts: its marker is its `compose.yaml`."""

    MARK = "compose.yaml"

    @property
    def path(self) -> str:
        """Its `compose.yaml`, as a path in the repository. Raises HandbookError when there is none."""
        path = f"{self.folder}/{self.MARK}"
        if self.name not in self.names(self.catalog):
            there = ", ".join(self.names(self.catalog)) or "none"
            raise HandbookError(f"no stack {self.name!r} of Compose: git knows no {path}; there is: {there}")
        return path

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Its `compose.yaml`, as written."""
        try:
            definition: dict[str, Any] = yaml.safe_load((self.catalog.root / self.path).read_text(encoding="utf-8"))
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 0
            raise HandbookError(f"{self.path}:{line}: not YAML: {error.problem}") from None
        return definition

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        """The body of each service. Raises HandbookError when it has none."""
        services = self.definition.get("services") if isinstance(self.definition, dict) else None
        if not isinstance(services, dict) or not all(isinstance(body, dict) for body in services.values()):
            raise HandbookError(f"{self.path}: `services` must give each service a body, with an `image` or a `build`")
        return services

    @property
    def needs(self) -> list[Fact[str]]:
        """What its services build, mount and read."""
        return self._read.needs

    @cached_property
    def _read(self) -> compose.Compose:
        return compose.read(self.catalog.root, self.path, self.catalog.snippets)

    @cached_property
    def ports(self) -> dict[str, tuple[Port, ...]]:
        """The ports that each service publishes, in whatever form they are written."""
        return {name: tuple(fact.value for fact in w.ports) for name, w in self._read.workloads.items()}

    @property
    def is_limited(self) -> bool:
        """Whether it limits the memory of its services; one for development does not."""
        return any(workload.memory_bytes for workload in self._read.workloads.values())

    @cached_property
    def dockerfiles(self) -> dict[str, str]:
        """For each service that is built: its Dockerfile, as a path in the repository."""
        found = {}
        for service, definition in self.services.items():
            if build := definition.get("build"):
                options = {"context": build} if isinstance(build, str) else build
                name = options.get("dockerfile", "Dockerfile")
                found[service] = os.path.normpath(f"{self.folder}/{options['context']}/{name}")
        return found

    @cached_property
    def built(self) -> frozenset[str]:
        """The services that run an image which one of them builds: that one, and all that name the same image."""
        named = {self.services[service].get("image") for service in self.dockerfiles} - {None}
        return frozenset(
            name for name, s in self.services.items() if name in self.dockerfiles or s.get("image") in named
        )

    @cached_property
    def pulled(self) -> dict[str, str]:
        """For each service whose image comes from a registry: that image, its variables filled in.

        Raises HandbookError when one has neither an `image` nor a `build`.
        """
        found = {}
        for name, workload in self._read.workloads.items():
            if name not in self.built:
                if workload.image is None:
                    raise HandbookError(
                        f"{self.path}:{workload.name.line}: {name} has neither an `image` nor a `build`"
                    )
                found[name] = workload.image.value
        return found

    @cached_property
    def references(self) -> tuple[str, ...]:
        """The images that it takes from a registry, as its files write them: to run, and to build upon."""
        built_upon = {base for path in self.dockerfiles.values() for base in self._bases(path)}
        return tuple(sorted({*self.pulled.values()} | built_upon))

    def _bases(self, path: str) -> Iterator[str]:
        stages = set()
        for command in self._commands(path, "FROM"):
            if command.value[0] not in stages:
                yield command.value[0]
            if len(command.value) == 3:
                stages.add(command.value[2])

    def _commands(self, path: str, keyword: str) -> Iterator[dockerfile.Command]:
        try:
            commands = dockerfile.parse_file(str(self.catalog.root / path))
        except dockerfile.GoParseError as error:
            raise HandbookError(f"{path}: not a Dockerfile: {error}") from None
        return (command for command in commands if command.cmd.upper() == keyword)

    def build_arguments(self, service: str) -> dict[str, str]:
        """The values that this machine's environment has for arguments which the service's Dockerfile leaves open."""
        opened = (command.value[0] for command in self._commands(self.dockerfiles[service], "ARG"))
        return {name: os.environ[name] for name in opened if "=" not in name and name in os.environ}

    def inputs(self, also: Iterable[Path] = ()) -> dict[str, str]:
        """All that goes into a boot, by name; its images, and the versions of Docker, too.

        Raises ImageError when an image cannot be had, and HandbookError when Docker does not answer.
        """
        ids = image_ids(self.references)
        return {**super().inputs(also), **ids, "docker": docker_version()}


class UnitStack(Stack):
    """A stack that systemd starts on a host: its marker is a target among its units."""

    MARK = "units/*.target"

    @cached_property
    def needs(self) -> list[Fact[str]]:
        """What its scripts take from beside its folder."""
        return hosts.needs(self.catalog.root, self.folder, self.catalog.snippets)


class ClusterStack(Stack):
    """A stack that a cluster of Kubernetes runs: beside its kustomization is how to make a cluster for it."""

    MARK = "kind.yaml"

    @cached_property
    def needs(self) -> list[Fact[str]]:
        """The kustomizations that it is made of, what they read, and the folders that its scripts name."""
        root, snippets = self.catalog.root, self.catalog.snippets
        scripts = (f for f in snippets if os.path.dirname(f) == self.folder and f.endswith(".sh"))
        named = [fact for script in scripts for fact in shell.beside(root, script)]
        built = [fact.value for fact in named if f"{fact.value}/{kustomize.FILE}" in snippets]
        read = {
            file for folder in (self.folder, *built) for file in kustomize.closure(root, f"{folder}/{kustomize.FILE}")
        }
        return [*named, *(Fact(file, f"{self.folder}/{kustomize.FILE}", 1) for file in sorted(read))]


KINDS: tuple[type[Stack], ...] = (ComposeStack, UnitStack, ClusterStack)


def engine(also: Iterable[Path] = ()) -> dict[str, str]:
    """The digests of what is around every boot and every check: the handbook's own code, the locks, `also`."""
    code = (ROOT / "scripts" / "handbook").rglob("*.py")
    files = {path.relative_to(ROOT).as_posix() for path in (*code, *(ROOT / name for name in _LOCKS), *also)}
    return digests(ROOT, sorted(path for path in files if not path.startswith(_NO_ENGINE) and (ROOT / path).is_file()))


def image_ids(references: Iterable[str]) -> dict[str, str]:
    """The id of the image that stands for each of `references`. Raises ImageError when one cannot be had."""
    return {image.name: image.id for image in images.ensure(references).values()}


def docker_version() -> str:
    """The versions of engine and Compose. Raises HandbookError when no engine answers."""
    engine = run(["docker", "version", "--format", "{{.Server.Version}}"], timeout=30)
    compose = run(["docker", "compose", "version", "--short"], timeout=30)
    if engine.returncode or compose.returncode:
        reason = (engine.stderr or compose.stderr).strip()
        raise HandbookError(f"Docker does not answer ({reason}); run `make docker`")
    return f"engine {engine.stdout.strip()}, compose {compose.stdout.strip()}"


class Boot:
    """A copy of a stack of Compose in an empty folder, and what it needs to boot there beside others.

    It is used in a `with` statement. `folder` is where a reader would stand, `env` what the environment of every
    command gets, `ports` maps a published port, or the one inside where Docker would choose, to its free one on
    127.0.0.1. The end of the block takes the stack down with its volumes and the images that were built for it, and
    removes the copy; with `keep` it leaves all.
    """

    def __init__(self, stack: ComposeStack, *, keep: bool = False) -> None:
        self.stack = stack
        self.keep = keep
        self.id = f"{os.getpid()}-{random.randrange(16**4):04x}"
        self.project = f"{slug(stack.name)}-{self.id}"
        self.images: dict[str, images.Image] = {}
        self.files: dict[str, str] = {}

    def __enter__(self) -> Boot:
        forget_abandoned(self.stack.name)
        self.images = images.ensure(self.stack.references)
        self.scratch = Path(tempfile.mkdtemp(prefix="bootproof-")).resolve()
        self.folder = self.stack.unpack(self.scratch / "copy")
        # Of the copy: a file of the repository may be edited while it runs.
        copied = digests(self.scratch / "copy", (path.removeprefix("snippets/") for path in self.stack.files))
        self.files = {f"snippets/{path}": content for path, content in copied.items()}
        outer = (_outer(port) for ports in self.stack.ports.values() for port in ports)
        self.ports = dict(zip(dict.fromkeys(outer), free_ports(), strict=False))
        self.overlay = self.scratch / "overlay.yaml"
        self.overlay.write_text(yaml.dump(self._overlay(), Dumper=_Dumper), encoding="utf-8")
        self._write_curlrc()
        self.env = {
            "COMPOSE_FILE": f"compose.yaml:{self.overlay}",
            "COMPOSE_PROJECT_NAME": self.project,
            "COMPOSE_ANSI": "never",
            "BUILDKIT_PROGRESS": "plain",
            "CURL_HOME": str(self.scratch),
        }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.keep:
            return
        try:
            self.down()
        finally:
            shutil.rmtree(self.scratch)

    def addresses(self) -> str:
        """What a person needs to go on with a stack that was kept."""
        settings = " ".join(f"{name}={value}" for name, value in self.env.items())
        ports = ", ".join(f"{port} is 127.0.0.1:{free}" for port, free in self.ports.items())
        return (
            f"{self.project} is kept in {self.folder}: port {ports}\n"
            f"  (cd {self.folder} && {settings} bash)  # a shell in it, for the commands of its page\n"
            f"  (cd {self.folder} && {settings} docker compose down --volumes); rm -r {self.scratch}; "
            f"docker image rm --force $(docker image ls --quiet --filter label={_PROJECT}={self.project})"
        )

    def compose(self, *arguments: str, input: str | None = None, timeout: float = 120) -> str:
        """Run `docker compose` in the copy and return its output. Raises HandbookError, with stderr, when it fails."""
        result = run(["docker", "compose", *arguments], cwd=self.folder, env=self.env, input=input, timeout=timeout)
        if result.returncode:
            said = (result.stdout + result.stderr).strip()
            raise HandbookError(f"`docker compose {' '.join(arguments)}` ended with {result.returncode}:\n{said}")
        return result.stdout

    def containers(self, service: str = "") -> list[dict[str, Any]]:
        """What `docker inspect` says of the stack's containers, or of those of one service, ended ones included."""
        labels = {"project": self.project, "oneoff": "False", **({"service": service} if service else {})}
        filters = [f"--filter=label=com.docker.compose.{label}={value}" for label, value in labels.items()]
        ids = run(["docker", "ps", "--all", "--quiet", *filters]).stdout.split()
        if not ids:
            return []
        found: list[dict[str, Any]] = json.loads(run(["docker", "inspect", *ids]).stdout)
        return sorted(found, key=lambda container: container["Name"])

    def down(self) -> None:
        """Remove containers, networks, volumes and built images. Raises HandbookError when something is left."""
        down = ["docker", "compose", "down", "--volumes", "--remove-orphans", "--timeout", str(_DOWN_SECONDS)]
        result = run(down, cwd=self.folder, env=self.env)
        forget_builds(self.project)
        if left := leftovers(self.project):
            raise HandbookError(f"{self.project}: `{' '.join(down)}` left {', '.join(left)}:\n{result.stderr.strip()}")

    def report(self, command: str) -> str:
        """Say how the stack is: the command that repeats its boot, `ps`, and the last lines of what is unhealthy.

        All logs are kept in `build/artifacts/`, too.
        """
        kept = ROOT / "build" / "artifacts" / self.project
        kept.mkdir(parents=True, exist_ok=True)
        ps = run(["docker", "compose", "ps", "--all"], cwd=self.folder, env=self.env).stdout
        parts = [f"repeat it with: {command}", f"kept in: {kept.relative_to(ROOT)}", ps]
        for container in self.containers():
            name = container["Name"].lstrip("/")
            shown = run(["docker", "logs", "--timestamps", container["Id"]])
            text = shown.stdout + shown.stderr
            (kept / f"{name}.log").write_text(text, encoding="utf-8")
            if not _is_well(container):
                probes = (container["State"].get("Health") or {}).get("Log") or []
                said = "".join(f"health check: {probe['Output'].strip()}\n" for probe in probes[-1:])
                tail = "\n".join(text.splitlines()[-_LOG_LINES:])
                parts.append(f"--- {name}, last {_LOG_LINES} lines\n{said}{tail}")
        whole = "\n".join(parts)
        (kept / "report.txt").write_text(whole, encoding="utf-8")
        return whole

    def _overlay(self) -> dict[str, Any]:
        services: dict[str, Any] = {}
        for name, definition in self.stack.services.items():
            own: dict[str, Any] = {}
            if name in self.stack.pulled:
                own["image"] = self.images[self.stack.pulled[name]].local
            elif "image" in definition:
                own["image"] = self.built_image(name)
            if name in self.stack.dockerfiles:
                bases = {image.name: image.build_context for image in self.images.values()}
                own["build"] = {"additional_contexts": bases, "args": self.stack.build_arguments(name)}
            if ports := self.stack.ports[name]:
                own["ports"] = _Override(_on_loopback(ports, self.ports))
            services[name] = own
        # Compose gives its networks 1500 whatever the engine was told about the link below.
        options = {"driver_opts": {"com.docker.network.driver.mtu": default_mtu()}}
        return {"services": services, "networks": dict.fromkeys(self.stack.definition.get("networks", ()), options)}

    def built_image(self, service: str) -> str:
        """The name under which this boot builds a service's image; what stands in it for a variable stands here, too.

        It is this boot's alone: two that run beside each other build from different files.
        """
        return f"{_BUILT}/{self.id}/{self.stack.services[service]['image']}"

    def _write_curlrc(self) -> None:
        """Let curl go to the free port where a walkthrough says `https://api.example.com`."""
        lines = (f'connect-to = "{HOST}:{port}:127.0.0.1:{free}"\n' for port, free in self.ports.items())
        (self.scratch / ".curlrc").write_text("".join(lines), encoding="utf-8")


class _Override(list[Any]):
    """A list that takes the place of the one in the file before, instead of being added to it."""


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


_Dumper.add_representer(_Override, lambda dumper, data: dumper.represent_sequence("!override", data))


def _outer(port: Port) -> int:
    """The port that a reader asks; where Docker would choose one, tests know it by the port inside."""
    return port.published or port.target


def _on_loopback(ports: Iterable[Port], free: Mapping[int, int]) -> Iterator[str]:
    """Write published ports for Compose, each moved to its free one."""
    for port in ports:
        yield f"127.0.0.1:{free[_outer(port)]}:{port.target}/{port.protocol}"


def _is_well(container: Mapping[str, Any]) -> bool:
    state = container["State"]
    if state["Status"] == "exited":
        return bool(state["ExitCode"] == 0)
    return bool(state["Status"] == "running" and (state.get("Health") or {}).get("Status", "healthy") == "healthy")


def leftovers(project: str) -> list[str]:
    """The containers, networks and volumes that a Compose project still has."""
    label = f"label={_PROJECT}={project}"
    lists = {"container": ["ps", "--all"], "network": ["network", "ls"], "volume": ["volume", "ls"]}
    return [
        f"{kind} {name}"
        for kind, command in lists.items()
        for name in run(["docker", *command, "--quiet", "--filter", label]).stdout.split()
    ]


def forget_builds(project: str) -> None:
    """Remove every image that Compose has built for a project, also those that lost their name to another."""
    ids = set(run(["docker", "image", "ls", "--quiet", "--filter", f"label={_PROJECT}={project}"]).stdout.split())
    if ids:
        run(["docker", "image", "rm", "--force", *sorted(ids)])


def forget_abandoned(stack: str) -> None:
    """Remove the images that boots of a stack built whose process is gone, unless what they booted is still there."""
    listing = run(["docker", "image", "ls", "--quiet", "--filter", f"label={_PROJECT}"]).stdout.split()
    labels = f'{{{{index .Config.Labels "{_PROJECT}"}}}}'
    projects = run(["docker", "image", "inspect", "--format", labels, *listing]).stdout.split() if listing else []
    for project in set(projects):
        booted = re.fullmatch(rf"{slug(stack)}-(\d+)-[0-9a-f]{{4}}", project)
        if booted and not Path(f"/proc/{booted[1]}").exists() and not leftovers(project):
            forget_builds(project)


def slug(stack: str) -> str:
    """The name of a stack where no slash may stand: in archives, and in the projects of its boots."""
    return stack.replace("/", "-")


def free_ports() -> Iterator[int]:
    """Yield ports on 127.0.0.1 that nobody listens on and that the kernel gives to nobody by itself."""
    while True:
        port = random.choice(_PORTS)
        if _is_free(port):
            yield port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def default_mtu() -> str:
    """The MTU that the engine gives its own network."""
    options = run(["docker", "network", "inspect", "bridge", "--format", "{{json .Options}}"]).stdout
    mtu: str = (json.loads(options or "{}") or {}).get("com.docker.network.driver.mtu", "1500")
    return mtu
