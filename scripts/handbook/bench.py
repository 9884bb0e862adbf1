"""Measures: how long each level takes, how much memory each stack needs, and what the benchmarks of stacks say.

The times of levels go to `build/bench.json`. What is about a stack goes to `snippets/measured/`, to be committed: pages
draw it, and a contract compares it with the limits of the stack. Numbers belong here and not into a test: they depend
on the machine and on what else it does.

A benchmark is a module of `tests/bench/` that runs by itself: it boots a stack, measures, and calls `measured.keep`.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from handbook import contracts, measured
from handbook.catalog import ROOT, Catalog, checks
from handbook.findings import HandbookError
from handbook.proof import Proof, commit, now
from handbook.stacks import ComposeStack
from handbook.tools import run

BENCHMARKS = ROOT / "tests" / "bench"


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


def measure(names: Sequence[str] = ()) -> None:
    """Time every level and run every benchmark; with `names` run just these, of which `memory` and `levels` are two.

    Raises HandbookError for a name that is not there, and when something that is timed fails.
    """
    there = {"levels": levels, "memory": memory, **{name: partial(_run, name) for name in _benchmarks()}}
    for name in names:
        if name not in there:
            raise HandbookError(f"no benchmark {name!r}; there are: {', '.join(there)}")
    if not names:
        # Its boots have remembered what memory they saw.
        levels()
        keep_memory()
    for name in names or _benchmarks():
        there[name]()


def _benchmarks() -> list[str]:
    return sorted(path.stem for path in BENCHMARKS.glob("*.py") if not path.stem.startswith("_"))


def _run(name: str) -> None:
    """Run a benchmark, its output shown. Raises HandbookError when it fails."""
    command = [sys.executable, "-m", f"tests.bench.{name}"]
    if subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False).returncode:
        raise HandbookError(f"the benchmark {name} failed; its messages stand above")


def memory() -> None:
    """Boot every stack, let all its probes run, and keep what its services needed at most."""
    seconds([sys.executable, "-m", "pytest", "-q", "tests/boot"], FRESH="1")
    keep_memory()


def keep_memory() -> None:
    """Keep the memory that the last boots of each stack have seen, and print it."""
    catalog = Catalog()
    for stack in (ComposeStack(name, catalog) for name in ComposeStack.names(catalog)):
        seen = measured.memory_seen(stack.name)
        bars = {service: seen[service] for service in stack.services if service in seen}
        if bars and stack.is_limited:
            title = "Memory that one container of each service needed at most"
            file = measured.keep(stack.name, "memory", bars, date=now()[:10], title=title, unit=measured.BYTES)
            for service, needed in bars.items():
                print(f"{needed / 2**20:8.0f} MB  {stack.name} {service}")
            print(f"written to {file}")


def levels() -> None:
    """Time every level once, print a table and write `build/bench.json`."""
    pytest = [sys.executable, "-m", "pytest", "-q"]
    static = [*pytest, "tests/static"]
    engine = [*pytest, "tests/engine", "snippets/service/tests"]
    site = [*pytest, "tests/site"]
    boot = [*pytest, "tests/boot"]
    build = ["mkdocs", "build", "--strict", "--quiet", "--site-dir", str(ROOT / "build" / "bench-site")]
    figures = {
        "static checks": seconds(static),
        "tests of the engine and of the service": seconds(engine),
        "the site in a browser": seconds(site),
        "boots, images there": seconds(boot, FRESH="1"),
        "boots, nothing changed": seconds(boot),
        "strict build of the site": seconds(build),
    }
    booted = {f"{Path(record.name).stem} from nothing to healthy": record.seconds for record in Proof.read().boots()}
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "time": now(), "commit": commit()}
    for name, value in {**figures, **booted}.items():
        print(f"{value:8.1f} s  {name}")
    for name, value in counts().items():
        print(f"{value:8}    {name}")
    target = ROOT / "build" / "bench.json"
    target.parent.mkdir(exist_ok=True)
    report = {"machine": machine, "seconds": {**figures, **booted}, "counts": counts()}
    target.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"written to {target.relative_to(ROOT)}")
