"""Every snippet has a purpose."""

from __future__ import annotations

import re
from collections.abc import Iterator

from handbook.contracts import Wrong, contract_of_all
from handbook.facts import Fact
from handbook.facts.deployment import Facts

_CHART = re.compile(r"""\{\{ *chart\(["']([^"'#]+)#""")


@contract_of_all
def shown(facts: Facts) -> Iterator[Wrong]:
    """Every snippet is shown by a page, drawn by one, or used by a stack."""
    drawn = {f"snippets/{path}" for text in facts.pages.values() for path in _CHART.findall(text)}
    for path in facts.snippets:
        if path not in facts.shown and path not in facts.used and path not in drawn:
            yield Wrong(Fact("", path, 0), "no page shows this snippet and no stack uses it", "show it, or remove it")


CONTRACTS = (shown,)
