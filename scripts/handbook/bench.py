"""Measures how long each level takes, prints it and writes it to `build/bench.json`.

Timings belong here and not into a test: they depend on the machine and on what else it does.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Sequence

from handbook import contracts
from handbook.catalog import ROOT, Catalog, checks
from handbook.findings import HandbookError
from handbook.proof import Proof, commit, now
from handbook.tools import run


def seconds(command: Sequence[str], **environment: str) -> float:
    """Run `command` and return how long it took. Raises HandbookError, with the end of its output, when it fails."""
    start = time.perf_counter()
    result = run(command, cwd=ROOT, env=environment, timeout=1800)
    taken = time.perf_counter() - start
    if result.returncode:
        tail = "\n".join((result.stdout + result.stderr).splitlines()[-15:])
        raise HandbookError(f"`{' '.join(command)}` failed, so its time says nothing:\n{tail}")
    return round(taken, 1)


def counts() -> dict[str, int]:
    """How much there is: snippets, regions that pages show, checks, contracts, and probes that the last boots ran."""
    catalog = Catalog()
    regions = {reference.address for page in catalog.pages for reference in page.references}
    return {
        "snippets": len(catalog.snippets),
        "regions": len(regions),
        "checks": len(checks()),
        "contracts": len(contracts.names()),
        "probes": sum(len(record.probes) for record in Proof.read().boots()),
    }


def measure() -> None:
    """Time every level once, print a table and write `build/bench.json`."""
    pytest = [sys.executable, "-m", "pytest", "-q"]
    static = [*pytest, "tests/static"]
    engine = [*pytest, "tests/engine", "snippets/service/tests"]
    boot = [*pytest, "tests/boot"]
    build = ["mkdocs", "build", "--strict", "--quiet", "--site-dir", str(ROOT / "build" / "bench-site")]
    figures = {
        "static checks": seconds(static),
        "tests of the engine and of the service": seconds(engine),
        "boots, images there": seconds(boot, FRESH="1"),
        "boots, nothing changed": seconds(boot),
        "strict build of the site": seconds(build),
    }
    stacks = {f"stack {record.subject} from nothing to healthy": record.seconds for record in Proof.read().boots()}
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "time": now(), "commit": commit()}
    for name, value in {**figures, **stacks}.items():
        print(f"{value:8.1f} s  {name}")
    for name, value in counts().items():
        print(f"{value:8}    {name}")
    target = ROOT / "build" / "bench.json"
    target.parent.mkdir(exist_ok=True)
    report = {"machine": machine, "seconds": {**figures, **stacks}, "counts": counts()}
    target.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"written to {target.relative_to(ROOT)}")
