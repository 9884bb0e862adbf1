"""What runs, whatever starts it: a container, a unit of systemd, a pod."""

from __future__ import annotations

from dataclasses import dataclass, field

from handbook.facts import Fact
from handbook.facts.health import HealthCheck
from handbook.facts.quantities import Port


@dataclass(frozen=True)
class Mount:
    """A file or folder of the repository (`source`) that a workload sees as `target`."""

    source: str
    target: str


@dataclass
class Workload:
    """One thing that runs. What its files don't say is None or empty."""

    name: Fact[str]
    image: Fact[str] | None = None
    build: Fact[str] | None = None
    """The folder of the repository that the image is built from."""
    command: list[Fact[str]] = field(default_factory=list)
    user: Fact[str] | None = None
    environment: dict[str, Fact[str]] = field(default_factory=dict)
    secrets: dict[str, Fact[str]] = field(default_factory=dict)
    """The path that the workload reads a secret from -> the file of the repository's folder that it stands in."""
    ports: list[Fact[Port]] = field(default_factory=list)
    networks: dict[str, Fact[bool]] = field(default_factory=dict)
    """Each network's name -> whether it is internal. Workloads without a network in common can't reach each other;
    one without any runs in its host's own, as a unit of systemd does."""
    reachable_as: set[str] = field(default_factory=set)
    """The hosts by which other workloads reach it: names, addresses, the folder of its Unix socket."""
    listens: set[int] = field(default_factory=set)
    """The ports that it listens on, where nothing but the port tells the workloads of one host apart; else empty."""
    mounts: list[Fact[Mount]] = field(default_factory=list)
    volumes: dict[str, Fact[str]] = field(default_factory=dict)
    """The path that the workload sees -> the name of the volume, which outlives it."""
    health: HealthCheck | None = None
    health_off: bool = False
    """Whether the target switches off the check that the image brings."""
    runs_once: bool = False
    """Whether nothing starts it again when it has ended."""
    replicas: Fact[int] | None = None
    stop_grace_seconds: Fact[float] | None = None
    memory_bytes: Fact[int] | None = None
    shm_bytes: Fact[int] | None = None

    @property
    def in_container(self) -> bool:
        """Whether it runs from an image."""
        return self.image is not None or self.build is not None

    def meets(self, other: Workload) -> bool:
        """Whether both are in one network, or both in none: then they share their host's."""
        return bool(set(self.networks) & set(other.networks)) or not (self.networks or other.networks)

    def is_at(self, host: str | None, port: int | None) -> bool:
        """Whether it is what other workloads reach there."""
        return host in self.reachable_as and (not self.listens or port in self.listens)

    def in_repository(self, path: str) -> str | None:
        """The path in the repository of a file that the workload sees as `path`; None when nothing is mounted there."""
        best = max(
            (m.value for m in self.mounts if path == m.value.target or path.startswith(f"{m.value.target}/")),
            key=lambda mount: len(mount.target),
            default=None,
        )
        return best.source + path.removeprefix(best.target) if best else None
