"""The chip in the bar above a block: the state of its snippet in words, and a card that tells how it came to it.

The card opens beside the chip when the pointer or the focus is on it, by style alone; a script lets Escape close it.
Without styles it is text.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from handbook.catalog import kind_of
from handbook.proof import WORDS, Judge, Record, Row


def chip(judge: Judge, path: str, number: int, up: str) -> str:
    """The chip of the snippet at `path` (in the repository), as a link to its row on the Proof page, with its card.

    `number` is different for each chip of a page, and `up` leads from the page to the site's own folder.
    """
    row, card = judge.row(path), f"card-{number}"
    # The search leaves an element out up to the next end of one of its name, so nothing inside may have it.
    return (
        f'<small class="chip" data-search-exclude><a class="proof proof--{row.state.replace(" ", "-")}" '
        f'href="{up}proof/#{escape(row.anchor)}" aria-describedby="{card}">{escape(WORDS[row.state])}</a>'
        f'<span class="card" id="{card}" role="tooltip">{"".join(_lines(judge, row))}</span></small>'
    )


def _lines(judge: Judge, row: Row) -> Iterator[str]:
    """Yield a line for each check and each stack, then the images that ran there, and when and on what commit."""
    kind = kind_of(row.path)
    if kind and kind.limits:
        yield _line("Not proven here", kind.limits)
    for name, record in row.checks:
        yield _line(name, _verdict(judge, record) if record else WORDS["not run"])
    stacks: dict[str, list[Record]] = {}
    for record in row.boots:
        stacks.setdefault(record.subject, []).append(record)
    for stack, records in stacks.items():
        yield _line(f"booted in {stack}", _probes(judge, row, records))
    if kind and kind.boots and not stacks:
        yield _line("booted", WORDS["not run"])
    ran = {image.name: image.word for record in row.boots for image in record.ran}
    if ran:
        yield _line("images", ", ".join(f"{name} ({word})" for name, word in sorted(ran.items())))
    if row.last:
        when = row.last.time.replace("T", " ").replace("Z", " UTC")
        yield _line("last", f"{when}, commit {row.last.commit}")


def _verdict(judge: Judge, record: Record) -> str:
    return f"{_word(record)}, {record.tool}, {record.seconds:.1f} s{_since(judge, [record])}"


def _probes(judge: Judge, row: Row, records: list[Record]) -> str:
    probes = [probe for record in records for probe in record.probes]
    passed = sum(probe.passed for probe in probes)
    tool = max(records, key=lambda record: record.time).tool
    missing = len(judge.missing(row.path, records))
    left = f"; {missing} of its modules of tests {'was' if missing == 1 else 'were'} not run" if missing else ""
    return f"{passed} of {len(probes)} probes passed, {tool}{_since(judge, records)}{left}"


def _word(record: Record) -> str:
    return "passed" if record.passed else "failed"


def _since(judge: Judge, records: list[Record]) -> str:
    """What is behind a verdict that does not count any more."""
    return "; changed since" if any(judge.state_of(record) == "changed" for record in records) else ""


def _line(name: str, said: str) -> str:
    return f"<span><b>{escape(name)}</b>: {escape(said)}</span>"
