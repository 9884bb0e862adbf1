"""Proof says what ran, for which content, and nothing more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from handbook import proof, pytest_plugin
from handbook.findings import HandbookError
from handbook.proof import Proof, Record

pytest_plugins = ["pytester"]

SNIPPET = "snippets/compose/demo/compose.yaml"

BOOT = """
import pytest

def inputs():
    return open("inputs.txt").read()

@pytest.fixture(scope="module", autouse=True)
def stack(boots):
    boots("demo", tool="Compose", seconds=1.5, digest="d", files={}, images={})

def test_answers():
    open("ran.txt", "a").write("answers ")

def test_survives():
    assert open("verdict.txt").read() == "good"
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with one boot of two probes, and an empty store of proof."""
    monkeypatch.setattr(pytest_plugin, "ROOT", pytester.path)
    monkeypatch.setattr(pytest_plugin, "TESTS", pytester.path / "tests")
    monkeypatch.delenv("FRESH", raising=False)
    pytester.makefile(".txt", inputs="one", verdict="good", ran="")
    pytester.mkdir("tests").joinpath("test_demo.py").write_text(BOOT)
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.runpytest_inprocess("-p", "handbook.pytest_plugin", "-p", "no:cacheprovider", *arguments)


def boot(project: pytest.Pytester) -> Record | None:
    return Proof.read(project.path).get("demo", "boot")


def test_a_boot_is_written_with_its_probes(project: pytest.Pytester) -> None:
    run(project).assert_outcomes(passed=2)
    record = boot(project)
    assert record is not None
    assert record.passed
    assert [probe.name for probe in record.probes] == ["test_answers", "test_survives"]


def test_an_unchanged_boot_is_not_repeated_and_says_so(project: pytest.Pytester) -> None:
    run(project)
    result = run(project)
    result.assert_outcomes(deselected=2)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*2 unchanged*not booted again: test_demo as at *FRESH=1 does*"])
    assert Path("ran.txt").read_text() == "answers "


@pytest.mark.parametrize("change", ["inputs", "FRESH", "failed before"])
def test_a_boot_is_repeated_when_it_must_be(
    project: pytest.Pytester, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if change == "failed before":
        Path("verdict.txt").write_text("bad")
    run(project)
    Path("verdict.txt").write_text("good")
    if change == "inputs":
        Path("inputs.txt").write_text("two")
    if change == "FRESH":
        monkeypatch.setenv("FRESH", "1")
    run(project).assert_outcomes(passed=2)
    assert Path("ran.txt").read_text() == "answers answers "


def test_a_failed_probe_makes_the_boot_failed(project: pytest.Pytester) -> None:
    Path("verdict.txt").write_text("bad")
    run(project).assert_outcomes(passed=1, failed=1)
    record = boot(project)
    assert record is not None
    assert not record.passed


@pytest.mark.parametrize("selection", [["-k", "answers"], ["tests/test_demo.py::test_answers"], ["-x"]])
def test_a_part_of_the_probes_leaves_the_proof_as_it_was(project: pytest.Pytester, selection: list[str]) -> None:
    run(project)
    before = boot(project)
    Path("inputs.txt").write_text("two")
    if selection == ["-x"]:
        tests = Path("tests/test_demo.py")
        tests.write_text(tests.read_text().replace("def test_answers():", "def test_answers():\n    assert False"))
    result = run(project, *selection)
    assert "KeyError" not in str(result.stderr) + str(result.stdout)
    assert boot(project) == before


def test_a_skipped_test_is_not_a_pass(project: pytest.Pytester) -> None:
    Path("tests/test_skips.py").write_text("import pytest\ndef test_it():\n    pytest.skip('no engine')\n")
    assert run(project).ret == 1


def test_a_teardown_that_fails_is_a_failure(project: pytest.Pytester) -> None:
    tests = Path("tests/test_demo.py")
    tests.write_text(tests.read_text() + "\n@pytest.fixture\ndef leaves():\n    yield\n    assert False\n"
                     "\ndef test_leaves(leaves):\n    pass\n")  # fmt: skip
    run(project)
    record = boot(project)
    assert record is not None
    assert not record.passed


def test_a_check_is_proven_until_its_file_changes(tmp_path: Path) -> None:
    file = tmp_path / SNIPPET
    file.parent.mkdir(parents=True)
    file.write_text("services: {}\n")
    store = Proof.read(tmp_path)
    assert proof.row(store, tmp_path, SNIPPET).state == "not run"

    content = proof.digests(tmp_path, [SNIPPET])[SNIPPET]
    for check in ("yamllint", "compose_config"):
        store.add(Record(SNIPPET, check, f"{check} 1", True, 0.1, content, "none", proof.now()))
    assert proof.row(store, tmp_path, SNIPPET).state == "not run", "one check of three has not run"

    store.add(Record(SNIPPET, "compose_schema", "schema 1", True, 0.1, content, "none", proof.now()))
    store.write()
    assert proof.row(Proof.read(tmp_path), tmp_path, SNIPPET).state == "proven"

    file.write_text("services: {a: {}}\n")
    assert proof.row(store, tmp_path, SNIPPET).state == "changed"

    store.add(
        Record(
            SNIPPET, "yamllint", "yamllint 1", False, 0.1, proof.digests(tmp_path, [SNIPPET])[SNIPPET], "none", "now"
        )
    )
    assert proof.row(store, tmp_path, SNIPPET).state == "failed"


def test_a_boot_is_changed_when_a_file_of_it_changed_or_is_gone(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    record = Record("demo", "boot", "Compose", True, 1.0, "d", "none", "now", files=proof.digests(tmp_path, ["a"]))
    assert proof.boot_state(record, tmp_path) == "proven"
    (tmp_path / "a").write_text("2")
    assert proof.boot_state(record, tmp_path) == "changed"
    (tmp_path / "a").unlink()
    assert proof.boot_state(record, tmp_path) == "changed"


def test_a_damaged_store_is_an_error_and_not_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache/proof.json").write_text("{")
    with pytest.raises(HandbookError, match=r"proof\.json: not JSON"):
        Proof.read(tmp_path)


def test_a_store_of_another_format_proves_nothing(tmp_path: Path) -> None:
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache/proof.json").write_text(json.dumps({"format": 0, "records": [{}]}))
    assert Proof.read(tmp_path).get("demo", "boot") is None
