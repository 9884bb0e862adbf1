"""Every workload may have more memory than it was seen to need."""

from __future__ import annotations

from collections.abc import Iterator

from handbook.contracts import Wrong, contract, place
from handbook.facts import Fact
from handbook.facts.deployment import Deployment

ROOM = 1.25


@contract
def measured(deployment: Deployment, measured: dict[str, Fact[int]]) -> Iterator[Wrong]:
    """Each limit is at least 1.25 times what was measured, and whatever runs has been measured.

    https://docs.docker.com/engine/containers/resource_constraints/: at the limit the kernel kills.
    """
    judged = [deployment.database.workload] if deployment.database else []
    judged += [server.workload for server in deployment.redis or ()]
    for workload in deployment.workloads:
        name, limit, peak = workload.name, workload.memory_bytes, measured.get(workload.name.value)
        # Of these, `connections.memory` and `redis.memory` say so.
        if limit is None and workload not in judged:
            yield Wrong(name, f"nothing limits the memory of {name.value}", "set a limit")
        if peak is None:
            yield Wrong(name, f"the memory of {name.value} was not measured", "run `make bench`")
        if limit and peak and limit.value < ROOM * peak.value:
            message = f"{name.value} may have {limit.value >> 20} MB and needed {peak.value >> 20} MB ({place(peak)})"
            yield Wrong(limit, message, f"give it {ROOM} times as much")
    there = {workload.name.value for workload in deployment.workloads}
    for name, peak in measured.items():
        if name not in there:
            yield Wrong(peak, f"{name} was measured and is no part of the stack", "run `make bench`")


CONTRACTS = (measured,)
