"""Labels, names and ports lead to what is there: from the outside to a Service, and from it to pods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from handbook.contracts import Wrong, place
from handbook.contracts.kubernetes import rendered
from handbook.facts.deployment import Service
from handbook.facts.kubernetes import Object, Overlay, Pods, Value, matches

# The pods that cert-manager starts to prove a name: https://cert-manager.io/docs/configuration/acme/http01/
_SOLVER = "acme.cert-manager.io/http01-solver"
_OWNERS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")


@rendered
def own(overlay: Overlay, pods: list[Pods]) -> Iterator[Wrong]:
    """What makes pods selects them by labels that its template gives them: the API server refuses anything else.

    https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#selector
    """
    for each in pods:
        if each.object.kind not in _OWNERS:
            continue
        selector = each.object["spec"]["selector"]
        if not selector["matchLabels"] and not selector["matchExpressions"]:
            yield Wrong(each.name, f"{each.object} has no selector", "select the labels of its template")
        elif not matches(selector, each.labels):
            yield Wrong(
                selector.at, f"{each.object} selects labels that its pods lack", "write the same labels in both"
            )


@rendered
def selected(overlay: Overlay, pods: list[Pods]) -> Iterator[Wrong]:
    """Each selector means at least one pod of the set, and each scaler something that is there.

    https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
    """
    for each in overlay.of("Service", "PodDisruptionBudget", "NetworkPolicy"):
        selector = each["spec"]["podSelector" if each.kind == "NetworkPolicy" else "selector"]
        if _SOLVER in selector["matchLabels"].pairs():
            continue
        if selector and not overlay.selected(selector, each.namespace):
            yield Wrong(selector.at, f"{each} selects no pod", "write the labels of a pod")
    for monitor in overlay.of("ServiceMonitor"):
        selector = monitor["spec"]["selector"]
        meant = [service for service in overlay.services if matches(selector, service.labels)]
        if not meant:
            yield Wrong(selector.at, f"{monitor} selects no Service", "write the labels of a Service")
        names = {port["name"].text for service in meant for port in service["spec"]["ports"].items()}
        for port in (endpoint["port"] for endpoint in monitor["spec"]["endpoints"].items()):
            if meant and port.text not in names:
                yield Wrong(port.at, f"no Service that {monitor} selects has a port {port.text}", "write its name")
    for scaler in overlay.scalers:
        target = scaler["spec"]["scaleTargetRef"]
        if not any(scaler in each.scalers for each in pods):
            name = target["name"]
            yield Wrong(name.at, f"{scaler} scales {name.text}, which is not there", "name a workload")
    for each in pods:
        for constraint in each.spec["topologySpreadConstraints"].items():
            selector = constraint["labelSelector"]
            if not selector or not matches(selector, each.labels):
                yield Wrong(selector.at, f"{each.object} is spread by labels that its pods lack", "write its labels")


@rendered
def reached(overlay: Overlay, lasting: list[Pods]) -> Iterator[Wrong]:
    """What listens on a port has a Service: the addresses of pods change.

    A port that is named `metrics` may be asked pod by pod.

    https://kubernetes.io/docs/concepts/services-networking/service/
    """
    for each in lasting:
        ports = [port for container in each.containers for port in container.ports if port["name"].text != "metrics"]
        if ports and not any(each in overlay.behind(service) for service in overlay.services):
            yield Wrong(ports[0]["containerPort"].at, f"no Service leads to {each.object}", "add one")


@rendered
def outside(overlay: Overlay, api: list[tuple[Pods, Service]]) -> Iterator[Wrong]:
    """An HTTPRoute, an Ingress or a NodePort leads to what answers requests.

    https://kubernetes.io/docs/concepts/services-networking/gateway/
    """
    for pods, _ in api:
        services = [service for service in overlay.services if pods in overlay.behind(service)]
        names = {service.name.value for service in services}
        routed = any(backend.name.text in names for route in overlay.routes for backend in _backends(route))
        if not routed and not any(service["spec"]["type"].text == "NodePort" for service in services):
            yield Wrong(pods.name, f"nothing leads from the outside to {pods.object}", "add an HTTPRoute")


@rendered
def ports(overlay: Overlay, services: list[Object]) -> Iterator[Wrong]:
    """The targetPort of a Service is a port of every pod that it selects.

    https://kubernetes.io/docs/concepts/services-networking/service/#field-spec-ports
    """
    for service in services:
        for port in service["spec"]["ports"].items():
            target = port["targetPort"] or port["port"]
            for pods in overlay.behind(service):
                if not any(container.port(target.text) for container in pods.containers):
                    message = f"{service} leads to the port {target.text}, which {pods.object} has not"
                    yield Wrong(target.at, message, "write the name of a containerPort")


@rendered
def backends(overlay: Overlay, routes: list[Object]) -> Iterator[Wrong]:
    """What a route leads to is a port of a Service of the set.

    https://gateway-api.sigs.k8s.io/guides/http-routing/,
    https://kubernetes.io/docs/concepts/services-networking/ingress/#the-ingress-resource
    """
    for route in routes:
        for name, port in _backends(route):
            service = overlay.named(name.text, route.namespace)
            if service is None:
                yield Wrong(name.at, f"{route} leads to the Service {name.text}, which is not there", "name one")
                continue
            known = service["spec"]["ports"].items()
            if port.text not in {p[key].text for p in known for key in _told(route)}:
                there = ", ".join(p["port"].text for p in known)
                message = f"{route} leads to the port {port.text} of {name.text} ({place(service.name)})"
                yield Wrong(port.at if port else name.at, message, f"write a port that it has: {there}")


class _Backend(NamedTuple):
    name: Value
    port: Value


def _told(route: Object) -> tuple[str, ...]:
    """How a route may name a port: an HTTPRoute by its number only."""
    return ("port", "name") if route.kind == "Ingress" else ("port",)


def _backends(route: Object) -> Iterator[_Backend]:
    spec = route["spec"]
    if route.kind == "HTTPRoute":
        for rule in spec["rules"].items():
            for reference in rule["backendRefs"].items():
                if reference["kind"].text in ("", "Service"):
                    yield _Backend(reference["name"], reference["port"])
        return
    paths = [path["backend"] for rule in spec["rules"].items() for path in rule["http"]["paths"].items()]
    for backend in [*paths, *([spec["defaultBackend"]] if spec["defaultBackend"] else [])]:
        service = backend["service"]
        yield _Backend(service["name"], service["port"]["name"] or service["port"]["number"])


def leads_to(overlay: Overlay) -> Iterator[tuple[Pods, int]]:
    """Yield the pods that routes lead to, and the number of the port there."""
    for route in overlay.routes:
        for name, port in _backends(route):
            service = overlay.named(name.text, route.namespace)
            for entry in service["spec"]["ports"].items() if service else []:
                target = entry["targetPort"] or entry["port"]
                for pods in overlay.behind(service) if service else []:
                    number = next((n for c in pods.containers if (n := c.port(target.text))), None)
                    if number and port.text in (entry["port"].text, entry["name"].text):
                        yield pods, number


CONTRACTS = (own, selected, reached, outside, ports, backends)
