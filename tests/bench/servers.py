"""The service under gunicorn, uvicorn and granian: requests a second, the slowest of them, memory, and reloads.

What is served is the service itself, with all its middleware and its log, and `/version`, which asks no database: with
one, the database would be measured. gunicorn runs as in every target. uvicorn runs as `python -m assistant` runs it,
with uvloop and httptools, and granian in its own way with uvloop. So gunicorn is measured with uvloop as well.

All servers of a size run at the same time and are asked in turns, by wrk on this machine: it and the server share its
processors. Everything stays on the loopback device.
"""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from handbook import images, measured, tools
from handbook.environment import bench_programs
from handbook.findings import HandbookError
from handbook.proof import now
from tests.bench.throughput import BASE, CONNECTIONS, DOCKERFILE, PATH, QUIET, counted
from tests.running import Running, children, free_port, running

NAME = "servers"
PROCESSES = (1, 2)
ROUNDS = 3
SECONDS = 3
WARM_SECONDS = 2
RELOAD_SECONDS = 12
RELOADS = 2
PAUSE_SECONDS = 1.5
_PATIENCE = 15


@dataclass(frozen=True)
class Server:
    """A way to serve the service: the command for a folder of programs, so many processes and a port."""

    name: str
    command: Callable[[Path, int, int], list[str]]
    ready: str
    """What each of its processes says when it can answer."""


@dataclass
class Seen:
    """What was measured of one server with so many processes."""

    rates: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    memory: int = 0


def _gunicorn(loop: str) -> Callable[[Path, int, int], list[str]]:
    return lambda programs, processes, port: [str(programs / "gunicorn"), f"--asgi-loop={loop}"]


def _uvicorn(programs: Path, processes: int, port: int) -> list[str]:
    return [str(programs / "python"), "-m", "assistant"]


def _granian(programs: Path, processes: int, port: int) -> list[str]:
    options = ["--interface=asgi", "--factory", "--loop=uvloop", "--host=127.0.0.1", f"--port={port}"]
    return [str(programs / "granian"), *options, f"--workers={processes}", "assistant.__main__:app"]


SERVERS = (
    Server("gunicorn", _gunicorn("asyncio"), "ASGI server listening"),
    Server("gunicorn uvloop", _gunicorn("uvloop"), "ASGI server listening"),
    Server("uvicorn", _uvicorn, "Application startup complete"),
    Server("granian", _granian, "Started worker"),
)
# uvicorn with one process has no other that would start it again: SIGHUP ends it.
RELOADED = (("gunicorn", 1), ("gunicorn", 2), ("uvicorn", 2), ("granian", 1), ("granian", 2))


def main() -> None:
    """Measure all of them, and keep the numbers."""
    if (load := os.getloadavg()[0]) > QUIET:
        print(f"the machine is busy with something else (load {load:.1f}), so the numbers say little")
    image = images.built_upon(BASE, DOCKERFILE, "wrk")
    programs = bench_programs()
    with TemporaryDirectory() as folder:
        seen: dict[str, Seen] = {}
        for processes in PROCESSES:
            seen |= compare(image, programs, Path(folder), processes)
        reloads = {
            f"{name}-{processes}": reload(image, programs, Path(folder), name, processes)
            for name, processes in RELOADED
        }
    keep(seen, versions(programs), reloads)


def compare(image: str, programs: Path, folder: Path, processes: int) -> dict[str, Seen]:
    """Start every server with so many processes, ask them in turns, and return what was seen of each."""
    with ExitStack() as stack:
        up = {server.name: stack.enter_context(serving(server, programs, folder, processes)) for server in SERVERS}
        seen = {name: Seen() for name in up}
        for server in up.values():
            asked(image, server, WARM_SECONDS)
        for turn in range(ROUNDS):
            # Another one is first in each round: what drifts meets all.
            for name in (*list(up)[turn % len(up) :], *list(up)[: turn % len(up)]):
                said = asked(image, up[name], SECONDS)
                seen[name].rates.append(said["requests"] / said["microseconds"] * 1_000_000)
                seen[name].p99.append(said["p99"] / 1000)
        for name, server in up.items():
            seen[name].memory = memory(server.process.pid)
    for name, one in seen.items():
        print(f"{processes} of {name}: {statistics.median(one.rates):.0f} a second, {one.memory >> 20} MB", flush=True)
    return {f"{name}, {processes}": one for name, one in seen.items()}


