"""Who decides how many pods there are: one, and by a number that says something."""

from __future__ import annotations

from collections.abc import Iterator

from handbook.contracts import Wrong, place
from handbook.contracts.kubernetes import rendered
from handbook.facts import quantities
from handbook.facts.deployment import Service
from handbook.facts.kubernetes import Object, Overlay, Pods, Value

LEAST = 2
REDIS = 6379


@rendered
def owned(overlay: Overlay, scalers: list[Object]) -> Iterator[Wrong]:
    """What a scaler scales has no `replicas`: each apply would set the number back.

    https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#migrating-deployments-and-statefulsets-to-horizontal-autoscaling
    """
    for pods in overlay.pods:
        replicas = pods.object["spec"]["replicas"]
        if pods.scalers and replicas:
            message = f"{pods.object} has replicas, and {pods.scalers[0]} ({place(pods.scalers[0].name)}) changes them"
            yield Wrong(replicas.at, message, "take replicas away")


@rendered
def one(overlay: Overlay, scalers: list[Object]) -> Iterator[Wrong]:
    """Only one scaler changes a workload: two would pull at the same number.

    https://keda.sh/docs/2.21/concepts/scaling-deployments/: KEDA makes an HPA of its own.
    """
    for pods in overlay.pods:
        for other in pods.scalers[1:]:
            first = pods.scalers[0]
            message = f"{other} scales {pods.object}, which {first} ({place(first.name)}) scales"
            yield Wrong(other.name, message, "take one of them away")


@rendered
def calm(overlay: Overlay, scalers: list[Object]) -> Iterator[Wrong]:
    """An HPA keeps two pods at least and says how fast it changes them; nothing is scaled by its memory.

    Python gives memory back late or never: what was scaled out by it stays so.

    https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#configurable-scaling-behavior
    """
    for scaler in scalers:
        spec = scaler["spec"]
        for metric in [*spec["metrics"].items(), *spec["triggers"].items()]:
            named = metric["resource"]["name"] or metric["containerResource"]["name"] or metric["type"]
            if named.text.lower() == "memory":
                yield Wrong(named.at, f"{scaler} scales by memory", "scale by work that waits, or by CPU")
        if scaler.kind != "HorizontalPodAutoscaler":
            continue
        fewest = spec["minReplicas"].number(1)
        if fewest.value < LEAST:
            message = f"{scaler} may leave {fewest.value} pod: while it is replaced, nobody answers"
            yield Wrong(fewest if spec["minReplicas"] else scaler.name, message, f"write minReplicas: {LEAST}")
        if not spec["behavior"]:
            yield Wrong(scaler.name, f"{scaler} does not say how fast it changes the number", "set behavior")


@rendered
def asked(overlay: Overlay, scalers: list[Object]) -> Iterator[Wrong]:
    """What is scaled by CPU asks for CPU: the target is a share of what is asked for, and without it nothing is scaled.

    https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#support-for-resource-metrics
    """
    for pods in overlay.pods:
        for scaler in pods.scalers:
            spec = scaler["spec"]
            named = [metric["resource"]["name"].text for metric in spec["metrics"].items()]
            named += [trigger["type"].text for trigger in spec["triggers"].items()]
            for container in pods.containers:
                if "cpu" in named and not container["resources"]["requests"]["cpu"]:
                    message = f"{scaler} scales by CPU, and {container.name.value} asks for none"
                    yield Wrong(container.name, message, "set requests.cpu")


@rendered
def queue(overlay: Overlay, lists: list[Value], own: list[tuple[Pods, Service]]) -> Iterator[Wrong]:
    """What is scaled by a list in Redis looks at the broker that the service uses: same address, same way.

    https://keda.sh/docs/2.21/scalers/redis-lists/
    """
    urls = (service.effective("broker_url") for _, service in own)
    url = next((found for found in urls if found and found.value), None)
    if url is None:
        yield Wrong(lists[0]["address"].at, "a queue is looked at, and the service has no broker", "set BROKER_URL")
        return
    for trigger in lists:
        parts = url.read(lambda text: quantities.url(str(text))).value
        address, tls = trigger["address"], trigger["enableTLS"].text == "true"
        if address.text != f"{parts.hostname}:{parts.port or REDIS}":
            message = f"the queue is looked for at {address.text}, and the broker is {url.value} ({place(url)})"
            yield Wrong(address.at, message, "write the address of the broker")
        if tls != (parts.scheme == "rediss"):
            message = f"the broker is asked {'with' if tls else 'without'} TLS here, and is {url.value} ({place(url)})"
            at = trigger["enableTLS"] or address
            yield Wrong(at.at, message, "ask it in the same way")
        index = trigger["databaseIndex"]
        if (index.text or "0") != (parts.path.strip("/") or "0"):
            message = f"the queue is looked for in the database {index.text or 0}, and the broker is {url.value}"
            yield Wrong((index or address).at, message, "write the database of the broker")


CONTRACTS = (owned, one, calm, asked, queue)
