"""Drawings of the parts of a stack, whose names and numbers must be those of its files.

A drawing is an SVG in `docs/assets/drawings/`. Each text that stands for something in a file carries its address:
`<tspan data-address="compose/production/service.env#DATABASE_PORT">5432</tspan>`. The address of a whole file, such as
a unit of systemd, stands for its name.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from xml.etree import ElementTree

from handbook.catalog import Catalog
from handbook.findings import Finding, HandbookError
from handbook.site.shown import Snippets, Unresolved

FOLDER = "docs/assets/drawings"
_SERVICE = re.compile(r"services\.[^.]+")


def inline(catalog: Catalog, name: str) -> str:
    """Return the SVG of the drawing called `name`, to stand in a page, where it takes the page's colours.

    Raises HandbookError when there is none.
    """
    path = f"{FOLDER}/{name}.svg"
    if path not in catalog.files:
        there = ", ".join(file.removeprefix(f"{FOLDER}/").removesuffix(".svg") for file in _drawings(catalog))
        raise HandbookError(f"there is no drawing {name!r}; there are: {there or 'none'}")
    return (catalog.root / path).read_text(encoding="utf-8")


def findings(catalog: Catalog, snippets: Snippets) -> list[Finding]:
    """Return where drawings differ from the files that they draw, and which services of a drawn stack are left out."""
    found: list[Finding] = []
    for path in _drawings(catalog):
        text = (catalog.root / path).read_text(encoding="utf-8")
        try:
            root = ElementTree.fromstring(text)
        except ElementTree.ParseError as error:
            line = min(error.position[0], text.count("\n"))
            found.append(Finding(path, line, "drawing", f"not XML: {error}"))
            continue
        drawn = [
            (node.get("data-address", ""), node.text or "") for node in root.iter() if "data-address" in node.attrib
        ]
        if not drawn:
            found.append(
                Finding(path, 1, "drawing", "no text carries an address", "add data-address to names and ports")
            )
        for address, shown in drawn:
            line = text[: text.find(f'data-address="{address}"')].count("\n") + 1
            found += _differences(path, line, address, shown, snippets)
        found += _left_out(path, {address for address, _ in drawn}, snippets)
    return found


def _drawings(catalog: Catalog) -> list[str]:
    return [file for file in catalog.files if file.startswith(f"{FOLDER}/") and file.endswith(".svg")]


def _differences(path: str, line: int, address: str, shown: str, snippets: Snippets) -> list[Finding]:
    """Compare one text with what it stands for: the name of a part, a value, or the port behind a value's colon."""
    if f"snippets/{address}" in snippets.catalog.snippets:
        written = PurePosixPath(address).name
    else:
        try:
            written = snippets.value(address)
        except Unresolved as error:
            if error.finding.rule != "value":
                return [Finding(path, line, "drawing", error.finding.message, error.finding.hint)]
            written = address.rpartition(".")[2]
    if shown == written or written.endswith(f":{shown}"):
        return []
    return [Finding(path, line, "drawing", f"shows {shown!r}, but {address} is {written!r}", "draw what the file says")]


def _left_out(path: str, drawn: set[str], snippets: Snippets) -> list[Finding]:
    """Name what a drawing leaves out: services of a Compose file, and those that lie beside a drawn unit of systemd."""
    there = set(snippets.catalog.snippets)
    folders = {str(PurePosixPath(address).parent) for address in drawn & _units(there)}
    left = sorted(unit for unit in _units(there) - drawn if str(PurePosixPath(unit).parent) in folders)
    named = {address.partition("#")[0] for address in drawn if "#services." in address}
    files = sorted(file for file in named if f"snippets/{file}" in there)
    left += [
        f"{file}#{region}"
        for file in files
        for region in snippets.addresses(file)
        if _SERVICE.fullmatch(region) and f"{file}#{region}" not in drawn
    ]
    return [Finding(path, 1, "drawing", f"does not show {address}", "draw it") for address in left]


def _units(there: set[str]) -> set[str]:
    """The services of systemd, as addresses."""
    return {file.removeprefix("snippets/") for file in there if file.endswith(".service")}
