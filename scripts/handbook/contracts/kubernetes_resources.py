"""What a container asks for and what it may have, and that both are enough for one process."""

from __future__ import annotations

from collections.abc import Iterator

from handbook.contracts import Wrong, place
from handbook.contracts.kubernetes import rendered
from handbook.contracts.memory import ROOM
from handbook.facts import Fact, celery
from handbook.facts.deployment import Service
from handbook.facts.kubernetes import Overlay, Pods, image_name


@rendered
def asked(overlay: Overlay, pods: list[Pods]) -> Iterator[Wrong]:
    """Each container asks for CPU and memory and has a limit of memory; it asks for no more than it may have.

    https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/
    """
    for each in pods:
        for container in each.all:
            resources, name = container["resources"], container.name
            for kind, what in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
                if not resources[kind][what]:
                    yield Wrong(name, f"{name.value} of {each.object} has no {kind}.{what}", "set it")
            limit, request = container.memory(), container.memory("requests")
            if limit and request and request.value > limit.value:
                yield Wrong(request, f"{name.value} asks for more memory than it may have", "raise the limit")


@rendered
def enough(overlay: Overlay, pods: list[Pods], peaks: dict[str, Fact[int]]) -> Iterator[Wrong]:
    """The limit of memory is at least 1.25 times what the same thing was seen to need on another target.

    https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#how-pods-with-resource-limits-are-run:
    beyond the limit the kernel kills.
    """
    compared = False
    for each in pods:
        peak, limit = _peak(each, overlay), each.main.memory()
        compared = compared or peak is not None
        if peak and limit and limit.value < ROOM * peak.value:
            message = f"{each.object} may have {limit.value >> 20} MB and needed {peak.value >> 20} MB ({place(peak)})"
            yield Wrong(limit, message, f"give it {ROOM} times as much")
    if not compared:
        yield Wrong(overlay.at, "nothing here was measured elsewhere, so nothing is judged", "run `make bench`")


@rendered
def processes(overlay: Overlay, api: list[tuple[Pods, Service]]) -> Iterator[Wrong]:
    """A pod runs one process that answers: more of them share one limit, and the scaler counts pods.

    https://fastapi.tiangolo.com/deployment/docker/#one-load-balancer-multiple-worker-containers
    """
    for _, service in api:
        number = service.server_number("workers")
        if number.value != 1:
            yield Wrong(number, f"each pod runs {number.value:g} processes", "write WEB_CONCURRENCY=1; add pods")


def _peak(pods: Pods, overlay: Overlay) -> Fact[int] | None:
    """What was measured of the same image, doing the same."""
    container = pods.main
    name = image_name(container.image.value)
    same = [other for other in overlay.others if other.image and image_name(other.image.value) == name]
    if len(same) > 1:
        doing = _doing(container.command)
        same = [other for other in same if other.name.value == pods.name.value or _doing(other.command) == doing]
    return next((overlay.peaks[other.name.value] for other in same if other.name.value in overlay.peaks), None)


def _doing(command: list[Fact[str]]) -> str:
    """What a command is for: Celery's role, the last part of what a server reads, or else the program."""
    words = [word.value for word in command]
    files = [word for word in words if word.endswith(".conf")]
    return celery.role(command) or next((file.rpartition("/")[2] for file in files), "") or next(iter(words), "")


CONTRACTS = (asked, enough, processes)
