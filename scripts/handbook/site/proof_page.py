"""What the Proof page and the home page say of everything that was proven. `proofs_json` says the same to programs.

What carries `data-state` is a row to the filter, which works by a script (`docs/assets/proof.js`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from handbook import contracts as rules
from handbook.catalog import KINDS, Catalog
from handbook.proof import WORDS, Booted, Checked, Judge, Kept, Outcome, Record, Row, State


def mark(state: State) -> str:
    """The state in words; the class gives it a shape and a colour beside them."""
    return f'<span class="proof proof--{state.replace(" ", "-")}">{WORDS[state]}</span>'


def summary(catalog: Catalog, judge: Judge) -> str:
    """What is proven right now, in one list: snippets and contracts by state, then each stack with its probes."""
    items = [
        *_counts("snippets", Counter(judge.row(path).state for path in catalog.snippets)),
        *_counts("contracts", Counter(kept.state for kept in judge.contracts(rules.modules()))),
    ]
    for stack in judge.booted():
        probes = f", {_passed(stack.records)}" if stack.records else ""
        items.append(f"<li>{mark(stack.state)}: stack <code>{escape(stack.stack)}</code>{probes}</li>")
    return f'<ul class="proven">{"".join(items)}</ul>'


def _counts(what: str, states: Mapping[State, int]) -> list[str]:
    whole = sum(states.values())
    return [f"<li>{mark(state)}: {states[state]} of {whole} {what}</li>" for state in WORDS if states[state]]


def _passed(records: Sequence[Record]) -> str:
    probes = [probe for record in records for probe in record.probes]
    last = max(record.time for record in records)
    when = last.replace("T", " ").replace("Z", " UTC")
    passed = sum(probe.passed for probe in probes)
    return f"{passed} of {len(probes)} probes passed, <time datetime='{last}'>{when}</time>"


def filter_bar() -> str:
    """What filters all rows by text and state. It is hidden until the script shows it."""
    states = "".join(f'<option value="{state}">{words}</option>' for state, words in WORDS.items())
    return (
        '<div class="proof-filter" role="search" aria-label="Filter the rows" hidden>'
        '<label>Text <input type="search" autocomplete="off" spellcheck="false"></label>'
        f'<label>State <select><option value="">all</option>{states}</select></label>'
        '<span role="status"></span></div>'
    )


def stacks(judge: Judge) -> str:
    """For each stack: its state, for each module of tests that boots it the images that ran, and every probe; in a
    cluster also who acted on its objects.
    """
    return "".join(_stack(judge, stack) for stack in judge.booted())


def _stack(judge: Judge, stack: Booted) -> str:
    name = escape(stack.stack)
    passed = f" {_passed(stack.records)}." if stack.records else ""
    modules = "".join(_module(judge, module, record) for module, record in stack.modules)
    who = acted(judge, stack.stack) if judge.acted(stack.stack) else ""
    return (
        f'<section data-state="{stack.state}"><h3 id="{_anchor("stack", stack.stack)}">{name}</h3>'
        f"<p>{mark(stack.state)}{passed}</p>{modules}{who}</section>"
    )


def _module(judge: Judge, name: str, record: Record | None) -> str:
    state = judge.state_of(record)
    said = f"{mark(state)} <code>{escape(name)}</code>"
    if record is None:
        return f'<p data-state="{state}">{said}</p>'
    images = "".join(f"<li><code>{escape(ran.name)}</code>: {ran.word}: {escape(ran.what)}</li>" for ran in record.ran)
    probes = "".join(_probe(state, probe) for probe in record.probes)
    return (
        f'<details data-state="{state}"><summary>{said}: {_passed([record])}</summary>'
        f"<p>Healthy after {record.seconds:.1f} s. {escape(record.tool)}. Commit <code>{escape(record.commit)}</code>."
        f"</p><p>Images:</p><ul>{images}</ul><p>Probes:</p><ul>{probes}</ul></details>"
    )


def _probe(module: State, probe: Outcome) -> str:
    """One probe. What failed is told apart from what passed in the same boot, as long as the boot counts."""
    state: State = module if module == "changed" else "proven" if probe.passed else "failed"
    said = f"{escape(_sentence(probe.name))}: {_verdict(probe.passed)}, {probe.seconds:.1f} s"
    return f'<li data-state="{state}">{said}</li>'


def _sentence(test: str) -> str:
    """Read a probe from the name of its test and, behind a colon, the case of it."""
    name, _, case = test.removesuffix("]").partition("[")
    return name.removeprefix("test_").replace("_", " ") + (f": {case.replace('_', ' ')}" if case else "")


def snippets(catalog: Catalog, judge: Judge) -> str:
    """One row a snippet: its state, what each check said with which tool, the boots that ran with it, and when."""
    rows = (_snippet(judge.row(path)) for path in catalog.snippets)
    return _table(("Snippet", "State", "Checks", "Booted in", "Last"), rows)


def _snippet(row: Row) -> str:
    checks = "<br>".join(_check(name, record) for name, record in row.checks)
    state = mark(row.state)
    if row.kind and row.limits:
        state += f' <a href="#{_anchor("limits", row.kind)}">why</a>'
    boots = ", ".join(f'<a href="#{_anchor("stack", stack)}">{escape(stack)}</a>' for stack in row.booted_in)
    path = f"<code>{escape(row.path.removeprefix('snippets/'))}</code>"
    return _row(row.anchor, row.state, path, state, checks, boots or "not booted here", _when(row.last))


def _check(name: str, record: Record | None) -> str:
    if record is None:
        return f"{escape(name)}: {WORDS['not run']}"
    return f"{escape(name)}: {_verdict(record.passed)} ({escape(record.tool)})"


def contracts(judge: Judge) -> str:
    """One row a contract: its state, and when it was last judged."""
    return _table(("Contract", "State", "Last"), map(_contract, judge.contracts(rules.modules())))


def _contract(kept: Kept) -> str:
    name = f"<code>{escape(kept.name)}</code>"
    return _row(_anchor("contract", kept.name), kept.state, name, mark(kept.state), _when(kept.record))


def checks(catalog: Catalog, judge: Judge) -> str:
    """One row a check: how many files of the repository are in which state by it, and the tool as it last ran."""
    return _table(("Check", "Files", "State", "Tool", "Last"), map(_checked, judge.checks(catalog.checked)))


def _checked(check: Checked) -> str:
    states = "<br>".join(f"{mark(state)} {check.states[state]}" for state in WORDS if check.states.get(state))
    tool = escape(check.last.tool) if check.last else ""
    cells = (escape(check.name), str(check.files), states, tool, _when(check.last))
    return _row(_anchor("check", check.name), check.state, *cells)


def unproven(catalog: Catalog, judge: Judge) -> str:
    """What is not proven, and why: the kinds of which something can't be, with their files, and the substitutes."""
    files: dict[str, list[str]] = {}
    for row in map(judge.row, catalog.snippets):
        files.setdefault(row.kind or "", []).append(f"<code>{escape(row.path.removeprefix('snippets/'))}</code>")
    items = [
        f'<li id="{_anchor("limits", kind.name)}">{", ".join(files[kind.name])}: {escape(kind.limits)}</li>'
        for kind in KINDS
        if kind.limits and kind.name in files
    ]
    records = [record for stack in judge.booted() for record in stack.records]
    stood = sorted({(ran.name, ran.what) for record in records for ran in record.ran if not ran.official})
    items += [
        f"<li>In the place of the official image <code>{escape(name)}</code> ran one with {escape(what)}.</li>"
        for name, what in stood
    ]
    return f"<ul>{''.join(items)}</ul>"


