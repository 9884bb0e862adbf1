"""A node may be emptied: some pods stay, and they are not all on one node."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from handbook.contracts import Wrong
from handbook.contracts.kubernetes import rendered
from handbook.facts import Fact
from handbook.facts.kubernetes import Object, Overlay, Pods, Value


@rendered
def budget(overlay: Overlay, several: list[Pods]) -> Iterator[Wrong]:
    """What has several pods has a PodDisruptionBudget, and each budget lets one pod go: else no node can be emptied.

    https://kubernetes.io/docs/tasks/run-application/configure-pdb/
    """
    budgets = overlay.of("PodDisruptionBudget")
    for pods in several:
        if not any(pods in _meant(budget, overlay) for budget in budgets):
            yield Wrong(pods.name, f"{pods.object} has no PodDisruptionBudget: all its pods may go at once", "add one")
    for budget in budgets:
        spec = budget["spec"]
        for pods in _meant(budget, overlay):
            least, away = spec["minAvailable"], spec["maxUnavailable"]
            number = pods.fewest.value
            goes = number - _count(least, number) if least else _count(away, number)
            if goes < 1:
                at: Fact[str] = (least or away).at if least or away else budget.name
                message = f"of {number} pods of {pods.object} none may go: no node can be emptied"
                yield Wrong(at, message, "write maxUnavailable: 1")


@rendered
def spread(overlay: Overlay, several: list[Pods]) -> Iterator[Wrong]:
    """What has several pods is spread over nodes or zones.

    https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
    """
    for pods in several:
        if not pods.spec["topologySpreadConstraints"] and not pods.spec["affinity"]["podAntiAffinity"]:
            message = f"all pods of {pods.object} may be on one node"
            yield Wrong(pods.name, message, "add topologySpreadConstraints")


def _meant(budget: Object, overlay: Overlay) -> list[Pods]:
    return overlay.selected(budget["spec"]["selector"], budget.namespace)


def _count(value: Value, of: int) -> int:
    """A number of pods, or a share of them, which is rounded up."""
    text = value.text or "0"
    return ceil(of * int(text[:-1]) / 100) if text.endswith("%") else int(text)


CONTRACTS = (budget, spread)
