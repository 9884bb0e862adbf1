"""The containers of a booted stack, and what `docker inspect` must show of them. Each probe raises AssertionError."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from handbook import tools
from handbook.stacks import Boot

Container = Mapping[str, Any]


def execute(boot: Boot, service: str, *command: str) -> str:
    """Run a command in the first container of a service and return its output. Faster than `docker compose exec`."""
    done = tools.run(["docker", "exec", f"{boot.project}-{service}-1", *command])
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout


def outputs(boot: Boot, service: str) -> Iterator[str]:
    """What each container of a service has written to stdout."""
    for container in boot.containers(service):
        yield tools.run(["docker", "logs", container["Id"]]).stdout


def service_of(container: Container) -> str:
    """The Compose service that it is a container of."""
    name: str = container["Config"]["Labels"]["com.docker.compose.service"]
    return name


def said(container: Container) -> str:
    """All that a container has written, to stdout and to stderr."""
    written = tools.run(["docker", "logs", container["Id"]])
    return written.stdout + written.stderr


def named(container: Container) -> str:
    name: str = container["Name"].lstrip("/")
    return name


def runs_unprivileged(container: Container) -> None:
    """A numeric user that is not root, a read-only root, no capability, and no way to gain any."""
    host, user = container["HostConfig"], container["Config"]["User"]
    number = user.partition(":")[0]
    assert number.isdigit(), f"{named(container)}: user {user!r}"
    assert number != "0", f"{named(container)}: runs as root"
    assert host["ReadonlyRootfs"], f"{named(container)}: the root can be written"
    assert [c.removeprefix("CAP_") for c in host["CapDrop"] or []] == ["ALL"], f"{named(container)}: {host['CapDrop']}"
    assert not host["CapAdd"], f"{named(container)}: {host['CapAdd']}"
    assert not host["Privileged"], f"{named(container)}: is privileged"
    assert any(o.startswith("no-new-privileges") for o in host["SecurityOpt"] or []), (
        f"{named(container)}: may gain rights"
    )
    mounts = [mount["Source"] for mount in container["Mounts"] if mount["Source"].endswith("docker.sock")]
    assert not mounts, f"{named(container)}: mounts {mounts}"


def processes_are_unprivileged(name: str, status: str) -> None:
    """The same, as the kernel says it of process 1: `status` is its `/proc/1/status`."""
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    assert "0" not in fields["Uid"].split(), f"{name}: runs as root"
    for field_name in ("CapPrm", "CapEff", "CapBnd"):
        assert int(fields[field_name], 16) == 0, f"{name}: {field_name} {fields[field_name]}"
    assert fields["NoNewPrivs"].strip() == "1", f"{name}: may gain rights"


def is_limited(container: Container) -> None:
    host = container["HostConfig"]
    for limit in ("Memory", "NanoCpus", "PidsLimit"):
        assert (host[limit] or 0) > 0, f"{named(container)}: no limit for {limit}"


def comes_back(container: Container) -> None:
    """What serves is restarted after a crash and after the host; what ran once is not run again by itself."""
    policy = container["HostConfig"]["RestartPolicy"]["Name"]
    expected = "no" if service_of(container) == "migrations" else "unless-stopped"
    assert policy == expected, f"{named(container)}: restart {policy}"


def has_open_files(container: Container) -> None:
    files = [limit["Soft"] for limit in container["HostConfig"]["Ulimits"] or [] if limit["Name"] == "nofile"]
    assert files, f"{named(container)}: no limit for open files, so it is the engine's"
    # The default of engine 29.
    assert files[0] > 1024, f"{named(container)}: {files[0]} open files"


def has_shared_memory(container: Container) -> None:
    """For an index that Postgres builds in parallel."""
    size = container["HostConfig"]["ShmSize"]
    if service_of(container) == "postgres":
        # Docker's default.
        assert size > 64 * 1024**2, f"{named(container)}: {size} bytes of shared memory"


def keeps_nothing_nameless(container: Container) -> None:
    """A volume that an image asks for and nobody names stays behind, and the next container gets another one."""
    mounts = [mount for mount in container["Mounts"] if mount["Type"] == "volume"]
    nameless = [mount["Destination"] for mount in mounts if re.fullmatch(r"[0-9a-f]{64}", mount["Name"])]
    assert not nameless, f"{named(container)}: nameless volumes at {nameless}"


def logs_rotate(container: Container) -> None:
    """json-file, the default, keeps everything unless it is told a size."""
    log = container["HostConfig"]["LogConfig"]
    rotates = log["Type"] == "local" or (log["Type"] == "json-file" and "max-size" in log["Config"])
    assert rotates, f"{named(container)}: {log}"


def holds_no_secret(container: Container, secrets: Iterable[str]) -> None:
    """No secret stands in what `docker inspect` shows: environment, command, labels, health check."""
    shown = json.dumps(container)
    for secret in secrets:
        assert len(secret) > 20, "an empty secret would be found nowhere"
        assert secret not in shown, f"{named(container)}: docker inspect shows a secret"


def only_nginx_is_published(containers: Iterable[Container]) -> None:
    published = {
        service_of(container)
        for container in containers
        if any((container["HostConfig"]["PortBindings"] or {}).values())
    }
    assert published == {"nginx"}, f"published: {sorted(published)}"


def came_before(first: Container, later: Iterable[Container]) -> None:
    """`first` ended well before any of the others started."""
    outcome = (first["State"]["Status"], first["State"]["ExitCode"])
    assert outcome == ("exited", 0), f"{named(first)}: {outcome}"
    for container in later:
        ended, started = first["State"]["FinishedAt"], container["State"]["StartedAt"]
        assert ended < started, f"{named(container)} started at {started}, {named(first)} ended at {ended}"
