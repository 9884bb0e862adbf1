"""`proofs.json` follows its schema, the schema refuses all else, and the file is written only when it differs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from handbook.catalog import ROOT, Catalog
from handbook.checks._schema import judge_by
from handbook.findings import HandbookError
from handbook.proof import ACTED, Judge, Outcome, Proof
from handbook.site import proofs_json
from tests.records import STORY, WALKTHROUGH, WORK, booted, checked, record, write

SCHEMA = ROOT / "snippets" / "proof" / "proofs.schema.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / "docs").mkdir()
    (tmp_path / ".gitignore").write_text("/docs/proofs.json\n/.cache/\n")
    return tmp_path


@pytest.fixture
def store(root: Path) -> Proof:
    """Something of everything: what ran and what did not, what has limits, and what nobody knows."""
    store = checked(root, WALKTHROUGH)
    module = "scripts/handbook/contracts/ports.py"
    for path in (module, WORK, "snippets/ci/gitlab/.gitlab-ci.yml", "snippets/a.what"):
        write(root, path)
    store.add(record(root, module, "ports.asked"))
    store.add(replace(record(root, WALKTHROUGH, "shfmt", passed=False), seconds=0.123456))
    images = {"redis:8": "substitute: redis-server 8.0", "nginx:1": "official: nginx:1"}
    probes = (Outcome("test_a", True, 0.1), Outcome("test_b[c]", True, 2.0))
    store.add(replace(booted(root, STORY, files=[WALKTHROUGH]), images=images, probes=probes))
    acted = {"Service/api": "kube-controller-manager, kube-proxy", "Job/none": ""}
    store.add(replace(record(root, "compose/demo", ACTED, files=[WALKTHROUGH]), acted=acted))
    return store


@pytest.fixture
def whole(root: Path, store: Proof) -> dict[str, Any]:
    return proofs_json.whole(Catalog(root), Judge(store, root))


def test_it_says_what_was_judged(whole: dict[str, Any], root: Path) -> None:
    snippets = {snippet["path"]: snippet for snippet in whole["snippets"]}
    assert list(snippets) == list(Catalog(root).snippets)
    walkthrough = snippets[WALKTHROUGH]
    assert (walkthrough["kind"], walkthrough["state"], walkthrough["limits"]) == ("walkthrough", "failed", None)
    assert walkthrough["boots"] == ["compose/demo"]
    shfmt = next(check for check in walkthrough["checks"] if check["name"] == "shfmt")
    time = shfmt["run"].pop("time")
    assert shfmt == {
        "name": "shfmt",
        "state": "failed",
        "run": {"tool": "shfmt 1", "passed": False, "seconds": 0.123, "commit": "none"},
    }
    assert snippets["snippets/ci/gitlab/.gitlab-ci.yml"]["limits"].startswith("No GitLab runner")
    assert snippets["snippets/a.what"]["kind"] is None
    contracts = {contract["name"]: contract["state"] for contract in whole["contracts"]}
    assert (contracts["ports.asked"], contracts["ports.bind"]) == ("proven", "not run")
    checks = {check["name"]: check for check in whole["checks"]}
    assert checks["shfmt"] == {"name": "shfmt", "state": "failed", "files": {"failed": 1}, "tool": "shfmt 1"}
    assert checks["yamllint"] == {"name": "yamllint", "state": "not run", "files": {"not run": 1}, "tool": None}
    (stack,) = whole["stacks"]
    story, work = stack["modules"]
    assert (stack["name"], stack["state"]) == ("compose/demo", "not run")
    assert (work["path"], work["state"], work["boot"]) == (WORK, "not run", None)
    assert (story["state"], story["boot"]["passed"], story["boot"]["time"][:10]) == ("proven", True, time[:10])
    assert story["boot"]["images"] == [
        {"name": "nginx:1", "official": True, "ran": "nginx:1"},
        {"name": "redis:8", "official": False, "ran": "redis-server 8.0"},
    ]
    assert story["boot"]["probes"][1] == {"name": "test_b[c]", "passed": True, "seconds": 2.0}
    (given,) = whole["clusters"]
    assert (given["folder"], given["state"], given["run"]["passed"]) == ("compose/demo", "proven", True)
    assert given["objects"] == [
        {"name": "Service/api", "acted": ["kube-controller-manager", "kube-proxy"]},
        {"name": "Job/none", "acted": []},
    ]


def refused(root: Path, documents: dict[str, Any]) -> set[str]:
    """The names of the documents that the schema refuses."""
    for name, document in documents.items():
        (root / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    found = judge_by(["--schemafile", str(SCHEMA)], root, [f"{name}.json" for name in documents])
    return {finding.path.removesuffix(".json") for finding in found}


def test_it_follows_its_schema(whole: dict[str, Any], root: Path) -> None:
    assert any(row["kind"] is None for row in whole["snippets"])
    assert refused(root, {"whole": whole}) == set()


def objects(value: Any, place: str = "whole") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object in a document, with its place there."""
    if isinstance(value, dict):
        yield place, value
    for name, child in list(value.items() if isinstance(value, dict) else enumerate(value)):
        if isinstance(child, dict | list):
            yield from objects(child, f"{place}.{name}")


