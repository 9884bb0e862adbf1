"""Releases, rollbacks and reloads of the Compose stack for production, one after the other, under load."""

import itertools
import time
from collections.abc import Iterator
from functools import partial

from handbook import measured
from handbook.catalog import Catalog
from handbook.proof import now
from handbook.stacks import Boot, ComposeStack
from handbook.walkthroughs import Walkthrough
from tests.boot.client import client_of
from tests.boot.database import sql
from tests.boot.load import Load, add_clients
from tests.boot.releases import changed, release, run, source, version_file

from ._under_load import LONGEST_SECONDS, measure, well

STACK = "compose/production"


def main() -> None:
    """Boot the stack, measure, and keep what was seen. Raises HandbookError when a command fails."""
    stack = ComposeStack(STACK, Catalog())
    with Boot(stack) as boot, Walkthrough(boot.folder / "walkthrough.sh", cwd=boot.folder, env=boot.env) as walk:
        walk.until("prepare")
        keys = add_clients(boot, 4)
        walk.until("start-it")
        load = Load(client_of(boot), keys, LONGEST_SECONDS)
        numbers = measure(load, rounds(boot), partial(sql, boot))
    for name, value in numbers.items():
        print(f"{value:10}  {name}")
    print(f"written to {measured.keep(STACK, 'release', numbers, date=now()[:10])}")


def rounds(boot: Boot) -> Iterator[int]:
    """Release, roll back and reload, again and again; yield how many changes that were."""
    for minor in itertools.count(1):
        with changed(source(boot), version_file(f"1.{minor}.0")):
            well(release(boot, f"1.{minor}.0"))
        well(release(boot, "--rollback"))
        well(run(boot, "docker", "compose", "exec", "-T", "nginx", "nginx", "-s", "reload"))
        well(run(boot, "docker", "compose", "kill", "--signal=HUP", "service"))
        time.sleep(5)
        yield 4


if __name__ == "__main__":
    main()
