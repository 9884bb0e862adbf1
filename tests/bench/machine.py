"""Releases and rollbacks on a machine with systemd, one after the other, under load."""

import itertools
from collections.abc import Iterator

from handbook import measured
from handbook.proof import now
from tests.boot import machine as machines
from tests.boot.load import Load
from tests.boot.machine import Machine
from tests.boot.releases import changed, version_file

from ._under_load import LONGEST_SECONDS, measure, well


def main() -> None:
    """Start a machine, measure, and keep what was seen. Raises HandbookError when a command fails."""
    with machines.installed() as machine:
        keys = machine.add_clients()
        machine.operate("restart-the-instances-one-after-another")
        numbers = measure(Load(machine.client, keys, LONGEST_SECONDS), rounds(machine), machine.sql)
    for name, value in numbers.items():
        print(f"{value:10}  {name}")
    print(f"written to {measured.keep(machines.STACK, 'release', numbers, date=now()[:10])}")


def rounds(machine: Machine) -> Iterator[int]:
    """Release and roll back, again and again; yield how many changes that were."""
    for minor in itertools.count(1):
        with changed(machine.service, version_file(f"1.{minor}.0")):
            well(machine.release(f"1.{minor}.0"))
        well(machine.release("--rollback"))
        yield 2


if __name__ == "__main__":
    main()
