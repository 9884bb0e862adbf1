"""What the pages say of proof: a summary for Home, and the tables of the Proof page, as HTML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape

from handbook.catalog import Catalog, kind_of
from handbook.proof import WORDS, Judge, Record, Row, State


def mark(state: State) -> str:
    """The state in words; the class gives it a shape and a colour beside them."""
    return f'<span class="proof proof--{state.replace(" ", "-")}">{WORDS[state]}</span>'


def summary(catalog: Catalog, judge: Judge) -> str:
    """What is proven right now, in one list: snippets by state, then each stack with its probes."""
    judged = [judge.row(path) for path in catalog.snippets]
    states = Counter(row.state for row in judged)
    items = [f"<li>{mark(state)} {states[state]} of {len(judged)} snippets</li>" for state in WORDS if states[state]]
    for stack in judge.booted():
        items.append(f"<li>{mark(stack.state)} stack <code>{escape(stack.stack)}</code>: {_passed(stack.records)}</li>")
    return f'<ul class="proven">{"".join(items)}</ul>'


def _passed(records: Sequence[Record]) -> str:
    probes = [probe for record in records for probe in record.probes]
    last = max(record.time for record in records)
    when = last.replace("T", " ").replace("Z", " UTC")
    passed = sum(probe.passed for probe in probes)
    return f"{passed} of {len(probes)} probes passed, <time datetime='{last}'>{when}</time>"


def snippets(catalog: Catalog, judge: Judge) -> str:
    """One row a snippet: its state, what each check said with which tool, the boots that ran with it, and when."""
    lines = "".join(_row(judge.row(path)) for path in catalog.snippets)
    head = "".join(f"<th>{name}</th>" for name in ("Snippet", "State", "Checks", "Booted in", "Last"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _row(row: Row) -> str:
    checks = "<br>".join(_check(name, record) for name, record in row.checks)
    kind = kind_of(row.path)
    if kind and kind.limits:
        checks += f"<br>Not proven here: {escape(kind.limits)}"
    stacks = dict.fromkeys(record.subject for record in row.boots if record.passed)
    boots = ", ".join(f"<code>{escape(stack)}</code>" for stack in stacks) or "not booted here"
    when = f"{row.last.time[:10]}, commit <code>{escape(row.last.commit)}</code>" if row.last else "never"
    path = escape(row.path.removeprefix("snippets/"))
    return (
        f'<tr id="{row.anchor}"><td><code>{path}</code></td><td>{mark(row.state)}</td>'
        f"<td>{checks}</td><td>{boots}</td><td>{when}</td></tr>"
    )


def _check(name: str, record: Record | None) -> str:
    if record is None:
        return f"{escape(name)}: not run on this machine"
    return f"{escape(name)}: {'passed' if record.passed else 'failed'} ({escape(record.tool)})"


def stacks(judge: Judge) -> str:
    """For each stack: its state, and for each module of tests that boots it the images that ran, and every probe."""
    parts = []
    for stack in judge.booted():
        parts.append(f"<h3>{escape(stack.stack)}</h3><p>{mark(stack.state)} {_passed(stack.records)}.</p>")
        parts += [_module(judge, name, record) for name, record in stack.modules]
    return "".join(parts) or f"<p>{mark('not run')}: no stack has booted here yet.</p>"


def _module(judge: Judge, name: str, record: Record | None) -> str:
    state = judge.state_of(record)
    said = f"<p>{mark(state)} <code>{escape(name)}</code>"
    if record is None:
        return f"{said}</p>"
    images = "".join(f"<li><code>{escape(n)}</code>: {escape(ran)}</li>" for n, ran in sorted(record.images.items()))
    probes = "".join(
        f"<li>{escape(_sentence(probe.name))}: {'passed' if probe.passed else 'failed'}</li>" for probe in record.probes
    )
    return (
        f"{said}: {_passed([record])}. Healthy after {record.seconds:.1f} s. {escape(record.tool)}. "
        f"Commit <code>{escape(record.commit)}</code>.</p>"
        f"<p>Images:</p><ul>{images}</ul><p>Probes:</p><ul>{probes}</ul>"
    )


def _sentence(test: str) -> str:
    """Read a probe from the name of its test and, behind a colon, the case of it."""
    name, _, case = test.removesuffix("]").partition("[")
    return name.removeprefix("test_").replace("_", " ") + (f": {case.replace('_', ' ')}" if case else "")
