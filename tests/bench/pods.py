"""One process a pod, or four in one: requests a second, the slowest of them, memory, and what a process takes with it.

Each pod is a container of the service's image with the settings, the limit of memory and the share of the CPU that the
Deployment gives to a pod; one that stands for four has four times as much. As in the Deployment nothing limits the CPU.
All of them run on one core, the same, so that no case has more of it than another, and wrk has the others.

All run at the same time and are asked in turns for what needs no database: with one, the database would be measured.
wrk asks them in the network in which they are; pods of one case have one name, and each has as many connections.

Then one process of a pod grows until the kernel kills it, while a client asks at a fixed pace. The kubelet has the
kernel kill all processes of a container together (`memory.oom.group`), and starts the container again. Docker does
not, so this does: https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/, `singleProcessOOMKill`.
"""

from __future__ import annotations

import http.client
import os
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from handbook import images, measured, tools
from handbook.catalog import ROOT, Catalog
from handbook.facts.kubernetes import memory_bytes
from handbook.findings import HandbookError
from handbook.memory import needed
from handbook.proof import now
from handbook.stacks import ComposeStack, default_mtu, free_ports
from tests.bench.throughput import BASE, CONNECTIONS, DOCKERFILE, PATH, QUIET, counted
from tests.running import SECRETS, SERVICE

NAME = "pods"
MANIFEST = ROOT / "snippets" / "kubernetes" / "base" / "api.yaml"
SETTINGS = ROOT / "snippets" / "kubernetes" / "base" / "service.env"
GROWING = ROOT / "tests" / "bench" / "_growing.py"
PORT = 8000
MANY = 4
ROUNDS = 3
SECONDS = 4
WARM_SECONDS = 2
# What each process says when it can answer.
READY = "ASGI server listening"
PACE = 100
GROWTH_SECONDS = 20
ANSWER_SECONDS = 1
PAUSE_SECONDS = 2
_PATIENCE = 90


@dataclass(frozen=True)
class Case:
    """So many pods of so many processes, each with so many times the limits of the Deployment's pod."""

    name: str
    pods: int
    processes: int
    times: int


ONE = Case("1 process", 1, 1, 1)
CROWDED = Case(f"{MANY} in the same limits", 1, MANY, 1)
PODS = Case(f"{MANY} pods of 1", MANY, 1, 1)
WHOLE = Case(f"1 pod of {MANY}", 1, MANY, MANY)
CASES = (ONE, CROWDED, PODS, WHOLE)


@dataclass(frozen=True)
class Limits:
    """What the Deployment gives to a pod: bytes of memory at most, and cores that it gets in any case."""

    memory: int
    cpu: float


@dataclass(frozen=True)
class Cores:
    """Which cores are whose, as Docker writes them."""

    service: str
    wrk: str


