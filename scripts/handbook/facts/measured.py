"""Reads what was measured of a stack and committed, with the lines it stands in."""

from __future__ import annotations

from pathlib import Path

from handbook.facts import Fact, quantities, yamls


def memory(root: Path, path: str) -> dict[str, Fact[int]] | None:
    """Return the bytes that each service of a stack needed at most, by name; None when they were not measured.

    Raises HandbookError for what is no JSON, and for what is no number of bytes.
    """
    bars = yamls.read(root, path)["memory"]["bars"].pairs()
    return {name: node.text().read(quantities.whole) for name, node in bars.items()} or None
