"""What was measured and is committed can be read, and belongs to a stack."""

from __future__ import annotations

from handbook import measured
from handbook.catalog import Catalog
from handbook.stacks import names


def test_committed_measurements_can_be_read() -> None:
    catalog = Catalog()
    files = [file for file in catalog.snippets if file.startswith(f"{measured.FOLDER}/")]
    assert set(files) <= {measured.path(stack) for stack in names(catalog)}
    for file in files:
        assert measured.read(catalog.root, file)
