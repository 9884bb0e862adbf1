"""Watches how much memory the containers of a stack need, from the kernel's own accounts of their groups.

Only where those can be seen: on the host that runs the engine, or in a machine that shares them with it.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from handbook.tools import run

# Version 1 of control groups, version 2 as the engine names them itself, and as systemd does.
_PLACES = (
    ("/sys/fs/cgroup/memory/docker", "{}"),
    ("/sys/fs/cgroup/docker", "{}"),
    ("/sys/fs/cgroup/system.slice", "docker-{}.scope"),
)
_USAGE = ("memory.usage_in_bytes", "memory.current")
# Files that were read or written stay in memory until somebody needs it: the kernel gives these up before it kills.
_GIVEN_UP = ("inactive_file", "active_file")
_SECONDS = 0.2


class Watch:
    """Watches the containers of a Compose project, those that come later too, while a `with` block runs.

    `peaks` maps the name of each service to the most bytes that one container of it needed at a time, without what the
    kernel would have given up. What lasted for less than a moment between two looks is not seen.
    """

    def __init__(self, project: str) -> None:
        self.peaks: dict[str, int] = {}
        self._project = project
        self._services: dict[str, str | None] = {}
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    @contextlib.contextmanager
    def looking_away(self) -> Iterator[None]:
        """See nothing for a while, in which memory is filled on purpose."""
        with self._lock:
            yield

    def _watch(self) -> None:
        while not self._done.wait(_SECONDS):
            with self._lock:
                self.look()

    def look(self) -> None:
        """Look at every container once."""
        groups = dict(_groups())
        new = [container for container in groups if container not in self._services]
        if new:
            self._services |= dict.fromkeys(new) | _services(new, self._project)
        for container, folder in groups.items():
            service = self._services[container]
            if service:
                self.peaks[service] = max(self.peaks.get(service, 0), needed(folder))


def _groups() -> Iterator[tuple[str, Path]]:
    """Yield every container that runs on this machine, with the folder of its group."""
    for place, pattern in _PLACES:
        before, _, behind = pattern.partition("{}")
        with contextlib.suppress(OSError):
            for folder in Path(place).iterdir():
                container = folder.name.removeprefix(before).removesuffix(behind)
                if len(container) == 64:
                    yield container, folder


def _services(containers: list[str], project: str) -> dict[str, str]:
    """Map those containers that belong to a project to their services; ones that `compose run` made do not count."""
    found = json.loads(run(["docker", "inspect", "--type", "container", *containers]).stdout or "[]")
    labels = {container["Id"]: container["Config"]["Labels"] or {} for container in found}
    return {
        container: own["com.docker.compose.service"]
        for container, own in labels.items()
        if own.get("com.docker.compose.project") == project and own.get("com.docker.compose.oneoff") == "False"
    }


def needed(folder: Path) -> int:
    """Return the bytes that a group needs just now; 0 when it has just ended."""
    try:
        usage = next(int(file.read_text()) for name in _USAGE if (file := folder / name).exists())
        fields = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, StopIteration):
        return 0
    # Version 1 counts the groups below one by themselves, and together under these names.
    given_up = sum(int(fields.get(f"total_{name}", fields.get(name, 0))) for name in _GIVEN_UP)
    return max(usage - given_up, 0)