def acted(judge: Judge, folder: str, *others: str) -> str:
    """For each object of a folder that was given to a cluster: who acted on it there, or that nobody did.

    What waited there for something may have been acted on in one of `others`, under the same kind and name. Nothing is
    said of any object as long as one of the folders was not given to a cluster.
    """
    found = {name: judge.acted(name) for name in (folder, *others)}
    records = {name: record for name, record in found.items() if record}
    told = f"<p>{'<br>'.join(_told(judge, name, record) for name, record in found.items())}</p>"
    if len(records) < len(found):
        return told
    rows: dict[tuple[str, str], list[str]] = {}
    for each in records[folder].acted:
        kind, _, name = each.partition("/")
        rows.setdefault((kind, _who(each, folder, records)), []).append(f"<code>{escape(name)}</code>")
    lines = (
        f"<tr><td>{escape(kind)}</td><td>{', '.join(names)}</td><td>{who}</td></tr>"
        for (kind, who), names in rows.items()
    )
    return told + _table(("Kind", "Objects", "Who acted on them"), lines)


def _told(judge: Judge, name: str, record: Record | None) -> str:
    said = f"{mark(judge.state_of(record))} <code>{escape(name)}</code>"
    return f"{said}: {escape(record.tool)}, {_when(record)}" if record else said


def _who(each: str, folder: str, records: Mapping[str, Record]) -> str:
    """Who acted on an object where it was first seen that somebody did."""
    for name, record in records.items():
        if who := record.acted.get(each):
            return escape(who) + ("" if name == folder else f", in <code>{escape(name)}</code>")
    return "<em>schema and API only</em>"


def _table(head: Iterable[str], rows: Iterable[str]) -> str:
    names = "".join(f"<th>{name}</th>" for name in head)
    return f"<table><thead><tr>{names}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _row(anchor: str, state: State, *cells: str) -> str:
    return f'<tr id="{anchor}" data-state="{state}">{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _anchor(what: str, name: str) -> str:
    """The id on the page of a stack, a contract, a check, or what can't be proven of a kind."""
    return f"proof-{what}-" + "".join(c if c.isalnum() else "-" for c in name)


def _verdict(passed: bool) -> str:
    return "passed" if passed else "failed"


def _when(record: Record | None) -> str:
    return f"{record.time[:10]}, commit <code>{escape(record.commit)}</code>" if record else "never"
