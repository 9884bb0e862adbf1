"""Draws what was measured: one bar a line, with the same numbers in a table for whoever can't see the bars."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from handbook import measured
from handbook.catalog import Catalog
from handbook.findings import HandbookError
from handbook.measured import Section
from handbook.site.tables import table

_LINE, _LABEL, _BAR, _WIDTH = 26, 190, 330, 640


def chart(catalog: Catalog, address: str) -> str:
    """Return the chart of one section, such as `measured/compose-production.json#memory`, as HTML.

    It takes the page's colours. Raises HandbookError when there is no such section; the message lists those there are.
    """
    path, _, name = address.partition("#")
    file = f"snippets/{path}"
    sections = measured.read(catalog.root, file) if file in catalog.snippets else {}
    if name not in sections or not sections[name].title:
        raise HandbookError(f"no chart {address!r}; there are: {', '.join(_addresses(catalog)) or 'none'}")
    section = sections[name]
    shown = {label: _number(number, section.unit) for label, number in section.numbers.items()}
    identity = "chart-" + "".join(c if c.isalnum() else "-" for c in address)
    head = ("Of", escape(_unit(section.unit)))
    rows = ((escape(label), text) for label, text in shown.items())
    return (
        f'<figure class="chart">{_svg(section, shown, identity)}'
        f"<figcaption>{escape(section.title)}. Measured on {escape(section.date)}, {escape(section.machine)}."
        f"<details><summary>The numbers as a table</summary>{table(head, rows)}</details>"
        f"</figcaption></figure>"
    )


def _addresses(catalog: Catalog) -> list[str]:
    files = (file for file in catalog.snippets if file.startswith(f"{measured.FOLDER}/"))
    return [
        f"{file.removeprefix('snippets/')}#{name}"
        for file in files
        for name, section in measured.read(catalog.root, file).items()
        if section.title
    ]


def _svg(section: Section, shown: Mapping[str, str], identity: str) -> str:
    longest = max(section.numbers.values()) or 1
    height = _LINE * len(section.numbers)
    bars = []
    for index, (label, number) in enumerate(section.numbers.items()):
        top, width = index * _LINE, max(_BAR * number / longest, 1)
        middle = top + _LINE / 2 + 5
        bars.append(
            f'<text x="{_LABEL - 10}" y="{middle:g}" text-anchor="end">{escape(label)}</text>'
            f'<rect x="{_LABEL}" y="{top + 4}" width="{width:.1f}" height="{_LINE - 8}" rx="2" fill-opacity="0.45"/>'
            f'<text x="{_LABEL + width + 8:.1f}" y="{middle:g}">{shown[label]} {escape(_unit(section.unit))}</text>'
        )
    said = "; ".join(f"{label}: {text}" for label, text in shown.items())
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" width="100%" role="img" '
        f'fill="currentColor" font-size="15" aria-labelledby="{identity}-title {identity}-text">'
        f'<title id="{identity}-title">{escape(section.title)}</title>'
        f'<desc id="{identity}-text">In {escape(_unit(section.unit))}: {escape(said)}</desc>{"".join(bars)}</svg>'
    )


def _unit(unit: str) -> str:
    return "MB" if unit == measured.BYTES else unit


def _number(number: float, unit: str) -> str:
    """Write a number with as many digits as say something."""
    if unit == measured.BYTES:
        number /= 2**20
    return f"{number:,.0f}" if number >= 100 or number == int(number) else f"{number:.1f}"