def test_no_object_may_have_more_or_less(whole: dict[str, Any], root: Path) -> None:
    """An undocumented field is refused, and so is a document without one that is documented."""
    wrong = {}
    del whole["contracts"][1:]
    one_of_each = {tuple(content): (place, content) for place, content in objects(whole)}
    for place, content in one_of_each.values():
        content["more"] = 1
        wrong[f"{place} with more"] = deepcopy(whole)
        del content["more"]
        # How many files are in which state has no name that must be there.
        for name in () if place.endswith(".files") else list(content):
            value = content.pop(name)
            wrong[f"{place} without {name}"] = deepcopy(whole)
            content[name] = value
    assert {"whole without commit", "whole.stacks.0.modules.0.boot.probes.1 with more"} <= wrong.keys()
    assert wrong.keys() - refused(root, wrong) == set()


def test_other_values_are_refused(whole: dict[str, Any], root: Path) -> None:
    boot = whole["stacks"][0]["modules"][0]["boot"]
    wrong = {}
    del whole["contracts"][1:]
    for content, name, value in (
        (whole, "format", 1),
        (whole, "commit", "main"),
        (whole["snippets"][0], "state", "perfect"),
        (whole["snippets"][0], "kind", 1),
        (whole["contracts"][0], "state", None),
        (whole["checks"][0], "files", {"perfect": 1}),
        (whole["checks"][0], "files", {"proven": 0}),
        (boot, "time", "2026-11-20 10:00:00"),
        (boot, "seconds", -1),
        (boot, "passed", "yes"),
        (whole["clusters"][0]["objects"][0], "acted", "kubelet"),
    ):
        before = content[name]
        content[name] = value
        wrong[f"{name} {value}"] = deepcopy(whole)
        content[name] = before
    assert wrong.keys() - refused(root, wrong) == set()


def test_it_is_written_when_it_differs_and_only_then(root: Path, store: Proof) -> None:
    path = root / "docs" / "proofs.json"

    def write_it() -> int:
        proofs_json.write(Catalog(root), Judge(store, root))
        return path.stat().st_mtime_ns

    first = write_it()
    assert json.loads(path.read_text())["format"] == proofs_json.FORMAT
    assert write_it() == first
    write(root, WALKTHROUGH, "# B\n")
    assert write_it() > first
    assert sorted(file.name for file in (root / "docs").iterdir()) == ["proofs.json"]


def test_one_that_can_not_be_written_is_one_message(root: Path, store: Proof) -> None:
    (root / "docs" / "proofs.json").mkdir()
    with pytest.raises(HandbookError, match=r"docs/proofs\.json: the proofs can't be written: Is a directory"):
        proofs_json.write(Catalog(root), Judge(store, root))
    assert not list((root / ".cache").glob("proofs.json*"))
