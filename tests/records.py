"""Proofs that nobody made, of small checkouts, for the tests of what is made of proofs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from handbook import proof
from handbook.catalog import kind_of
from handbook.proof import Outcome, Proof, Record

WALKTHROUGH = "snippets/compose/demo/walkthrough.sh"
STORY, WORK = "tests/boot/test_compose_demo.py", "tests/boot/test_compose_demo_work.py"


def record(root: Path, subject: str, name: str, *, passed: bool = True, files: list[str] | None = None) -> Record:
    """One record that is made now. `files` went in, as they are; without them it is the subject alone."""
    went_in = proof.digests(root, files if files is not None else [subject])
    return Record(subject, name, f"{name} 1", passed, 0.1, "d", "none", proof.now(), files=went_in)


def booted(root: Path, module: str, *, passed: bool = True, files: list[str]) -> Record:
    """A boot of the stack compose/demo by one module of tests, which is there then."""
    write(root, module)
    made = record(root, "compose/demo", module, passed=passed, files=files)
    return replace(made, probes=(Outcome("a", passed, 0.1),))


def checked(root: Path, path: str) -> Proof:
    """An empty store but for the checks of one snippet, which is made and has passed them all."""
    write(root, path)
    kind = kind_of(path)
    assert kind is not None
    return Proof(root / ".cache" / "proof.json", [record(root, path, check) for check in kind.checks])


def write(root: Path, path: str, text: str = "# A\ntrue\n") -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)
