"""The tests of the overlays of Kubernetes know each of them."""

from __future__ import annotations

import posixpath

import pytest

from handbook.catalog import ROOT, Catalog
from handbook.facts import kubernetes
from tests.cluster import test_kubernetes_production as cluster
from tests.engine import test_contracts_kubernetes as engine


@pytest.mark.parametrize(
    ("module", "listed"),
    [
        ("tests/cluster/test_kubernetes_production.py", cluster.OVERLAYS),
        ("tests/engine/test_contracts_kubernetes.py", engine.OVERLAYS),
    ],
)
def test_every_overlay_is_tested(module: str, listed: tuple[str, ...]) -> None:
    found = {posixpath.basename(folder) for folder in kubernetes.overlays(ROOT, Catalog().files)}
    # It is applied to a cluster beside every overlay, and no overlay itself.
    there = found - {"policy"}
    assert {*listed} == there, f"{module}: OVERLAYS has to name {', '.join(sorted(there))}"
