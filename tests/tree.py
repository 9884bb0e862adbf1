"""A copy of the snippets in which a test of contracts breaks something, and what it expects to be found."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from handbook import contracts, stacks
from handbook.catalog import Catalog
from handbook.facts import compose, targets
from handbook.facts.deployment import Facts
from handbook.findings import Finding

COMPOSE = "snippets/compose/production/compose.yaml"
MEASURED = "snippets/measured/compose-production.json"
RENDERED = ("snippets/kubernetes/", "snippets/helm/")
PAGE = "docs/all-settings.md"

Edit = tuple[str, str, str]
"""A file, a text that is in it (`<n>` is any number), and what takes its place. An empty text: the file is new."""


@dataclass(frozen=True)
class Case:
    """What is broken, by which rule that is found, and in which lines: a file, and a text that begins there."""

    rule: str
    edits: tuple[Edit, ...]
    found: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        _, old, new = self.edits[0]
        changed = [line.strip() for line in new.splitlines() if line.strip() and line not in old.splitlines()]
        return f"{self.rule}: {changed[0] if changed else 'without ' + old.strip().splitlines()[0]}"


def case(rule: str, path: str, old: str, new: str, *found: tuple[str, str], also: tuple[Edit, ...] = ()) -> Case:
    """One edit. Without `found`, the finding is expected in the first line of what was put in."""
    first = next((line for line in new.splitlines() if line.strip()), "")
    return Case(rule, ((path, old, new), *also), found or ((path, first),))


class Tree:
    """A copy of the snippets beside a page of its own, in which a test breaks something. `mend` puts it right again."""

    def __init__(self, root: Path) -> None:
        self.root = root
        real = Catalog()
        others = tuple(self.others(real))
        self.files = (*(file for file in real.snippets if not file.startswith(others)), PAGE)
        for file in self.files[:-1]:
            target = root / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(real.root / file, target)
        (root / PAGE).parent.mkdir()
        (root / PAGE).write_text("# All settings\n\n{{ settings_table() }}\n", encoding="utf-8")
        # Numbers of this test's own: what was really measured here changes from day to day.
        self.files = (*self.files, *({MEASURED} - {*self.files}))
        (root / MEASURED).parent.mkdir(exist_ok=True)
        bars = dict.fromkeys(compose.read(real.root, COMPOSE, real.snippets).workloads, 2**20)
        section = {"title": "Memory", "unit": "bytes", "bars": bars, "machine": "this", "date": "2026-01-01"}
        (root / MEASURED).write_text(json.dumps({"memory": section}, indent=2), encoding="utf-8")
        self.broken: dict[str, str | None] = {}
        self.before = set(contracts.judge(self.facts()))

    def others(self, real: Catalog) -> Iterator[str]:
        """The folders that are not copied. One stack is: what all of them share would be broken for each."""
        yield from (f"snippets/{name}/" for name in stacks.names(real) if name != "compose/production")
        # What is rendered has a tree of its own.
        yield from RENDERED

    def facts(self) -> Facts:
        catalog = Catalog(self.root)
        catalog.files = tuple(sorted({*self.files, *self.broken}))
        return targets.read(catalog)

    def edit(self, path: str, old: str, new: str, count: int = 1) -> None:
        file = self.root / path
        text = file.read_text(encoding="utf-8") if file.exists() else None
        self.broken.setdefault(path, text)
        if not old:
            assert text is None, f"{path} is there already"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(new, encoding="utf-8")
            return
        assert text is not None, f"there is no {path}"
        pattern = re.escape(old).replace("<n>", r"\d+")
        changed, made = re.subn(pattern, new.replace("\\", r"\\"), text, count=count)
        assert made, f"{path} does not say {old!r} any more: correct this case"
        file.write_text(changed, encoding="utf-8")

    def mend(self) -> None:
        for path, text in self.broken.items():
            if text is None:
                (self.root / path).unlink()
            else:
                (self.root / path).write_text(text, encoding="utf-8")
        self.broken = {}

    def line(self, path: str, text: str) -> int:
        """The line in which a text begins, or what stands after its `|`; none for an empty one."""
        if not text:
            return 0
        before, bar, after = text.partition("|")
        text, offset = before + after, before.count("\n") if bar else 0
        whole = (self.root / path).read_text(encoding="utf-8")
        assert text in whole, f"{path} does not say {text!r}: correct this case"
        return whole.count("\n", 0, whole.index(text)) + 1 + offset

    def new_findings(self) -> list[Finding]:
        return sorted(set(contracts.judge(self.facts())) - self.before)


class KubernetesTree(Tree):
    """The same with what is rendered for Kubernetes. Only the contracts about that are asked."""

    def __init__(self, root: Path) -> None:
        # Kustomize and Helm are given the files that git knows.
        subprocess.run(["git", "init", "--quiet", root], check=True)
        super().__init__(root)
        self.before = set(self.judge())

    def others(self, real: Catalog) -> Iterator[str]:
        for folder in super().others(real):
            if not folder.startswith(RENDERED):
                yield folder

    def judge(self) -> list[Finding]:
        facts = self.facts()
        rules = (rule for name, rule in contracts.load().items() if name.startswith("kubernetes"))
        return [finding for rule in rules for finding in rule(facts)]

    def new_findings(self) -> list[Finding]:
        return sorted(set(self.judge()) - self.before)
