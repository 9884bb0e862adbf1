"""The drawings show the names and numbers of the files, and every service of their stacks."""

from __future__ import annotations

from handbook.catalog import Catalog
from handbook.site import drawings
from handbook.site.shown import Snippets


def test_the_drawings_show_what_the_files_say() -> None:
    catalog = Catalog()
    assert any(file.startswith(drawings.FOLDER) for file in catalog.files)
    assert drawings.findings(catalog, Snippets(catalog)) == []