@contextmanager
def serving(server: Server, programs: Path, folder: Path, processes: int) -> Iterator[Running]:
    """Run a server, and yield it as soon as each of its processes can answer."""
    port = free_port()
    log = folder / f"{server.name.replace(' ', '-')}-{processes}-{port}.log"
    settings = {"GUNICORN_WORKERS": str(processes), "LOG_FORMAT": "json"}
    with running(server.command(programs, processes, port), log, settings, port=port) as up:
        try:
            up.until(server.ready, processes)
        except AssertionError as error:
            raise HandbookError(str(error)) from None
        yield up


def asked(image: str, server: Running, seconds: int) -> dict[str, int]:
    """Ask a server with wrk. Raises HandbookError unless every request was answered well."""
    said = counted(image, "host", f"{server.url}{PATH}", seconds)
    if said["bad"] or said["broken"] or not said["requests"]:
        raise HandbookError(f"{server.log.stem}: not every request was answered well: {said}")
    return said


def reload(image: str, programs: Path, folder: Path, name: str, processes: int) -> dict[str, float]:
    """Send SIGHUP under load, more than once, and return what became of the requests and of the processes.

    uvicorn keeps an old process, and says so, when its replacement is not ready in time.
    """
    (server,) = (server for server in SERVERS if server.name == name)
    with serving(server, programs, folder, processes) as up, ThreadPoolExecutor(1) as pool:
        before = workers(up)
        load = pool.submit(counted, image, "host", f"{up.url}{PATH}", RELOAD_SECONDS, timeout=RELOAD_SECONDS)
        time.sleep(PAUSE_SECONDS)
        done = 0
        while done < RELOADS and not load.done():
            up.send(signal.SIGHUP)
            done += 1
            # A process of gunicorn that is told to stop while it starts was seen to drop what waits for it.
            while up.said().count(server.ready) < processes * (done + 1) and not load.done():
                time.sleep(0.5)
            time.sleep(PAUSE_SECONDS)
        said = load.result()
        end = time.monotonic() + _PATIENCE
        while before & set(children(up.process.pid)) and time.monotonic() < end:
            time.sleep(0.1)
        replaced = len(before - set(children(up.process.pid)))
    failed = said["bad"] + said["broken"]
    print(f"{processes} of {name} reloaded: {failed} of {said['requests']} failed, {replaced} replaced", flush=True)
    return {
        "requests": said["requests"],
        "reloads": done,
        "failed": failed,
        "replaced": replaced,
        "slowest": round(said["slowest"] / 1_000_000, 2),
    }


def workers(server: Running) -> set[int]:
    """The processes that answer. Python starts one more for uvicorn, which keeps track of what is shared."""

    def command(pid: int) -> str:
        return Path(f"/proc/{pid}/cmdline").read_text()

    return {pid for pid in children(server.process.pid) if "resource_tracker" not in command(pid)}


def memory(pid: int) -> int:
    """Return the bytes that a process and all below it need; what they share is counted once.

    https://docs.kernel.org/filesystems/proc.html: a page that three share counts a third for each.
    """
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    own = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return own * 1024 + sum(map(memory, children(pid)))


def versions(programs: Path) -> str:
    """Say which versions were compared."""
    names = ("gunicorn", "uvicorn", "granian")
    program = "import importlib.metadata, sys; print(*map(importlib.metadata.version, sys.argv[1:]))"
    found = tools.run([str(programs / "python"), "-c", program, *names]).stdout.split()
    return ", ".join(f"{name} {version}" for name, version in zip(names, found, strict=True))


def keep(seen: Mapping[str, Seen], compared: str, reloads: Mapping[str, Mapping[str, float]]) -> None:
    """Write down the charts and, of each server that was reloaded, how that went."""
    date = now()[:10]
    by_processes = f"by number of processes ({compared})"
    charts: dict[str, tuple[str, str, dict[str, float]]] = {
        "throughput": (
            f"Requests for {PATH} a second, over {CONNECTIONS} connections, {by_processes}",
            "req/s",
            {name: round(statistics.median(one.rates)) for name, one in seen.items()},
        ),
        "latency": (
            f"What all but one of a hundred requests took at most then, {by_processes}",
            "ms",
            {name: round(statistics.median(one.p99), 1) for name, one in seen.items()},
        ),
        "memory": (
            f"Memory of all processes of a server after that, {by_processes}",
            measured.BYTES,
            {name: one.memory for name, one in seen.items()},
        ),
    }
    for name, (title, unit, bars) in charts.items():
        measured.keep(NAME, name, bars, date=date, title=title, unit=unit)
    for name, numbers in reloads.items():
        measured.keep(NAME, f"reload-{name}", numbers, date=date)
    rounds = {"rounds": ROUNDS, "seconds": SECONDS}
    print(f"written to {measured.keep(NAME, 'how', rounds, date=date)}")


if __name__ == "__main__":
    main()
