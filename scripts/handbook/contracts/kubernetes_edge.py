"""The way in: through a gateway that ends TLS, by what is still maintained."""

from __future__ import annotations

from collections.abc import Iterator

from handbook.contracts import Wrong
from handbook.contracts.kubernetes import rendered
from handbook.facts.kubernetes import Object, Overlay

_RETIRED = "nginx.ingress.kubernetes.io/"
_CLASS = "kubernetes.io/ingress.class"


@rendered
def inside(overlay: Overlay, services: list[Object]) -> Iterator[Wrong]:
    """No Service of the set is a LoadBalancer: it would be plain HTTP for everybody, past TLS and limits.

    https://kubernetes.io/docs/concepts/services-networking/service/#loadbalancer
    """
    for service in services:
        kind = service["spec"]["type"]
        if kind.text == "LoadBalancer":
            yield Wrong(kind.at, f"{service} is open to the outside, past the gateway", "write ClusterIP")


@rendered
def maintained(overlay: Overlay, objects: list[Object]) -> Iterator[Wrong]:
    """Nothing is meant for ingress-nginx, which is retired and gets no more fixes.

    https://kubernetes.io/blog/2025/11/11/ingress-nginx-retirement/
    """
    for each in objects:
        for name, annotation in each["metadata"]["annotations"].pairs().items():
            if name.startswith(_RETIRED) or name == _CLASS:
                yield Wrong(annotation.at, f"{name} is read by ingress-nginx, which is retired", "use an HTTPRoute")
        named = each["spec"]["ingressClassName"]
        controller = each["spec"]["controller"] if each.kind == "IngressClass" else None
        if each.kind == "Ingress" and named.text == "nginx":
            yield Wrong(named.at, f"{each} is for ingress-nginx, which is retired", "name a class that is maintained")
        if controller and controller.text == "k8s.io/ingress-nginx":
            yield Wrong(controller.at, f"{each} is ingress-nginx, which is retired", "use one that is maintained")


CONTRACTS = (inside, maintained)
