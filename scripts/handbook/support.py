"""Until when products are supported: `snippets/versions/support.yaml`, which people write and `versions` reads.

It maps the name of a product to its cycles, and each cycle to what is known: the last day, the page that says so, the
day on which it said so, and a note. Where nobody has published a day there is none, and the note is a must.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import yaml

from handbook.facts import text_of
from handbook.facts.yamls import Node
from handbook.findings import Finding, HandbookError

FILE = "snippets/versions/support.yaml"

_FIELDS = ("until", "source", "looked_up", "note")
_SHAPE = "write product, cycle, and then until, source, looked_up and note"
_DAY = "write a day, such as 2027-05-05"


@dataclass(frozen=True)
class Row:
    """What is known of one cycle. `until` is the last day, None where nobody has published one."""

    product: str
    cycle: str
    until: date | None
    source: str
    looked_up: date
    note: str
    line: int

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from the others: the product and the cycle."""
        return (self.product, self.cycle)

    @property
    def name(self) -> str:
        """The product with its cycle: `PostgreSQL 18`."""
        return f"{self.product} {self.cycle}"


def read(root: Path, path: str = FILE) -> list[Row]:
    """Return the rows of the file, in its order. Raises HandbookError, with a line for each thing that is wrong."""
    rows, wrong = judge(root, path)
    if wrong:
        raise HandbookError("\n".join(map(str, wrong)))
    return rows


def judge(root: Path, path: str) -> tuple[list[Row], list[Finding]]:
    """Return the rows that are as they have to be, and what is wrong with the others."""
    try:
        document = yaml.compose(text_of(root, path), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        return [], [Finding(path, mark.line + 1 if mark else 0, "syntax", f"not YAML: {problem}")]
    rows: list[Row] = []
    wrong: list[Finding] = []
    for product, cycles in _pairs(Node(document, path, 1), wrong):
        for cycle, node in _pairs(cycles, wrong):
            fields = dict(_pairs(node, wrong))
            found = list(_wrong(f"{product} {cycle}", node, fields)) if fields else []
            wrong += found
            if fields and not found:
                rows.append(_row(product, cycle, node, fields))
    return rows, wrong


def _pairs(node: Node, wrong: list[Finding]) -> Iterator[tuple[str, Node]]:
    """Yield the entries of a mapping; anything else, and an empty one, is wrong."""
    entries = node.pairs() if node.is_mapping else {}
    if not entries:
        wrong.append(Finding(node.path, node.line, "shape", "a mapping with something in it is expected here", _SHAPE))
    yield from entries.items()


def _wrong(name: str, row: Node, fields: dict[str, Node]) -> Iterator[Finding]:
    """Say what is wrong with the fields of a row."""

    def found(field: str, message: str, hint: str) -> Finding:
        return Finding(row.path, fields[field].line if field in fields else row.line, field, message, hint)

    for field in fields:
        if field not in _FIELDS:
            yield found(field, f"{name} has {field}", f"the fields are {', '.join(_FIELDS)}")
    if "until" not in fields:
        yield found("until", f"{name} has no until", f"{_DAY}, or null where nobody has published one")
    elif fields["until"] and _day(fields["until"]) is None:
        yield found("until", f"{name}: until is no day", f"{_DAY}, or null where nobody has published one")
    if "looked_up" not in fields or _day(fields["looked_up"]) is None:
        yield found("looked_up", f"{name}: looked_up is no day", _DAY)
    if "source" not in fields or not _text(fields["source"]).startswith("https://"):
        yield found("source", f"{name}: source is no address", "write the https:// address of the page that says so")
    if "until" in fields and not fields["until"] and not ("note" in fields and _text(fields["note"])):
        yield found("note", f"{name} has neither a day nor a note", "say in a note what is known")
    elif "note" in fields and not _text(fields["note"]):
        yield found("note", f"{name}: note is no text", "write a sentence, or leave it out")


def _row(product: str, cycle: str, node: Node, fields: dict[str, Node]) -> Row:
    looked_up = _day(fields["looked_up"])
    assert looked_up, "what is wrong was found before"
    note = _text(fields["note"]) if "note" in fields else ""
    return Row(product, cycle, _day(fields["until"]), _text(fields["source"]), looked_up, note, node.line)


def _text(node: Node) -> str:
    return str(node.node.value) if node and isinstance(node.node, yaml.ScalarNode) else ""


def _day(node: Node) -> date | None:
    text = _text(node)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    # It takes other forms of ISO 8601 as well.
    return day if day.isoformat() == text else None
