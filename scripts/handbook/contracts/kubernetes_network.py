"""Who may speak with whom: nobody, but for what the settings name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from handbook.contracts import Wrong, place
from handbook.contracts.kubernetes import rendered
from handbook.contracts.kubernetes_selectors import leads_to
from handbook.facts import Fact, quantities
from handbook.facts.deployment import Service
from handbook.facts.kubernetes import Object, Overlay, Pods, Value, matches

_URLS = ("cache_url", "broker_url", "provider_url")
_PORTS = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379}
_DNS = 53
_SIDES = {"Ingress": ("ingress", "from"), "Egress": ("egress", "to")}


@rendered
def denied(overlay: Overlay, pods: list[Pods]) -> Iterator[Wrong]:
    """In each namespace one policy forbids everything to all pods, in and out; others allow what is needed.

    https://kubernetes.io/docs/concepts/services-networking/network-policies/#default-deny-all-ingress-and-all-egress-traffic
    """
    for namespace in dict.fromkeys(each.object.namespace for each in pods):
        forbidden = {
            kind.text
            for policy in overlay.policies
            if policy.namespace == namespace and not policy["spec"]["podSelector"].value
            for kind in policy["spec"]["policyTypes"].items()
            if not policy["spec"][kind.text.lower()].value
        }
        # The one that is meant to: it is about all pods and has no rules.
        general = [
            policy.name
            for policy in overlay.policies
            if policy.namespace == namespace
            and not any(policy["spec"][key].value for key in ("podSelector", "ingress", "egress"))
        ]
        for kind in sorted({*_SIDES} - forbidden):
            message = f"no NetworkPolicy forbids {kind.lower()} to all pods of the namespace {namespace or 'default'}"
            yield Wrong(next(iter(general), overlay.at), message, "add one that selects all and allows nothing")


class _Asks(NamedTuple):
    """A pod asks another one: where that is said, and the port of the pod that is asked."""

    client: Pods
    server: Pods
    port: Value
    number: int
    said: Fact[str]


@rendered
def allowed(overlay: Overlay, own: list[tuple[Pods, Service]], policies: list[Object]) -> Iterator[Wrong]:
    """What the settings name may be asked: out of the one who asks, into the one who answers, on its port.

    https://kubernetes.io/docs/concepts/services-networking/network-policies/#the-two-sorts-of-pod-isolation
    """
    for asks in _asked(overlay, own):
        for kind, judged, other in (("Egress", asks.client, asks.server), ("Ingress", asks.server, asks.client)):
            if not _passes(overlay, kind, judged, other, asks):
                way = "out of" if kind == "Egress" else "into"
                message = f"{asks.client.object} asks {asks.server.object} ({place(asks.said)})"
                hint = f"add a rule with the port {asks.number}"
                yield Wrong(judged.name, f"{message}, and no policy lets that {way} {judged.object}", hint)
    for client, service in own:
        rules = _rules(overlay, "Egress", client)
        for host, port, said in _targets(service):
            inside = overlay.named(host, client.object.namespace)
            if inside is None and rules is not None and not any(_leads_out(rule, port) for rule in rules):
                message = f"{client.object} asks {host} ({place(said)}), and no policy lets that out of it"
                yield Wrong(client.name, message, f"add a rule with its addresses and the port {port}")


def _leads_out(rule: Value, port: int) -> bool:
    """Whether a rule is about addresses outside of the cluster, and a port there."""
    peers, numbers = rule["to"].items(), [each["port"].text for each in rule["ports"].items()]
    return (not peers or any(peer["ipBlock"] for peer in peers)) and (not numbers or str(port) in numbers)


@rendered
def entered(overlay: Overlay, routes: list[Object], policies: list[Object]) -> Iterator[Wrong]:
    """What a route leads to may be asked from another namespace, where the gateway is.

    https://kubernetes.io/docs/concepts/services-networking/network-policies/#targeting-a-namespace-by-its-name
    """
    for pods, port in leads_to(overlay):
        rules = _rules(overlay, "Ingress", pods)
        open_to = [
            rule
            for rule in rules or []
            if _has_port(rule, pods, port)
            and (not rule["from"].items() or any(p["namespaceSelector"] or p["ipBlock"] for p in rule["from"].items()))
        ]
        if rules is not None and not open_to:
            message = f"a route leads to {pods.object}, and no policy lets a gateway into it"
            yield Wrong(pods.name, message, f"add a rule with the port {port}")


@rendered
def names(overlay: Overlay, own: list[tuple[Pods, Service]], policies: list[Object]) -> Iterator[Wrong]:
    """Who asks others by their names may ask for the names: port 53, over UDP and TCP.

    https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
    """
    for pods, _ in own:
        rules = _rules(overlay, "Egress", pods)
        for protocol in ("UDP", "TCP"):
            if rules is not None and not any(_is_dns(rule, protocol) for rule in rules):
                message = f"{pods.object} may not ask for names over {protocol}"
                yield Wrong(pods.name, message, "allow port 53 to the cluster's DNS")


def _is_dns(rule: Value, protocol: str) -> bool:
    ports = rule["ports"].items()
    return not ports or any(
        port["port"].text in ("", str(_DNS)) and (port["protocol"].text or "TCP") == protocol for port in ports
    )


def _asked(overlay: Overlay, own: list[tuple[Pods, Service]]) -> Iterator[_Asks]:
    for client, service in own:
        for host, port, said in _targets(service):
            found = overlay.named(host, client.object.namespace)
            for server in overlay.behind(found) if found else []:
                for entry in found["spec"]["ports"].items() if found else []:
                    target = entry["targetPort"] or entry["port"]
                    number = next((n for c in server.containers if (n := c.port(target.text))), None)
                    if entry["port"].text == str(port) and number:
                        yield _Asks(client, server, target, number, said)


def _targets(service: Service) -> Iterator[tuple[str, int, Fact[str]]]:
    """Yield the host and the port of everything that the settings of a service name."""
    fields = {setting.field for setting in service.settings}
    if service.celery_role == "beat":
        # It loads what the worker loads, and only puts jobs aside.
        fields &= {"broker_url"}
    host, port = service.effective("database_host"), service.number("database_port")
    if "database_host" in fields and host and port:
        yield str(host.value), int(port.value), host
    for field in _URLS:
        url = service.effective(field)
        if field in fields and url and url.value:
            parts = url.read(lambda text: quantities.url(str(text))).value
            yield parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0), url


def _rules(overlay: Overlay, kind: str, pods: Pods) -> list[Value] | None:
    """What is allowed to pods by all policies that select them; None: nothing is forbidden to them."""
    found: list[Value] | None = None
    for policy in overlay.policies:
        spec = policy["spec"]
        types = [each.text for each in spec["policyTypes"].items()] or [
            "Ingress",
            *(["Egress"] if spec["egress"] else []),
        ]
        selects = policy.namespace == pods.object.namespace and matches(spec["podSelector"], pods.labels)
        if selects and kind in types:
            found = [*(found or []), *spec[_SIDES[kind][0]].items()]
    return found


def _passes(overlay: Overlay, kind: str, judged: Pods, other: Pods, asks: _Asks) -> bool:
    rules = _rules(overlay, kind, judged)
    if rules is None:
        return True
    side = _SIDES[kind][1]
    for rule in rules:
        peers = rule[side].items()
        if _has_port(rule, asks.server, asks.number) and (
            not peers or any(_is_peer(overlay, peer, other, judged) for peer in peers)
        ):
            return True
    return False


def _has_port(rule: Value, server: Pods, number: int) -> bool:
    """Whether a rule is about a port of a pod: without ports it is about all."""
    ports = rule["ports"].items()
    return not ports or any(
        port["port"].text in ("", str(number)) or any(c.port(port["port"].text) == number for c in server.containers)
        for port in ports
        if (port["protocol"].text or "TCP") == "TCP"
    )


def _is_peer(overlay: Overlay, peer: Value, pods: Pods, judged: Pods) -> bool:
    """Whether a peer of a rule means pods: without a namespaceSelector only those of the policy's own namespace."""
    if peer["ipBlock"]:
        return False
    spaces, selector = peer["namespaceSelector"], peer["podSelector"]
    if not spaces:
        near = pods.object.namespace == judged.object.namespace
    else:
        name = pods.object.namespace or "default"
        known = next((each.labels for each in overlay.of("Namespace") if each.name.value == name), {})
        near = matches(spaces, {**known, "kubernetes.io/metadata.name": name})
    return near and (not selector or matches(selector, pods.labels))


CONTRACTS = (denied, allowed, entered, names)
