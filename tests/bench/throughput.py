"""Requests a second of a cheap endpoint, through nginx and from the replicas themselves, with all of them and with one.

Through nginx means TLS, its limits and its access log, as in production; the replicas are asked over plain HTTP. wrk
asks both from a container in the network in which nginx asks the replicas, over connections that stay open, as many
each time. With one replica its process is the limit, as long as the other core of a machine with two is enough for
nginx and wrk. When the replicas fill all cores, what nginx needs they can't have.

The two take turns, so that whatever else the machine does meets both. A ratio is the median of those of all rounds.
"""

import json
import os
import re
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from handbook import images, measured, tools
from handbook.catalog import ROOT, Catalog
from handbook.findings import HandbookError
from handbook.proof import now
from handbook.stacks import HOST, Boot, ComposeStack
from handbook.walkthroughs import Walkthrough
from tests.boot import inside

STACK = "compose/production"
BASE, DOCKERFILE = "debian:trixie-slim", "scripts/wrk/Dockerfile"
SCRIPT = ROOT / "scripts" / "wrk" / "spread.lua"

PATH = "/version"
# nginx keeps as many open to the service, and lets one address have 50 requests at a time.
CONNECTIONS = 32
THREADS = 2
ROUNDS = 8
SECONDS = 3
WARM_SECONDS = 2
TIMEOUT_SECONDS = 2
GOAL = 0.85
# What other programs may have to do: the processors are what is measured.
QUIET = 0.5

_COUNTED = re.compile(rf'^http_requests_total{{method="GET",route="{PATH}",status="200"}} (\S+)$', re.MULTILINE)


@dataclass(frozen=True)
class Sent:
    """What wrk has sent in one go: how many requests were answered, and how many of them a second."""

    requests: int
    rate: float


@dataclass
class Rates:
    """Requests a second of each round, one list for each way to ask."""

    direct: list[float] = field(default_factory=list)
    nginx: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """What nginx passes on of what the replicas alone would answer; two neighbours in time are compared."""
        return statistics.median(n / d for n, d in zip(self.nginx, self.direct, strict=True))


def main() -> None:
    """Boot the stack, measure, and keep the rates as a chart and the ratios beside it."""
    if (load := os.getloadavg()[0]) > QUIET:
        print(f"the machine is busy with something else (load {load:.1f}), so the numbers say little")
    image = images.built_upon(BASE, DOCKERFILE, "wrk")
    found: dict[int, Rates] = {}
    stack = ComposeStack(STACK, Catalog())
    with Boot(stack) as boot, Walkthrough(boot.folder / "walkthrough.sh", cwd=boot.folder, env=boot.env) as walk:
        walk.until("start-it")
        for replicas in sorted({1, len(boot.containers("service"))}, reverse=True):
            boot.compose("up", "--detach", "--wait", "--no-deps", "--scale", f"service={replicas}", "service")
            found[replicas] = measure(boot, image, replicas)
    keep(found)


def keep(found: Mapping[int, Rates]) -> None:
    """Print the rates and ratios by the number of replicas, and write them down."""
    bars = {}
    for replicas, rates in sorted(found.items()):
        name = f"{replicas} replica{'s' if replicas > 1 else ''}"
        bars[f"{name}, direct"] = round(statistics.median(rates.direct))
        bars[f"{name}, nginx"] = round(statistics.median(rates.nginx))
        verdict = "reached" if rates.ratio >= GOAL else "missed"
        print(f"{name}: {rates.ratio:.2f} of direct, the goal {GOAL} is {verdict}")
    title = f"Requests for {PATH} a second, over {CONNECTIONS} connections"
    measured.keep(STACK, "throughput", bars, date=now()[:10], title=title, unit="req/s")
    ratios = {"one": round(found[1].ratio, 2), "all": round(found[max(found)].ratio, 2), "rounds": ROUNDS}
    print(f"written to {measured.keep(STACK, 'throughput-ratio', ratios, date=now()[:10])}")


def measure(boot: Boot, image: str, replicas: int) -> Rates:
    """Ask both ways in turns, and make sure that each answer was a 200 of a replica."""
    (nginx,) = boot.containers("nginx")
    network = f"{boot.project}_app"
    address = nginx["NetworkSettings"]["Networks"][network]["IPAddress"]
    send = partial(wrk, image, network, f"--add-host={HOST}:{address}")
    ways: dict[str, Callable[[int], Sent]] = {
        "direct": partial(send, f"http://service:8000{PATH}", replicas),
        "nginx": partial(send, f"https://{HOST}:8443{PATH}", 1),
    }
    # Also until nginx knows which replicas there are.
    for way in ways.values():
        way(WARM_SECONDS)
    before, rates, requests = answered(boot), Rates(), 0
    for turn in range(ROUNDS):
        # Each is first in every other round: what drifts meets both.
        for name in sorted(ways, reverse=turn % 2 == 1):
            sent = ways[name](SECONDS)
            getattr(rates, name).append(sent.rate)
            requests += sent.requests
        print(f"{replicas} of service: direct {rates.direct[-1]:.0f}, nginx {rates.nginx[-1]:.0f} a second", flush=True)
    time.sleep(1)
    counted = answered(boot) - before
    # wrk hangs up at its end and never sees the last answer of a connection.
    if not 0 <= counted - requests <= 2 * ROUNDS * CONNECTIONS:
        raise HandbookError(f"wrk counts {requests} answers, the replicas {counted} with status 200")
    return rates


def wrk(image: str, network: str, host: str, url: str, addresses: int, seconds: int) -> Sent:
    """Send as many requests as get answered. Raises HandbookError unless all went well, over so many addresses."""
    said = counted(image, network, url, seconds, host)
    if said["bad"] or said["broken"] or not said["requests"]:
        raise HandbookError(f"{url}: not every request was answered well: {said}")
    if said["addresses"] != addresses:
        raise HandbookError(f"{url}: {said['addresses']} addresses were asked, not {addresses}")
    return Sent(said["requests"], said["requests"] / said["microseconds"] * 1_000_000)


def counted(
    image: str,
    network: str,
    url: str,
    seconds: int,
    *options: str,
    timeout: int = TIMEOUT_SECONDS,
    threads: int = THREADS,
) -> dict[str, int]:
    """Send requests with wrk, in a container with these options, and return what `spread.lua` has counted.

    What takes longer than `timeout` is broken. Its times are microseconds.
    Raises HandbookError when wrk ends otherwise than well, or its script has told nothing.
    """
    container = ["docker", "run", "--rm", f"--network={network}", *options, f"--volume={SCRIPT}:/spread.lua:ro", image]
    asked = [f"--threads={threads}", f"--connections={CONNECTIONS}", f"--duration={seconds}s", f"--timeout={timeout}s"]
    ran = tools.run([*container, *asked, "--script=/spread.lua", url], timeout=seconds + 30)
    if ran.returncode:
        raise HandbookError(f"wrk ended with {ran.returncode}: {ran.stdout}{ran.stderr}")
    try:
        said: dict[str, int] = json.loads(ran.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        # Without its script wrk ends with 0 all the same.
        raise HandbookError(f"{SCRIPT.name} has told nothing: {ran.stdout}{ran.stderr}") from None
    return said


def answered(boot: Boot) -> int:
    """How many requests for PATH the replicas have answered with 200."""
    texts = [inside.get(replica, "/metrics").text for replica in boot.containers("service")]
    return sum(int(float(number)) for text in texts for number in _COUNTED.findall(text))


if __name__ == "__main__":
    main()
