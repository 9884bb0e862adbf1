"""A Debian host in a container, for pages that change the host itself: systemd, apt, and an engine if one is installed.

It has the kernel of this machine. What is one for all containers (`/proc/sys/vm`, `kernel` and `fs`) is covered or
read-only in it, and `scripts/host/Dockerfile` masks the units that would set up hardware; networks are its own.
"""

from __future__ import annotations

import json
import os
import random
import shlex
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from subprocess import CompletedProcess
from types import TracebackType

from handbook import images
from handbook.findings import HandbookError
from handbook.stacks import default_mtu
from handbook.tools import run

DOCKERFILE = "scripts/host/Dockerfile"
BASE = "debian:trixie-slim"

_START_SECONDS = 180
# How `docker exec` ends when the command itself cannot be run.
_NOT_BEGUN = 126
# The kernel's own settings that no namespace holds apart: a step may set one of `vm`, and sees it set.
_COVER = """
mkdir /run/vm
cp /proc/sys/vm/overcommit_memory /proc/sys/vm/max_map_count /proc/sys/vm/swappiness /run/vm/
mount --bind /run/vm /proc/sys/vm
for folder in kernel fs; do
  mount --bind "/proc/sys/$folder" "/proc/sys/$folder"
  mount --options remount,bind,ro "/proc/sys/$folder"
done
"""


def image() -> str:
    """Return the name of the image of a fresh host, which is built when it is not there.

    Raises ImageError, with the end of the log, when it can't be built.
    """
    return images.built_upon(BASE, DOCKERFILE, "host")


class Host:
    """A host with a network of its own, and a second machine in that network. Use it in a `with` statement.

    `address` and `address6` are where the second machine finds it, `other_address` is that one's own; `seconds` is how
    long the start took. The end of the block removes both, with all that the host has stored.

    `of` is the image of a host that was kept (`keep`), where it is not to be a fresh one. `folders` gives folders of
    this machine a place in it, and `ports` maps some of its ports to free ones on 127.0.0.1.
    """

    def __init__(self, of: str = "", *, folders: Mapping[Path, str] = {}, ports: Mapping[int, int] = {}) -> None:
        self.of = of
        self.folders = dict(folders)
        self.ports = dict(ports)
        self.name = f"host-{os.getpid()}-{random.randrange(16**4):04x}"
        self.other = f"{self.name}-other"

    def __enter__(self) -> Host:
        try:
            self._start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def _start(self) -> None:
        found = image()
        began = time.monotonic()
        # 198.18.0.0/15 is set aside for tests of networks (RFC 2544), so no address pool of an engine holds it.
        high, low = random.randrange(18, 20), random.randrange(256)
        subnets = [f"--subnet=198.{high}.{low}.0/24", f"--subnet=fd00:198:{high}:{low:x}::/64", "--ipv6"]
        _must("network", "create", *subnets, f"--opt=com.docker.network.driver.mtu={default_mtu()}", self.name)
        writable = ["--tmpfs=/run", "--tmpfs=/run/lock", "--tmpfs=/tmp:exec"]
        # overlayfs does not stand on overlayfs.
        stores = ["--volume=/var/lib/docker", "--volume=/var/lib/containerd"]
        given = [f"--volume={folder}:{place}" for folder, place in self.folders.items()]
        published = [f"--publish=127.0.0.1:{free}:{port}" for port, free in self.ports.items()]
        machine = ["--privileged", "--cgroupns=private", "--hostname=host", *writable, *stores, *given, *published]
        _must("run", "--detach", f"--name={self.name}", f"--network={self.name}", *machine, self.of or found)
        other = ["--hostname=other", "--cap-add=NET_ADMIN", "--init"]
        _must("run", "--detach", f"--name={self.other}", f"--network={self.name}", *other, found, "sleep", "infinity")
        own, others = (
            found["NetworkSettings"]["Networks"][self.name]
            for found in json.loads(_must("inspect", self.name, self.other))
        )
        self.address, self.address6 = own["IPAddress"], own["GlobalIPv6Address"]
        self.other_address = others["IPAddress"]
        self._wait()
        self.seconds = time.monotonic() - began

    def _remove(self) -> None:
        run(["docker", "rm", "--force", "--volumes", self.name, self.other])
        run(["docker", "network", "rm", self.name])

    def _wait(self) -> None:
        """Wait until systemd has started what it is to start, and cover what is not the host's own."""
        end = time.monotonic() + _START_SECONDS
        while (state := self.run("systemctl is-system-running", check=False).stdout.strip()) != "running":
            if state == "degraded" or time.monotonic() > end:
                failed = self.run("systemctl --failed --no-legend --plain", check=False).stdout
                raise HandbookError(f"{self.name}: systemd is {state or 'not there'} after its start:\n{failed}")
            time.sleep(0.1)
        self.run(_COVER)

    def restart(self) -> None:
        """Shut the host down as its power button does, and start it again."""
        _must("stop", "--time", str(_START_SECONDS), self.name)
        _must("start", self.name)
        self._wait()

    def keep(self, image: str) -> None:
        """Keep what is on its disks under the name of an image, from which another host starts as after a power cut."""
        _must("commit", self.name, image)

    def run(
        self, script: str, *, user: str = "root", cwd: str = "/root", check: bool = True, timeout: float = 120
    ) -> CompletedProcess[str]:
        """Run a script in the host, under `bash -euo pipefail`. Raises HandbookError when it fails, unless told not to.

        `timeout` is in seconds.
        """
        shell = ["bash", "--noprofile", "--norc", "-euo", "pipefail", "-c", script]
        command = ["docker", "exec", f"--user={user}", f"--workdir={cwd}", self.name, *shell]
        result = run(command, timeout=timeout)
        refused = result.returncode == _NOT_BEGUN and "OCI runtime exec failed" in result.stderr + result.stdout
        if refused and "docker exec" not in script:
            # It is this machine's engine that could not start it, not one in the host: nothing has run yet.
            result = run(command, timeout=timeout)
        if check and result.returncode:
            said = (result.stdout + result.stderr).strip()
            raise HandbookError(f"{self.name}: this ended with {result.returncode}:\n{script.strip()}\n{said}")
        return result

    def from_other(self, *command: str) -> CompletedProcess[str]:
        """Run a program on the second machine."""
        return run(["docker", "exec", self.other, *command], timeout=60)

    def copy(self, files: Iterable[Path], folder: str) -> None:
        """Copy files into a folder of the host, which is made, with root as their owner."""
        self.run(f"mkdir --parents {shlex.quote(folder)}")
        for file in files:
            _must("cp", "--archive", str(file), f"{self.name}:{folder}/")
        self.run(f"chown --recursive root:root {shlex.quote(folder)}")

    def load(self, image: images.Image) -> None:
        """Give the host's engine an image of this machine, under the name that the files use.

        The name is only in the host, which goes when the test ends.
        """
        pipe = f"docker save {shlex.quote(image.local)} | docker exec --interactive {self.name} docker load"
        result = run(["bash", "-euo", "pipefail", "-c", pipe])
        if result.returncode:
            raise HandbookError(f"{self.name}: {image} can't be loaded: {result.stderr.strip()}")
        self.run(f"docker tag {shlex.quote(image.local)} {shlex.quote(image.name)}")


def _must(*arguments: str) -> str:
    result = run(["docker", *arguments])
    if result.returncode:
        raise HandbookError(f"`docker {' '.join(arguments)}` ended with {result.returncode}: {result.stderr.strip()}")
    return result.stdout
