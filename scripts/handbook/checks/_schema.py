"""Runs check-jsonschema with a schema that it carries or that stands in a file, so that no network is needed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from handbook.checks._lines import line_of, steps
from handbook.checks._tool import expect, failed, read_json
from handbook.findings import Finding
from handbook.tools import run

_UNEXPECTED = re.compile(r"\('([^']+)'(?:, '[^']+')* (?:was|were) unexpected\)|^'([^']+)' does not match")


def judge(schema: str, root: Path, paths: Sequence[str], *, options: Sequence[str] = ()) -> list[Finding]:
    """Return what the built-in `schema` finds in `paths`: see `judge_by`."""
    return judge_by(["--builtin-schema", schema, *options], root, paths)


def judge_by(options: Sequence[str], root: Path, paths: Sequence[str]) -> list[Finding]:
    """Return what the schema that `options` name finds in `paths`, with the line of the key that it names.

    Raises HandbookError when the tool read other files than it was given.
    """
    command = ["check-jsonschema", *options, "--output-format", "json", "--verbose"]
    result = run([*command, "--", *paths], cwd=root)
    expect(result, {0, 1})
    report = read_json(result)
    if report["status"] == "ok":
        if sorted(report["checked_paths"]) != sorted(paths):
            raise failed(result, f"read {len(report['checked_paths'])} of {len(paths)} files")
        return []
    findings = [_finding(root, error) for error in report["errors"]]
    findings += [Finding(error["filename"], 0, "syntax", error["message"]) for error in report["parse_errors"]]
    read = {finding.path for finding in findings} | set(report.get("successes", []))
    if not findings or not read.issuperset(paths):
        raise failed(result, f"read {len(read)} of {len(paths)} files")
    return findings


def _finding(root: Path, error: dict[str, str]) -> Finding:
    message = error["message"]
    nearer = error.get("best_deep_match") or error.get("best_match") or {}
    where, why = error["path"], message
    if isinstance(nearer, dict) and nearer:
        where, why = nearer["path"], nearer["message"]
    place = steps(where)
    unexpected = _UNEXPECTED.search(why)
    if unexpected:
        place.append(unexpected[1] or unexpected[2])
    text = (root / error["filename"]).read_text(encoding="utf-8")
    return Finding(error["filename"], line_of(text, place), "schema", f"{where}: {why}")
