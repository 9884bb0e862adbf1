"""Releases, rollbacks and reloads of the Compose stack for production, one after the other, under load."""

import itertools
import time

from handbook import measured
from handbook.catalog import Catalog
from handbook.findings import HandbookError
from handbook.proof import now
from handbook.stacks import Boot, Stack
from handbook.walkthroughs import Walkthrough
from tests.boot.client import Client, client_of
from tests.boot.load import Load, add_clients, stored_texts
from tests.boot.releases import Ran, changed, release, run, version_file

STACK = "compose/production"
REQUESTS = 100_000
WARM_SECONDS = 10
LONGEST_SECONDS = 1800


def main() -> None:
    """Boot the stack, measure, and keep what was seen. Raises HandbookError when a command fails."""
    stack = Stack(STACK, Catalog())
    with Boot(stack) as boot, Walkthrough(boot.folder / "walkthrough.sh", cwd=boot.folder, env=boot.env) as walk:
        walk.until("prepare")
        keys = add_clients(boot, 4)
        walk.until("start-it")
        numbers = measure(boot, client_of(boot), keys)
    for name, value in numbers.items():
        print(f"{value:10}  {name}")
    print(f"written to {measured.keep(STACK, 'release', numbers, date=now()[:10])}")


def measure(boot: Boot, client: Client, keys: list[str]) -> dict[str, float]:
    """Release, roll back and reload until enough requests were sent; return what was seen, warming up left out."""
    done = 0
    with Load(client, keys, LONGEST_SECONDS) as load:
        time.sleep(WARM_SECONDS)
        began = time.monotonic()
        for minor in itertools.count(1):
            with changed(boot, version_file(f"1.{minor}.0")):
                well(release(boot, f"1.{minor}.0"))
            well(release(boot, "--rollback"))
            well(run(boot, "docker", "compose", "exec", "-T", "nginx", "nginx", "-s", "reload"))
            well(run(boot, "docker", "compose", "kill", "--signal=HUP", "service"))
            time.sleep(5)
            done += 4
            seen = load.result.between(began, time.monotonic())
            print(f"{done} done: {seen}", flush=True)
            if len(seen.seen) >= REQUESTS:
                break
            if time.monotonic() > began + LONGEST_SECONDS:
                raise HandbookError(f"{len(seen.seen)} of {REQUESTS} requests in {LONGEST_SECONDS} s")
    usual = load.result.between(began - WARM_SECONDS + 1, began)
    stored = stored_texts(boot, load)
    return {
        "requests": len(seen.seen),
        "streams": sum(one.kind == "stream" for one in seen.seen),
        "changes": done,
        "failed": len(seen.failed),
        "cut": len(seen.cut),
        "doubled": len(stored) - len(set(stored)),
        "seconds": round(max(0.0, seen.slowest - usual.slowest), 2),
    }


def well(ran: Ran) -> None:
    if ran.code:
        raise HandbookError(f"ended with {ran.code}:\n{ran.said}")


if __name__ == "__main__":
    main()
