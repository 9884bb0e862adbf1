"""What ends by itself ends for good, and what shall run is started again by somebody."""

from __future__ import annotations

from collections.abc import Iterator

from handbook.contracts import Wrong
from handbook.contracts.kubernetes import rendered
from handbook.facts.kubernetes import Overlay, Pods


@rendered
def ends(overlay: Overlay, once: list[Pods]) -> Iterator[Wrong]:
    """A Job says how often it is tried again, and its pod is not restarted for ever.

    https://kubernetes.io/docs/concepts/workloads/controllers/job/#handling-pod-and-container-failures
    """
    for pods in once:
        policy = pods.spec["restartPolicy"]
        if policy.text not in ("Never", "OnFailure"):
            yield Wrong(policy.at if policy else pods.name, f"{pods.object} is restarted for ever", "write Never")
        spec = pods.object["spec"]
        job = spec["jobTemplate"]["spec"] if pods.object.kind == "CronJob" else spec
        if not job["backoffLimit"]:
            message = f"{pods.object} does not say how often it is tried again"
            yield Wrong(pods.name, message, "set backoffLimit")


@rendered
def bare(overlay: Overlay, pods: list[Pods]) -> Iterator[Wrong]:
    """No pod stands alone: with its node it is gone, and nobody makes another.

    https://kubernetes.io/docs/concepts/configuration/overview/#naked-pods-vs-replicasets-deployments-and-jobs
    """
    for each in pods:
        if each.object.kind in ("Pod", "ReplicaSet"):
            yield Wrong(each.name, f"{each.object} is made by nothing that replaces it", "write a Deployment or a Job")


CONTRACTS = (ends, bare)