@dataclass(frozen=True)
class Pod:
    """A container that stands for a pod, and its port on 127.0.0.1."""

    name: str
    port: int

    def group(self) -> Path:
        """The folder of its control group: of version 1 for memory, else of version 2. It has to be running."""
        pid = _docker("inspect", "--format={{.State.Pid}}", self.name).strip()
        lines = (line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
        paths = {controllers: path for _, controllers, path in lines}
        if "memory" in paths:
            return Path(f"/sys/fs/cgroup/memory{paths['memory']}")
        return Path(f"/sys/fs/cgroup{paths['']}")

    def until_ready(self, processes: int, since: float) -> None:
        """Wait until so many of its processes have said, since then, that they can answer.

        Raises HandbookError, with the end of its log, when they do not.
        """
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            shown = tools.run(["docker", "logs", f"--since={since:.3f}", self.name])
            said = shown.stdout + shown.stderr
            if said.count(READY) >= processes:
                return
            time.sleep(0.5)
        tail = "\n".join(said.splitlines()[-15:])
        raise HandbookError(f"{self.name}: {said.count(READY)} of {processes} processes can answer:\n{tail}")


@dataclass
class Seen:
    """What was measured of a case, over all of its pods."""

    rates: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    memory: int = 0
    failed: int = 0
    killed: int = 0


def main() -> None:
    """Measure all cases, let processes grow, and keep the numbers."""
    if (load := os.getloadavg()[0]) > QUIET:
        print(f"the machine is busy with something else (load {load:.1f}), so the numbers say little")
    limits, cores = pod_limits(), split_cores()
    wrk = images.built_upon(BASE, DOCKERFILE, "wrk")
    with service_image() as image, network() as net, ExitStack() as stack:
        up = {case: stack.enter_context(running(case, image, net, limits, cores)) for case in CASES}
        seen = compare(up, wrk, net, cores)
        growth = {
            "pods": grown(up[PODS], PODS, together=True),
            "alone": grown(up[WHOLE], WHOLE, together=False),
            "whole": grown(up[WHOLE], WHOLE, together=True),
        }
    keep(seen, growth, limits)


def pod_limits() -> Limits:
    """Read what the Deployment gives to a pod of the service."""
    documents: list[dict[str, Any]] = list(yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8")))
    (deployment,) = (document for document in documents if document["kind"] == "Deployment")
    resources = deployment["spec"]["template"]["spec"]["containers"][0]["resources"]
    return Limits(memory_bytes(resources["limits"]["memory"]), cpu_cores(str(resources["requests"]["cpu"])))


def cpu_cores(text: str) -> float:
    """Read an amount of CPU of Kubernetes: `250m`, `1`, `0.5`.

    https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#meaning-of-cpu
    """
    return int(text.removesuffix("m")) / 1000 if text.endswith("m") else float(text)


def split_cores() -> Cores:
    """Give the first core to the service and the others to wrk. Raises HandbookError when there is only one."""
    first, *others = sorted(os.sched_getaffinity(0))
    if not others:
        raise HandbookError("this needs two cores: one for the service, and one for what asks it")
    return Cores(str(first), ",".join(map(str, others)))


@contextmanager
def service_image() -> Iterator[str]:
    """Build the image of the service, and yield its name. The end removes it."""
    stack = ComposeStack("compose/production", Catalog())
    bases = images.ensure(stack.references).values()
    name = f"bootproof.local/{NAME}:{os.getpid()}"
    contexts = [f"--build-context={base.name}={base.build_context}" for base in bases]
    arguments = [f"--build-arg={key}={value}" for key, value in stack.build_arguments("service").items()]
    try:
        _docker("build", "--quiet", *contexts, *arguments, f"--tag={name}", str(SERVICE))
        yield name
    finally:
        tools.run(["docker", "image", "rm", "--force", name])


@contextmanager
def network() -> Iterator[str]:
    """Make a network for the pods and for wrk, and yield its name. The end removes it."""
    name = f"{NAME}-{os.getpid()}"
    try:
        _docker("network", "create", f"--opt=com.docker.network.driver.mtu={default_mtu()}", name)
        yield name
    finally:
        tools.run(["docker", "network", "rm", name])


@contextmanager
def running(case: Case, image: str, net: str, limits: Limits, cores: Cores) -> Iterator[list[Pod]]:
    """Start the pods of a case, and yield them when all of their processes can answer. The end removes them."""
    began, free = time.time(), free_ports()
    pods = [Pod(f"{net}-{_alias(case)}-{number}", next(free)) for number in range(case.pods)]
    memory, shares = limits.memory * case.times, round(limits.cpu * 1024 * case.times)
    options = [
        # No swap, as in a cluster.
        *(f"--memory={memory}", f"--memory-swap={memory}", f"--cpu-shares={shares}", f"--cpuset-cpus={cores.service}"),
        *("--read-only", "--tmpfs=/tmp", "--log-opt=max-size=10m", "--log-opt=max-file=2", "--no-healthcheck"),
        *(f"--network={net}", f"--network-alias={_alias(case)}"),
        *(f"--env-file={SETTINGS}", f"--env=WEB_CONCURRENCY={case.processes}"),
        *(f"--env={name}={value}" for name, value in SECRETS.items()),
        *(f"--volume={GROWING}:/bench/growing.py:ro", "--env=PYTHONPATH=/bench"),
    ]
    try:
        for pod in pods:
            published = f"--publish=127.0.0.1:{pod.port}:{PORT}"
            _docker("run", "--detach", f"--name={pod.name}", published, *options, image, "gunicorn", "growing:app()")
        for pod in pods:
            pod.until_ready(case.processes, began)
        yield pods
    finally:
        tools.run(["docker", "rm", "--force", *(pod.name for pod in pods)])


def _alias(case: Case) -> str:
    return case.name.replace(" ", "-")


def compare(up: dict[Case, list[Pod]], wrk: str, net: str, cores: Cores) -> dict[Case, Seen]:
    """Ask the cases in turns, and return what was seen of each. Raises HandbookError when one failed for no reason."""
    groups = {case: [pod.group() for pod in pods] for case, pods in up.items()}
    seen = {case: Seen() for case in up}
    for case in up:
        asked(wrk, net, case, WARM_SECONDS, cores)
    cases = list(up)
    for turn in range(ROUNDS):
        # Another one is first in each round: what drifts meets all.
        for case in (*cases[turn % len(cases) :], *cases[: turn % len(cases)]):
            said, one = asked(wrk, net, case, SECONDS, cores), seen[case]
            one.rates.append(said["requests"] / said["microseconds"] * 1_000_000)
            one.p99.append(said["p99"] / 1000)
            one.failed += said["bad"] + said["broken"]
            one.memory = max(one.memory, sum(map(needed, groups[case])))
    for case, one in seen.items():
        one.killed = sum(map(killed, groups[case]))
        if one.failed and not one.killed:
            raise HandbookError(f"{case.name}: {one.failed} requests failed, and nothing was killed for its memory")
        rate, memory = statistics.median(one.rates), one.memory >> 20
        print(f"{case.name}: {rate:.0f} a second, {memory} MB, {one.killed} killed, {one.failed} failed", flush=True)
    return seen


def asked(image: str, net: str, case: Case, seconds: int, cores: Cores) -> dict[str, int]:
    """Ask the pods of a case with wrk: one thread for each of four, with as many connections as any other.

    Raises HandbookError when wrk ends otherwise than well, or has not asked each of the pods.
    """
    said = counted(
        image, net, f"http://{_alias(case)}:{PORT}{PATH}", seconds, f"--cpuset-cpus={cores.wrk}", threads=MANY
    )
    if said["addresses"] != case.pods or not said["requests"]:
        raise HandbookError(f"{case.name}: not {case.pods} pods were asked: {said}")
    return said


def killed(group: Path) -> int:
    """How many processes of a group the kernel has killed for their memory; either version has a line for it."""
    for name in ("memory.oom_control", "memory.events"):
        with suppress(FileNotFoundError):
            counts = dict(line.split() for line in (group / name).read_text().splitlines())
            return int(counts["oom_kill"])
    raise HandbookError(f"{group} does not say how many processes were killed")


@dataclass
class Answers:
    """What a client saw that asks at a fixed pace, whether or not it got an answer before."""

    asked: int = 0
    at: list[float] = field(default_factory=list)
    """When each good answer came."""

    def numbers(self) -> dict[str, float]:
        """How many requests were sent and failed, and the longest time in which nobody answered.

        Raises HandbookError when hardly any request was answered.
        """
        times = sorted(self.at)
        if len(times) < 2:
            raise HandbookError(f"{len(times)} of {self.asked} requests were answered")
        longest = max(after - before for before, after in pairwise(times))
        return {"requests": self.asked, "failed": self.asked - len(times), "silent": round(longest, 1)}


def grown(pods: list[Pod], case: Case, *, together: bool) -> dict[str, float]:
    """Let one process of a case grow until it is killed, and return what a client saw meanwhile.

    The client asks each pod in turn, on a new connection each time, and the one that is away as well. `together` kills
    what else runs in the pod, and starts it again; otherwise gunicorn starts the process again.
    Raises HandbookError when nothing is killed, or the pod does not come back.
    """
    pod, group, answers, done = pods[0], pods[0].group(), Answers(), threading.Event()
    before = killed(group)
    with ThreadPoolExecutor(PACE * ANSWER_SECONDS * 2) as pool:
        client = threading.Thread(target=ask_at_pace, args=(pods, answers, pool, done))
        client.start()
        try:
            time.sleep(PAUSE_SECONDS)
            began = time.time()
            pool.submit(answered, pod, "POST", "/grow", _PATIENCE)
            while killed(group) == before:
                if time.time() > began + GROWTH_SECONDS:
                    raise HandbookError(f"{pod.name}: the process that grows was not killed")
                time.sleep(0.02)
            if together:
                _docker("restart", "--signal=KILL", "--time=0", pod.name)
            pod.until_ready(case.processes if together else 1, began)
            back = time.time() - began
            time.sleep(PAUSE_SECONDS)
        finally:
            done.set()
            client.join()
    numbers = answers.numbers()
    print(f"{case.name}, {'together' if together else 'alone'}: {numbers}, back after {back:.1f} s", flush=True)
    return numbers


def ask_at_pace(pods: list[Pod], answers: Answers, pool: ThreadPoolExecutor, done: threading.Event) -> None:
    """Ask the pods in turns until it is done, and write down the good answers."""

    def ask(pod: Pod) -> None:
        if answered(pod, "GET", PATH, ANSWER_SECONDS):
            answers.at.append(time.monotonic())

    began = time.monotonic()
    while not done.is_set():
        pool.submit(ask, pods[answers.asked % len(pods)])
        answers.asked += 1
        time.sleep(max(0.0, began + answers.asked / PACE - time.monotonic()))


def answered(pod: Pod, method: str, path: str, seconds: float) -> bool:
    """Whether a request got a good answer in time."""
    connection = http.client.HTTPConnection("127.0.0.1", pod.port, timeout=seconds)
    try:
        connection.request(method, path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def keep(seen: dict[Case, Seen], growth: dict[str, dict[str, float]], limits: Limits) -> None:
    """Write down the charts, how full the limit is, and what a process that grew took with it."""
    date = now()[:10]
    same = "all on the same core"
    charts: dict[str, tuple[str, str, dict[str, float]]] = {
        "throughput": (
            f"Requests for {PATH} a second, over {CONNECTIONS} connections, {same}",
            "req/s",
            {case.name: round(statistics.median(one.rates)) for case, one in seen.items()},
        ),
        "latency": (
            f"What all but one of a hundred requests took at most then, {same}",
            "ms",
            {case.name: round(statistics.median(one.p99), 1) for case, one in seen.items()},
        ),
        "memory": (
            "Memory of all pods together at most then",
            measured.BYTES,
            {case.name: one.memory for case, one in seen.items()},
        ),
    }
    for name, (title, unit, bars) in charts.items():
        measured.keep(NAME, name, bars, date=date, title=title, unit=unit)
    for name, numbers in growth.items():
        measured.keep(NAME, f"growth-{name}", numbers, date=date)
    full = {
        "one": round(100 * seen[ONE].memory / limits.memory),
        "four": round(100 * seen[CROWDED].memory / limits.memory),
        "killed": seen[CROWDED].killed,
        "failed": seen[CROWDED].failed,
    }
    measured.keep(NAME, "limit", full, date=date)
    how = {"rounds": ROUNDS, "seconds": SECONDS, "processes": MANY, "pace": PACE}
    print(f"written to {measured.keep(NAME, 'how', how, date=date)}")


def _docker(*arguments: str) -> str:
    """Run Docker and return what it printed. Raises HandbookError, with its message, when it fails."""
    ran = tools.run(["docker", *arguments])
    if ran.returncode:
        raise HandbookError(f"`docker {' '.join(arguments[:2])}` ended with {ran.returncode}: {ran.stdout}{ran.stderr}")
    return ran.stdout


if __name__ == "__main__":
    main()
