"""What the pages say of proof: a summary for Home, and the tables of the Proof page, as HTML."""

from __future__ import annotations

from collections import Counter
from html import escape

from handbook.catalog import Catalog, kind_of
from handbook.proof import WORDS, Proof, Record, Row, State, judge, rows


def mark(state: State) -> str:
    """The state in words; the class gives it a shape and a colour beside them."""
    return f'<span class="proof proof--{state.replace(" ", "-")}">{WORDS[state]}</span>'


def summary(catalog: Catalog, proof: Proof) -> str:
    """What is proven right now, in one list: snippets by state, then each stack with its probes."""
    judged = rows(catalog, proof)
    states = Counter(row.state for row in judged)
    items = [f"<li>{mark(state)} {states[state]} of {len(judged)} snippets</li>" for state in WORDS if states[state]]
    for record in proof.boots():
        items.append(f"<li>{mark(judge(record, catalog.root))} {_boot(record)}</li>")
    return f'<ul class="proven">{"".join(items)}</ul>'


def _boot(record: Record) -> str:
    passed = sum(probe.passed for probe in record.probes)
    when = record.time.replace("T", " ").replace("Z", " UTC")
    return (
        f"stack <code>{escape(record.subject)}</code>: {passed} of {len(record.probes)} probes passed, "
        f"<time datetime='{record.time}'>{when}</time>"
    )


def snippets(catalog: Catalog, proof: Proof) -> str:
    """One row a snippet: its state, what each check said with which tool, the boots that ran with it, and when."""
    lines = "".join(_row(row) for row in rows(catalog, proof))
    head = "".join(f"<th>{name}</th>" for name in ("Snippet", "State", "Checks", "Booted in", "Last"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _row(row: Row) -> str:
    checks = "<br>".join(_check(name, record) for name, record in row.checks)
    kind = kind_of(row.path)
    if kind and kind.limits:
        checks += f"<br>Not proven here: {escape(kind.limits)}"
    boots = ", ".join(f"<code>{escape(record.subject)}</code>" for record in row.boots) or "not booted here"
    last = max((record.time, record.commit) for _, record in row.checks if record) if row.state != "not run" else None
    when = f"{last[0][:10]}, commit <code>{escape(last[1])}</code>" if last else "never"
    path = escape(row.path.removeprefix("snippets/"))
    return (
        f'<tr id="{row.anchor}"><td><code>{path}</code></td><td>{mark(row.state)}</td>'
        f"<td>{checks}</td><td>{boots}</td><td>{when}</td></tr>"
    )


def _check(name: str, record: Record | None) -> str:
    if record is None:
        return f"{escape(name)}: not run on this machine"
    return f"{escape(name)}: {'passed' if record.passed else 'failed'} ({escape(record.tool)})"


def stacks(catalog: Catalog, proof: Proof) -> str:
    """For each stack: its state, the images that ran, and every probe."""
    parts = []
    for record in proof.boots():
        images = "".join(
            f"<li><code>{escape(name)}</code>: {escape(ran)}</li>" for name, ran in sorted(record.images.items())
        )
        probes = "".join(
            f"<li>{escape(_sentence(probe.name))}: {'passed' if probe.passed else 'failed'}</li>"
            for probe in record.probes
        )
        parts.append(
            f"<h3>{escape(record.subject)}</h3>"
            f"<p>{mark(judge(record, catalog.root))} {_boot(record)}. Healthy after {record.seconds:.1f} s. "
            f"{escape(record.tool)}. Commit <code>{escape(record.commit)}</code>.</p>"
            f"<p>Images:</p><ul>{images}</ul><p>Probes:</p><ul>{probes}</ul>"
        )
    return "".join(parts) or f"<p>{mark('not run')}: no stack has booted here yet.</p>"


def _sentence(test: str) -> str:
    """Read a probe from the name of its test and, behind a colon, the case of it."""
    name, _, case = test.removesuffix("]").partition("[")
    return name.removeprefix("test_").replace("_", " ") + (f": {case.replace('_', ' ')}" if case else "")
