"""What was measured and is committed can be read, and belongs to a stack or to a benchmark of its own name."""

from __future__ import annotations

from handbook import measured
from handbook.catalog import Catalog
from handbook.stacks import names
from tests.bench import pods, servers


def test_committed_measurements_can_be_read() -> None:
    catalog = Catalog()
    files = [file for file in catalog.snippets if file.startswith(f"{measured.FOLDER}/")]
    assert set(files) <= {measured.path(name) for name in (*names(catalog), pods.NAME, servers.NAME)}
    for file in files:
        assert measured.read(catalog.root, file)
