"""A drawing shows the names and numbers of the files, and every service of the stack."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from handbook.catalog import Catalog
from handbook.findings import Finding, HandbookError
from handbook.site import drawings
from handbook.site.shown import Snippets

COMPOSE = """\
services:
  web:
    ports:
      - "80:8080"
  worker:
    image: a
"""

DRAWING = """\
<svg xmlns="http://www.w3.org/2000/svg">
<text><tspan data-address="compose/demo/compose.yaml#services.web">web</tspan></text>
<text><tspan data-address="compose/demo/compose.yaml#services.worker">worker</tspan></text>
<text><tspan data-address="compose/demo/compose.yaml#services.web.ports.0">80:8080</tspan></text>
<text><tspan data-address="compose/demo/compose.yaml#services.web.ports.0">8080</tspan></text>
</svg>
"""


def checkout(root: Path, drawing: str) -> Catalog:
    """A checkout with one stack and this drawing of it."""
    (root / "snippets/compose/demo").mkdir(parents=True)
    (root / "snippets/compose/demo/compose.yaml").write_text(COMPOSE)
    (root / drawings.FOLDER).mkdir(parents=True)
    (root / drawings.FOLDER / "demo.svg").write_text(drawing)
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    return Catalog(root)


def found(root: Path, drawing: str) -> list[Finding]:
    catalog = checkout(root, drawing)
    return drawings.findings(catalog, Snippets(catalog))


def test_a_drawing_that_agrees(tmp_path: Path) -> None:
    assert found(tmp_path, DRAWING) == []


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        (
            ">80:8080<",
            ">80:8000<",
            4,
            "shows '80:8000', but compose/demo/compose.yaml#services.web.ports.0 is '80:8080'",
        ),
        (">8080<", ">080<", 4, "shows '080', but"),
        (">web<", ">nginx<", 2, "shows 'nginx', but compose/demo/compose.yaml#services.web is 'web'"),
        ("services.web.ports.0", "services.web.ports.9", 4, "no region 'services.web.ports.9'"),
        (
            "compose.yaml#services.worker",
            "gone.yaml#services.worker",
            3,
            "there is no snippet 'compose/demo/gone.yaml'",
        ),
        ("data-address=", "data-other=", 1, "no text carries an address"),
        ("</svg>", "", 6, "not XML"),
    ],
)
def test_a_drawing_that_differs(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    assert old in DRAWING
    findings = found(tmp_path, DRAWING.replace(old, new))
    assert (f"{drawings.FOLDER}/demo.svg", line, "drawing") in {(f.path, f.line, f.rule) for f in findings}
    assert any(message in finding.message for finding in findings)


def test_a_drawing_that_leaves_a_service_out(tmp_path: Path) -> None:
    (finding,) = found(tmp_path, DRAWING.replace(DRAWING.splitlines(keepends=True)[2], ""))
    assert finding.message == "does not show compose/demo/compose.yaml#services.worker"


def test_a_drawing_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HandbookError, match="no drawing 'gone'; there are: demo"):
        drawings.inline(checkout(tmp_path, DRAWING), "gone")


UNITS = """\
<svg xmlns="http://www.w3.org/2000/svg">
<text><tspan data-address="vm/units/api@.service">api@.service</tspan></text>
<text><tspan data-address="vm/units/worker.service">worker.service</tspan></text>
</svg>
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("", "", None),
        (">api@.service<", ">api.service<", "shows 'api.service', but vm/units/api@.service is 'api@.service'"),
        ('"vm/units/worker.service"', '"vm/units/gone.service"', "there is no snippet 'vm/units/gone.service'"),
        ('<text><tspan data-address="vm/units/worker.service">worker.service</tspan></text>', "", "does not show"),
    ],
)
def test_units(old: str, new: str, message: str | None, tmp_path: Path) -> None:
    catalog = checkout(tmp_path, UNITS.replace(old, new) if old else UNITS)
    (tmp_path / "snippets/vm/units").mkdir(parents=True)
    for name in ("api@", "worker"):
        (tmp_path / f"snippets/vm/units/{name}.service").write_text("[Service]\nExecStart=/bin/true\n")
    messages = [finding.message for finding in drawings.findings(Catalog(catalog.root), Snippets(Catalog(tmp_path)))]
    assert (messages == []) if message is None else any(message in text for text in messages)
