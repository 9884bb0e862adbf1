"""The chip beside a snippet says its state in words, and its card how it came to it."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from handbook.proof import Judge, Outcome, Proof, Record, digests
from handbook.site.chip import chip

PATH = "snippets/compose/demo/compose.yaml"
BESIDE = "snippets/compose/demo/beside.env"
STORY, WORK = "tests/boot/test_compose_demo.py", "tests/boot/test_compose_demo_work.py"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path in (PATH, BESIDE, "snippets/compose/demo/walkthrough.sh", STORY, WORK):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("a\n")
    return tmp_path


def check(root: Path, name: str, **other: object) -> Record:
    record = Record(PATH, name, f"{name} 1.38.0", True, 0.26, "d", "abc123", "2026-11-20T10:00:00Z")
    return replace(record, **{"files": digests(root, [PATH]), **other})  # type: ignore[arg-type]


def boot(root: Path, name: str, *passed: bool) -> Record:
    return check(
        root,
        name,
        subject="compose/demo",
        tool="docker engine 29",
        passed=all(passed),
        time="2026-11-21T10:00:00Z",
        commit="def456",
        files=digests(root, [PATH, BESIDE]),
        images={"nginx:1.30.6": "substitute: nginx <1.30>", "redis:8": "official: redis@sha256:1"},
        probes=tuple(Outcome(str(number), each, 0.1) for number, each in enumerate(passed)),
    )


def lines(root: Path, *records: Record) -> list[str]:
    html = chip(Judge(Proof(root / "proof.json", records), root), PATH, 7, "../")
    return [unescape(re.sub(r"<[^>]+>", "", line)) for line in re.findall(r"<span><b>.*?</span>", html)]


CHECKS = ("yamllint", "compose_config", "compose_schema")
IMAGES = "images: nginx:1.30.6 (substitute), redis:8 (official)"


def test_the_card_tells_checks_stacks_images_and_when(root: Path) -> None:
    checks = [check(root, name) for name in CHECKS[:2]]
    failed = check(root, CHECKS[2], passed=False)
    assert lines(root, *checks, failed, boot(root, STORY, True, True), boot(root, WORK, True, False)) == [
        "yamllint: passed, yamllint 1.38.0, 0.3 s",
        "compose_config: passed, compose_config 1.38.0, 0.3 s",
        "compose_schema: failed, compose_schema 1.38.0, 0.3 s",
        "booted in compose/demo: 3 of 4 probes passed, docker engine 29",
        IMAGES,
        "last: 2026-11-21 10:00:00 UTC, commit def456",
    ]


def test_the_card_says_why_it_is_not_proven(root: Path) -> None:
    """What was edited since does not count, and what did not run is named."""
    records = [check(root, CHECKS[0]), boot(root, STORY, True)]
    (root / BESIDE).write_text("b\n")
    assert lines(root, *records) == [
        "yamllint: passed, yamllint 1.38.0, 0.3 s",
        "compose_config: not run on this machine",
        "compose_schema: not run on this machine",
        "booted in compose/demo: 1 of 1 probes passed, docker engine 29; changed since; "
        "1 of its modules of tests was not run",
        IMAGES,
        "last: 2026-11-21 10:00:00 UTC, commit def456",
    ]
    (root / PATH).write_text("b\n")
    assert lines(root, *records) == [
        "yamllint: passed, yamllint 1.38.0, 0.3 s; changed since",
        "compose_config: not run on this machine",
        "compose_schema: not run on this machine",
        "booted: not run on this machine",
        "last: 2026-11-20 10:00:00 UTC, commit abc123",
    ]


def test_the_chip_is_a_link_that_its_card_describes(root: Path) -> None:
    html = chip(Judge(Proof(root / "proof.json"), root), PATH, 7, "../../")
    where = "../../proof/#proof-compose-demo-compose-yaml"
    link = f'<a class="proof proof--not-run" href="{where}" aria-describedby="card-7">'
    assert f"{link}not run on this machine</a>" in html
    assert '<span class="card" id="card-7" role="tooltip">' in html


def test_what_cannot_run_here_says_why(tmp_path: Path) -> None:
    path = "snippets/ci/gitlab/.gitlab-ci.yml"
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text("a: {}\n")
    html = chip(Judge(Proof(tmp_path / "proof.json"), tmp_path), path, 1, "")
    assert "<b>Not proven here</b>: No GitLab runner here: its schema is checked." in html
