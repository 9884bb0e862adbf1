"""Every snippet has a purpose."""

from __future__ import annotations

from collections.abc import Iterator

from handbook.contracts import Wrong, contract_of_all
from handbook.facts import Fact
from handbook.facts.deployment import Facts


@contract_of_all
def shown(facts: Facts) -> Iterator[Wrong]:
    """Every snippet is shown by a page or used by a stack."""
    for path in facts.snippets:
        if path not in facts.shown and path not in facts.used:
            yield Wrong(Fact("", path, 0), "no page shows this snippet and no stack uses it", "show it, or remove it")


CONTRACTS = (shown,)
