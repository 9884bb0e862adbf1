"""Probes: what a restart can heal restarts a pod, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from handbook.contracts import Wrong, place
from handbook.contracts.kubernetes import rendered
from handbook.facts.deployment import Service
from handbook.facts.kubernetes import Overlay, Pods

PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
LIVE, READY = "/health/live", "/health/ready"
# Imports, and the first connection of a process on a busy node.
START_SECONDS = 30
TIMEOUT_SECONDS = 3


@rendered
def present(overlay: Overlay, lasting: list[Pods]) -> Iterator[Wrong]:
    """What listens on a port says when it is ready; what answers requests is restarted when it hangs.

    https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
    """
    answers = [pods.name for pods, _ in overlay.api]
    for pods in lasting:
        for container in pods.containers:
            needed = ["readinessProbe"] if container.ports else []
            needed += ["livenessProbe"] if pods.name in answers and container.value == pods.main.value else []
            for probe in needed:
                if not container[probe]:
                    yield Wrong(container.name, f"{container.name.value} of {pods.object} has no {probe}", "add one")


@rendered
def apart(overlay: Overlay, api: list[tuple[Pods, Service]]) -> Iterator[Wrong]:
    """Liveness asks what does no I/O, and readiness asks something else, which does not follow the database.

    When the database is away, a restart heals nothing, and pods that all are not ready answer nobody:
    https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/#liveness-probe
    """
    for pods, _ in api:
        live, ready = (pods.main[probe] for probe in PROBES[:2])
        for probe, value, expected in (("liveness", live, LIVE), ("readiness", ready, READY)):
            path = value["httpGet"]["path"]
            if value and path.text != expected:
                asks = path.text or "no path"
                message = f"the {probe} of {pods.object} asks {asks}"
                yield Wrong(path.at, message, f"ask {expected}")


@rendered
def paths(overlay: Overlay, own: list[tuple[Pods, Service]]) -> Iterator[Wrong]:
    """Each probe asks a route that the service has, on a port that the container has.

    https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#define-a-liveness-http-request
    """
    for pods, service in own:
        routes = {route.value for route in service.code.routes}
        for probe in PROBES:
            asked = pods.main[probe]["httpGet"]
            if asked and asked["path"].text not in routes:
                yield Wrong(asked["path"].at, f"the service has no route {asked['path'].text}", "name one that it has")
            if asked and pods.main.port(asked["port"].text) is None:
                message = f"{pods.main.name.value} has no port {asked['port'].text}"
                yield Wrong(asked["port"].at, message, "write the name of a containerPort")


@rendered
def start(overlay: Overlay, lasting: list[Pods]) -> Iterator[Wrong]:
    """What liveness may restart gets the time to start: a startup probe, which may fail for 30 seconds at least.

    https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/#startup-probe
    """
    for container in (container for pods in lasting for container in pods.containers):
        live, starting = container["livenessProbe"], container["startupProbe"]
        if live and not starting:
            yield Wrong(live.at, f"{container.name.value} is restarted while it still starts", "add a startupProbe")
        if not starting:
            continue
        failures, period = starting["failureThreshold"].number(3), starting["periodSeconds"].number(10)
        if failures.value * period.value < START_SECONDS:
            message = f"{container.name.value} gets {failures.value} x {period.value} s to start"
            yield Wrong(failures, message, f"give it {START_SECONDS} s")


@rendered
def patient(overlay: Overlay, own: list[tuple[Pods, Service]]) -> Iterator[Wrong]:
    """Liveness waits 3 seconds at least: the default of 1 s restarts what is only busy.

    https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#configure-probes
    """
    alive = [(pods, pods.main, pods.main["livenessProbe"]) for pods, _ in own]
    for pods, container, probe in alive:
        if not probe:
            continue
        timeout, period = probe["timeoutSeconds"].number(1), probe["periodSeconds"].number(10)
        if timeout.value < TIMEOUT_SECONDS:
            message = f"the liveness of {pods.object} waits {timeout.value} s"
            yield Wrong(timeout, message, f"write timeoutSeconds: {TIMEOUT_SECONDS}")
        if timeout.value > period.value:
            message = f"{container.name.value} is asked each {period.value} s ({place(period)}) and may take longer"
            yield Wrong(timeout, message, "keep timeoutSeconds below periodSeconds")


CONTRACTS = (present, apart, paths, start, patient)
