"""The rules of scripts that pages show by paragraphs: each one is shown, and each one of an `operate.sh` is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from handbook.catalog import Catalog
from handbook.proof import BOOTS
from handbook.walkthroughs import Step, steps


def not_shown(catalog: Catalog) -> list[str]:
    """Say which paragraphs of a `walkthrough.sh` or an `operate.sh` no page shows, alone or with the whole file."""
    shown = {(path, reference.region) for path, found in catalog.shown().items() for reference in found}
    return [
        f"{path}:{step.line}: no page shows {step.name}; show it, or take it out"
        for path, step in _paragraphs(catalog, "walkthrough.sh", "operate.sh")
        if not {(path, step.name), (path, None)} & shown
    ]


def not_run(catalog: Catalog) -> list[str]:
    """Say which paragraphs of an `operate.sh` no module of tests that boots something has the name of, as a string.

    A module that names folders with such scripts counts for these alone: others have paragraphs of the same name.
    """
    found = list(_paragraphs(catalog, "operate.sh"))
    folders = {path.rpartition("/")[0] for path, _ in found}
    named: dict[str, set[object]] = {folder: set() for folder in folders}
    for file in catalog.files:
        if file.startswith(tuple(f"{folder}/" for folder in BOOTS)) and file.endswith(".py"):
            tree = ast.parse((catalog.root / file).read_text(encoding="utf-8"))
            texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
            own = {folder for folder in folders if {folder, folder.removeprefix("snippets/")} & texts}
            for folder in own or folders:
                named[folder] |= texts
    return [
        f"{path}:{step.line}: no test runs {step.name}; run it in {' or '.join(BOOTS)}, or take it out"
        for path, step in found
        if step.name not in named[path.rpartition("/")[0]]
    ]


def _paragraphs(catalog: Catalog, *names: str) -> Iterator[tuple[str, Step]]:
    for path in catalog.snippets:
        if path.rpartition("/")[2] in names:
            for step in steps(catalog.root / path):
                yield path, step
