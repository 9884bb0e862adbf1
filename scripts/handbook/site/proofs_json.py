"""`proofs.json`: what the Proof page says, for programs. `snippets/proof/proofs.schema.json` is its format.

It is made in `docs/`, where git ignores it, because the site's builders publish what stands there. It is written only
when it has changed: `mkdocs serve` builds once more whenever a file there is written. So it holds no time of its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from handbook import contracts
from handbook.catalog import Catalog
from handbook.findings import HandbookError
from handbook.proof import Booted, Judge, Record, Row, commit

NAME = "proofs.json"
"""Where it is, below `docs/` and in the site."""

FORMAT = 2


def write(catalog: Catalog, judge: Judge) -> None:
    """Make the file what it has to be, in one step. Raises HandbookError when it can't be written."""
    path = catalog.root / "docs" / NAME
    beside = catalog.root / ".cache" / f"{NAME}.{os.getpid()}.tmp"
    text = json.dumps(whole(catalog, judge), indent=1) + "\n"
    try:
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return
        beside.parent.mkdir(exist_ok=True)
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise HandbookError(f"{path}: the proofs can't be written: {error.strerror}") from None


def link(up: str) -> str:
    """The link to the file, as HTML. `up` leads from the page to the site's own folder."""
    return f'<a href="{up}{NAME}">{NAME}</a>'


def whole(catalog: Catalog, judge: Judge) -> dict[str, Any]:
    """Everything that the file holds."""
    return {
        "format": FORMAT,
        "commit": commit(catalog.root),
        "snippets": [_snippet(judge, judge.row(path)) for path in catalog.snippets],
        "contracts": [
            {"name": kept.name, "path": kept.module, "state": kept.state, "run": _run(kept.record)}
            for kept in judge.contracts(contracts.modules())
        ],
        "checks": [
            {
                "name": check.name,
                "state": check.state,
                "files": dict(sorted(check.states.items())),
                "tool": check.last.tool if check.last else None,
            }
            for check in judge.checks(catalog.checked)
        ],
        "stacks": [_stack(judge, stack) for stack in judge.booted()],
        "clusters": [_given(judge, record) for record in judge.given()],
    }


def _snippet(judge: Judge, row: Row) -> Mapping[str, Any]:
    return {
        "path": row.path,
        "kind": row.kind,
        "state": row.state,
        "limits": row.limits or None,
        "checks": [{"name": name, "state": judge.state_of(record), "run": _run(record)} for name, record in row.checks],
        "boots": list(row.booted_in),
    }


def _stack(judge: Judge, stack: Booted) -> Mapping[str, Any]:
    modules = [{"path": name, "state": judge.state_of(record), "boot": _boot(record)} for name, record in stack.modules]
    return {"name": stack.stack, "state": stack.state, "modules": modules}


def _given(judge: Judge, record: Record) -> Mapping[str, Any]:
    objects = [{"name": name, "acted": who.split(", ") if who else []} for name, who in record.acted.items()]
    return {"folder": record.subject, "state": judge.state_of(record), "run": _run(record), "objects": objects}


def _boot(record: Record | None) -> Mapping[str, Any] | None:
    run = _run(record)
    if record is None or run is None:
        return None
    images = [{"name": ran.name, "official": ran.official, "ran": ran.what} for ran in record.ran]
    probes = [{"name": probe.name, "passed": probe.passed, "seconds": probe.seconds} for probe in record.probes]
    return {**run, "images": images, "probes": probes}


def _run(record: Record | None) -> Mapping[str, Any] | None:
    if record is None:
        return None
    return {
        "tool": record.tool,
        "passed": record.passed,
        "seconds": round(record.seconds, 3),
        "commit": record.commit,
        "time": record.time,
    }
