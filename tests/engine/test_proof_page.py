"""The Proof page and the home page say what was judged, each row with its state."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from handbook import contracts
from handbook.catalog import Catalog
from handbook.proof import ACTED, WORDS, Judge, Outcome, Proof, State
from handbook.site import proof_page
from handbook.site.proof_page import mark
from tests.records import STORY, WALKTHROUGH, WORK, booted, checked, record, write

NAME = WALKTHROUGH.removeprefix("snippets/")
RULE = "ports.asked"
GITLAB = "snippets/ci/gitlab/.gitlab-ci.yml"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    return tmp_path


@pytest.fixture
def store(root: Path) -> Proof:
    """A snippet whose checks have passed."""
    return checked(root, WALKTHROUGH)


def rows(html: str) -> dict[str, tuple[str, str]]:
    """Each row of a table, by the text of its first cell: its `data-state`, and the text of the others."""
    found = re.findall(r'<tr id="[^"]+" data-state="([^"]+)"><td>(.*?)</td>(.*?)</tr>', html)
    parted = ((state, name, rest.replace("</td><td>", " | ").replace("<br>", " / ")) for state, name, rest in found)
    return {text(name): (state, text(rest)) for state, name, rest in parted}


def text(html: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", html))


def test_every_module_of_a_stack_stands_there(root: Path, store: Proof) -> None:
    write(root, WORK)
    store.add(booted(root, STORY, files=[WALKTHROUGH]))
    whole = proof_page.stacks(Judge(store, root))
    assert '<section data-state="not run"><h3 id="proof-stack-compose-demo">compose/demo</h3>' in whole
    assert whole.count("1 of 1 probes passed") == 2, "of the stack, and of its module"
    assert f'<details data-state="proven"><summary>{mark("proven")} <code>{STORY}</code>' in whole
    assert f'<p data-state="not run">{mark("not run")} <code>{WORK}</code></p>' in whole


@pytest.mark.parametrize(
    ("edited", "states"), [(False, ["failed", "proven", "failed"]), (True, ["changed", "changed", "changed"])]
)
def test_a_probe_that_failed_is_told_from_one_that_passed(
    root: Path, store: Proof, edited: bool, states: list[State]
) -> None:
    probes = (Outcome("test_answers[a_b]", True, 0.26), Outcome("test_survives", False, 1))
    images = {"redis:8": "substitute: redis-server 8.0 from <Debian>"}
    store.add(replace(booted(root, STORY, files=[WALKTHROUGH], passed=False), probes=probes, images=images))
    if edited:
        write(root, WALKTHROUGH, "# B\n")
    (details,) = re.findall("<details.*</details>", proof_page.stacks(Judge(store, root)))
    assert re.findall('data-state="([^"]+)"', details) == states
    assert re.findall("<li[^>]*>(.*?)</li>", details) == [
        "<code>redis:8</code>: substitute: redis-server 8.0 from &lt;Debian&gt;",
        "answers: a b: passed, 0.3 s",
        "survives: failed, 1.0 s",
    ]


def lines(html: str) -> list[tuple[str, ...]]:
    """The text of each cell of a table, by its rows."""
    return [tuple(map(text, re.findall("<td>(.*?)</td>", row))) for row in re.findall("<tr>(<td>.*?)</tr>", html)]


@pytest.fixture
def seen(root: Path, store: Proof) -> Proof:
    """What was seen of two folders of objects; the second has what the first waits for."""
    for folder, objects in (
        ("k/b", {"ConfigMap/a": "kubelet", "Job/a": "kubelet"}),
        ("k/a", {"ConfigMap/a": "", "Gateway/a": "", "Job/a": "manager, <x>", "Job/b": "manager, <x>"}),
    ):
        made = replace(record(root, folder, ACTED, files=[WALKTHROUGH]), tool="Kubernetes 1", acted=objects)
        store.add(replace(made, time="2026-01-02T00:00:00Z"))
    return store


def test_who_acted_on_each_object_stands_there(root: Path, seen: Proof) -> None:
    judge = Judge(seen, root)
    html = proof_page.acted(judge, "k/a", "k/b")
    assert lines(html) == [
        ("ConfigMap", "a", "kubelet, in k/b"),
        ("Gateway", "a", "schema and API only"),
        ("Job", "a, b", "manager, <x>"),
    ]
    assert "<em>schema and API only</em>" in html
    assert f"{mark('proven')} <code>k/a</code>: Kubernetes 1, 2026-01-02, commit <code>none</code>" in html
    assert lines(proof_page.acted(judge, "k/a"))[0] == ("ConfigMap", "a", "schema and API only")


def test_who_acted_is_out_of_date_when_a_file_was_edited(root: Path, seen: Proof) -> None:
    write(root, WALKTHROUGH, "# B\n")
    assert f"<p>{mark('changed')} <code>k/a</code>" in proof_page.acted(Judge(seen, root), "k/a")


def test_nobody_is_said_to_have_acted_before_it_ran(root: Path, seen: Proof) -> None:
    judge = Judge(seen, root)
    assert proof_page.acted(judge, "k/c") == f"<p>{mark('not run')} <code>k/c</code></p>"
    assert "schema and API only" not in proof_page.acted(judge, "k/a", "k/c")


def test_a_stack_tells_who_acted_on_its_objects(root: Path, store: Proof) -> None:
    assert "Who acted" not in proof_page.stacks(Judge(store, root))
    store.add(replace(record(root, "compose/demo", ACTED, files=[]), acted={"Job/a": "kubelet"}))
    assert lines(proof_page.stacks(Judge(store, root))) == [("Job", "a", "kubelet")]


def test_a_stack_that_has_not_booted_stands_there(root: Path, store: Proof) -> None:
    judge = Judge(store, root)
    assert f"compose/demo</h3><p>{mark('not run')}</p></section>" in proof_page.stacks(judge)
    assert f"<li>{mark('not run')}: stack <code>compose/demo</code></li>" in proof_page.summary(Catalog(root), judge)


def test_a_snippet_tells_its_checks_its_boots_and_when(root: Path, store: Proof) -> None:
    store.add(replace(record(root, WALKTHROUGH, "shfmt", passed=False), tool="shfmt 4", time="2999-01-02T00:00:00Z"))
    store.add(booted(root, STORY, files=[WALKTHROUGH]))
    html = proof_page.snippets(Catalog(root), Judge(store, root))
    assert rows(html) == {
        NAME: (
            "failed",
            "failed | shellcheck: passed (shellcheck 1) / shfmt: failed (shfmt 4) / executable: passed (executable 1)"
            " | compose/demo | 2999-01-02, commit none",
        )
    }
    assert '<tr id="proof-compose-demo-walkthrough-sh"' in html
    assert '<a href="#proof-stack-compose-demo">compose/demo</a>' in html


def test_a_snippet_that_only_failed_in_a_boot_has_a_row(root: Path, store: Proof) -> None:
    store = Proof(root / "proof.json", [booted(root, STORY, files=[WALKTHROUGH], passed=False)])
    state, said = rows(proof_page.snippets(Catalog(root), Judge(store, root)))[NAME]
    assert state == "failed"
    assert "shfmt: not run on this machine" in said
    assert "not booted here" in said


def test_a_contract_tells_its_state_and_when(root: Path, store: Proof) -> None:
    module = contracts.modules()[RULE]
    write(root, module)
    store.add(replace(record(root, module, RULE), time="2026-01-02T00:00:00Z"))
    found = rows(proof_page.contracts(Judge(store, root)))
    assert list(found) == contracts.names()
    assert found.pop(RULE) == ("proven", "proven | 2026-01-02, commit none")
    assert set(found.values()) == {("not run", "not run on this machine | never")}


def test_a_check_tells_its_files_and_its_tool(root: Path, store: Proof) -> None:
    write(root, "more.sh")
    store.add(replace(record(root, WALKTHROUGH, "shfmt"), tool="shfmt <4>", time="2026-01-02T00:00:00Z"))
    found = rows(proof_page.checks(Catalog(root), Judge(store, root)))
    assert list(found) == ["shellcheck", "shfmt", "executable"]
    said = "2 | proven 1 / not run on this machine 1 | shfmt <4> | 2026-01-02, commit none"
    assert found["shfmt"] == ("not run", said)


def test_what_is_not_proven_is_named_with_its_reason(root: Path, store: Proof) -> None:
    write(root, GITLAB)
    images = {"redis:8": "substitute: redis-server 8.0", "nginx:1": "official: nginx:1"}
    for module in (STORY, WORK):
        store.add(replace(booted(root, module, files=[WALKTHROUGH]), images=images))
    judge = Judge(store, root)
    limits, substitute = re.findall("<li.*?</li>", proof_page.unproven(Catalog(root), judge))
    assert limits.startswith('<li id="proof-limits-gitlab-ci"><code>ci/gitlab/.gitlab-ci.yml</code>: No GitLab runner')
    assert text(substitute) == "In the place of the official image redis:8 ran one with redis-server 8.0."
    assert '<a href="#proof-limits-gitlab-ci">why</a>' in proof_page.snippets(Catalog(root), judge)


def test_the_home_page_counts_snippets_and_contracts(root: Path, store: Proof) -> None:
    write(root, GITLAB)
    store.add(booted(root, STORY, files=[WALKTHROUGH]))
    whole = proof_page.summary(Catalog(root), Judge(store, root))
    assert f"<li>{mark('proven')}: 1 of 2 snippets</li><li>{mark('not run')}: 1 of 2 snippets</li>" in whole
    count = len(contracts.names())
    assert f"<li>{mark('not run')}: {count} of {count} contracts</li>" in whole
    assert f"<li>{mark('proven')}: stack <code>compose/demo</code>, 1 of 1 probes passed" in whole


def test_the_filter_offers_every_state_and_waits_for_its_script() -> None:
    bar = proof_page.filter_bar()
    assert re.findall(r'<option value="([^"]*)">', bar) == ["", *WORDS]
    assert re.match(r"<div [^>]* hidden>", bar)
    assert bar.count("<label>") == bar.count("<input") + bar.count("<select") == 2
