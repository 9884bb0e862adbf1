"""Until when the versions that the handbook uses are supported: what the files name, joined with what is known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from handbook import support
from handbook.catalog import Catalog
from handbook.facts import Fact, products
from handbook.facts.products import Product
from handbook.findings import Finding, HandbookError
from handbook.support import Row

AHEAD = timedelta(days=60)
"""How long before its last day a version has to be replaced."""

_TABLES = "say what it stands for in the tables of scripts/handbook/facts/products.py"


@dataclass(frozen=True)
class Used:
    """A cycle of a product that the handbook uses: what is known of it, and each place that names it."""

    row: Row
    at: tuple[Fact[Product], ...]

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions as the files write them, each once."""
        return tuple(dict.fromkeys(fact.value.version for fact in self.at))

    @property
    def files(self) -> tuple[str, ...]:
        """The files that name it, each once."""
        return tuple(dict.fromkeys(fact.path for fact in self.at))


def read(catalog: Catalog) -> list[Used]:
    """Return what the handbook uses and of which something is known: what ends first, first.

    Raises HandbookError for a file that can't be read.
    """
    rows = {row.key: row for row in support.read(catalog.root)}
    places = _places(products.used(catalog)[0])
    found = [Used(rows[key], tuple(at)) for key, at in places.items() if key in rows]
    return sorted(found, key=lambda used: (used.row.until or date.max, used.row.name.casefold()))


def findings(catalog: Catalog, today: date) -> list[Finding]:
    """Return what is wrong on a day: what is not known, what nobody uses, and what ends in less than AHEAD.

    Raises HandbookError for a file that can't be read, and when no file names a version: then nothing was judged.
    """
    known, unknown = products.used(catalog)
    if not known:
        raise HandbookError("snippets: no file names a version that is known, so there is nothing to judge")
    rows = {row.key: row for row in support.read(catalog.root)}
    places = _places(known)
    found = [Finding(fact.path, fact.line, "versions.unknown", fact.value, _TABLES) for fact in unknown]
    found += [_missing(fact) for fact in known if fact.value.key not in rows]
    for key, row in rows.items():
        if key not in places:
            message = f"nothing uses {row.name}"
            found.append(Finding(support.FILE, row.line, "versions.unused", message, "take the row away"))
        elif row.until and row.until - today < AHEAD:
            found.append(_ends(row, places[key], "was" if row.until < today else "is"))
    return sorted(found)


def _places(known: list[Fact[Product]]) -> dict[tuple[str, str], list[Fact[Product]]]:
    """The places that name each cycle of each product."""
    places: dict[tuple[str, str], list[Fact[Product]]] = {}
    for fact in known:
        places.setdefault(fact.value.key, []).append(fact)
    return places


def _missing(fact: Fact[Product]) -> Finding:
    message = f"nothing is known of the support of {' '.join(fact.value.key)}"
    return Finding(fact.path, fact.line, "versions.missing", message, f"look it up, and add it to {support.FILE}")


def _ends(row: Row, at: list[Fact[Product]], verb: str) -> Finding:
    used = ", ".join(f"{fact.path}:{fact.line}" for fact in at)
    message = f"{row.name} {verb} supported until {row.until}, and no longer; it is used in {used}"
    hint = f"write a newer version there, or look at {row.source} whether the day has moved"
    return Finding(support.FILE, row.line, "versions.ends", message, hint)
