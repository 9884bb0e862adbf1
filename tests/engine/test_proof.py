"""Proof says what ran, for which content, and nothing more."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from handbook import proof, pytest_plugin
from handbook.findings import HandbookError
from handbook.proof import Judge, Proof, Record
from tests.records import STORY, WALKTHROUGH, WORK, booted, checked, record, write

pytest_plugins = ["pytester"]

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
    monkeypatch.delenv("FRESH", raising=False)
    pytester.makefile(".txt", inputs="one", verdict="good", ran="")
    pytester.path.joinpath("snippets/demo").mkdir(parents=True)
    pytester.mkdir("tests").joinpath("test_demo.py").write_text(BOOT)
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.runpytest_inprocess("-p", "handbook.pytest_plugin", *arguments)


def add(test: str) -> None:
    tests = Path("tests/test_demo.py")
    tests.write_text(tests.read_text() + test)


def boot(project: pytest.Pytester) -> Record | None:
    return Proof.read(project.path).get("demo", "tests/test_demo.py")


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


def test_what_failed_before_is_a_part_too(project: pytest.Pytester) -> None:
    Path("verdict.txt").write_text("bad")
    run(project)
    Path("verdict.txt").write_text("good")
    run(project, "--lf").assert_outcomes(passed=1)
    record = boot(project)
    assert record is not None
    assert not record.passed
    run(project).assert_outcomes(passed=2)


def test_a_new_probe_makes_it_run_again(project: pytest.Pytester) -> None:
    run(project)
    add("\ndef test_more():\n    pass\n")
    run(project).assert_outcomes(passed=3)


def test_a_boot_that_never_gets_healthy_is_failed(project: pytest.Pytester) -> None:
    add("\nSTACK = 'demo'\n")
    run(project)
    tests = Path("tests/test_demo.py")
    tests.write_text(tests.read_text().replace("def stack(boots):", "def stack():\n    raise RuntimeError"))
    Path("inputs.txt").write_text("two")
    run(project).assert_outcomes(errors=2)
    record = boot(project)
    assert record is not None
    assert not record.passed


def test_what_was_edited_during_the_run_is_run_again(project: pytest.Pytester) -> None:
    add("\ndef test_slow():\n    open('inputs.txt', 'a').write('x')\n")
    run(project).assert_outcomes(passed=3)
    Path("inputs.txt").write_text("one")
    run(project).assert_outcomes(passed=3)


def test_a_mistake_is_told_without_a_traceback(project: pytest.Pytester) -> None:
    tests = Path("tests/test_demo.py")
    tests.write_text(
        tests.read_text().replace(
            "def inputs():",
            "def inputs():\n    from handbook.findings import HandbookError as E\n    raise E('no engine')",
        )
    )
    result = run(project)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: no engine" in str(result.stderr)
    assert "Traceback" not in str(result.stderr) + str(result.stdout)
    tests.unlink()


def test_listing_the_tests_asks_for_nothing(project: pytest.Pytester) -> None:
    Path("inputs.txt").unlink()
    assert run(project, "--collect-only").ret == 0


def test_a_test_of_a_probe_is_no_probe_and_counts_all_the_same(project: pytest.Pytester) -> None:
    add("\n@pytest.mark.negative\ndef test_a_probe_can_fail():\n    assert open('verdict.txt').read() == 'good'\n")
    run(project).assert_outcomes(passed=3)
    record = boot(project)
    assert record is not None
    assert [probe.name for probe in record.probes] == ["test_answers", "test_survives"]
    Path("verdict.txt").write_text("bad")
    Path("inputs.txt").write_text("two")
    run(project)
    record = boot(project)
    assert record is not None
    assert not record.passed


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


@pytest.fixture
def nginx(tmp_path: Path) -> Path:
    """A checkout with one nginx file and one that it includes."""
    for name in ("nginx.conf", "tls.conf"):
        (tmp_path / "snippets/nginx" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "snippets/nginx" / name).write_text("a;\n")
    return tmp_path


MAIN, PART = "snippets/nginx/nginx.conf", "snippets/nginx/tls.conf"


def test_a_snippet_is_proven_when_all_its_checks_are(nginx: Path) -> None:
    store = Proof.read(nginx)
    assert Judge(store, nginx).row(MAIN).state == "not run"
    store.add(record(nginx, MAIN, "gixy"))
    assert Judge(store, nginx).row(MAIN).state == "not run", "one check of two has not run"
    store.add(record(nginx, MAIN, "nginx_t"))
    store.write()
    assert Judge(Proof.read(nginx), nginx).row(MAIN).state == "proven"


@pytest.mark.parametrize("edited", [MAIN, PART])
def test_a_snippet_changes_with_what_went_into_its_checks(nginx: Path, edited: str) -> None:
    store = Proof.read(nginx)
    store.add(record(nginx, MAIN, "gixy", files=[MAIN, PART]))
    store.add(record(nginx, MAIN, "nginx_t", files=[MAIN]))
    (nginx / edited).write_text("b;\n")
    assert Judge(store, nginx).row(MAIN).state == "changed"


def test_one_failure_outweighs_the_rest(nginx: Path) -> None:
    store = Proof.read(nginx)
    store.add(record(nginx, MAIN, "gixy", passed=False))
    assert Judge(store, nginx).row(MAIN).state == "failed"


def test_a_failed_boot_shows_on_its_snippets(nginx: Path) -> None:
    store = Proof.read(nginx)
    for check in ("gixy", "nginx_t"):
        store.add(record(nginx, MAIN, check))
    failed = record(nginx, "nginx", "boot", passed=False, files=[MAIN])
    store.add(replace(failed, probes=(proof.Outcome("answers", False, 0.1),)))
    row = Judge(store, nginx).row(MAIN)
    assert row.state == "failed"
    assert [record.passed for record in row.boots] == [False]
    assert row.booted_in == ()


def test_what_is_made_to_run_is_not_proven_without_a_boot(tmp_path: Path) -> None:
    path = WALKTHROUGH
    store = checked(tmp_path, path)
    assert Judge(store, tmp_path).row(path).state == "not run"
    store.add(replace(record(tmp_path, "compose/demo", "boot", files=[path]), probes=(proof.Outcome("a", True, 0.1),)))
    assert Judge(store, tmp_path).row(path).state == "proven"
    assert Judge(store, tmp_path).row(path).booted_in == ("compose/demo",)


@pytest.fixture
def demo(tmp_path: Path) -> tuple[Path, str, Proof]:
    """A checkout with a walkthrough whose checks have passed, beside a stack with a longer name."""
    write(tmp_path, "snippets/compose/demo-large/walkthrough.sh")
    return tmp_path, WALKTHROUGH, checked(tmp_path, WALKTHROUGH)


LARGE = "tests/boot/test_compose_demo_large.py"


def test_a_stack_is_proven_when_all_its_modules_have_booted_it(demo: tuple[Path, str, Proof]) -> None:
    root, path, store = demo
    for module in (STORY, WORK, LARGE, "tests/boot/test_compose_demolished.py"):
        write(root, module)
    assert proof.modules(root, "compose/demo") == (STORY, WORK)
    store.add(booted(root, STORY, files=[path]))
    assert Judge(store, root).row(path).state == "not run", "one module of two has not run"
    stack, large = Judge(store, root).booted()
    assert (large.stack, large.state, large.modules) == ("compose/demo-large", "not run", ((LARGE, None),))
    assert (stack.state, [name for name, record in stack.modules if record]) == ("not run", [STORY])
    store.add(booted(root, WORK, files=[path]))
    assert Judge(store, root).row(path).state == "proven"
    assert Judge(store, root).booted()[0].state == "proven"


@pytest.mark.parametrize(("passed", "edited", "state"), [(False, False, "failed"), (True, True, "changed")])
def test_one_module_of_a_stack_shows(demo: tuple[Path, str, Proof], passed: bool, edited: bool, state: str) -> None:
    root, path, store = demo
    (root / "beside.conf").write_text("a;\n")
    store.add(booted(root, STORY, files=[path]))
    store.add(booted(root, WORK, files=[path, "beside.conf"], passed=passed))
    if edited:
        (root / "beside.conf").write_text("b;\n")
    assert Judge(store, root).row(path).state == state
    assert Judge(store, root).booted()[0].state == state


def test_what_nobody_boots_is_not_run(tmp_path: Path) -> None:
    write(tmp_path, WALKTHROUGH)
    write(tmp_path, "snippets/faults/demo/walkthrough.sh")
    (stack,) = Judge(Proof.read(tmp_path), tmp_path).booted()
    assert (stack.stack, stack.state, stack.records) == ("compose/demo", "not run", [])


def test_the_boot_of_a_module_that_is_gone_is_dropped(demo: tuple[Path, str, Proof]) -> None:
    root, path, store = demo
    for module in (STORY, WORK):
        store.add(booted(root, module, files=[path]))
    store.write()
    (root / WORK).unlink()
    assert [record.name for record in Proof.read(root).boots()] == [STORY]


def test_what_cannot_run_here_is_never_called_proven(tmp_path: Path) -> None:
    path = "snippets/ci/gitlab/.gitlab-ci.yml"
    row = Judge(checked(tmp_path, path), tmp_path).row(path)
    assert (row.state, row.kind) == ("not proven here", "gitlab-ci")
    assert row.limits.startswith("No GitLab runner here")


RULE = "scripts/handbook/contracts/ports.py"


def test_a_contract_is_judged_by_what_went_in(tmp_path: Path) -> None:
    for path in (RULE, MAIN):
        write(tmp_path, path)
    store = Proof.read(tmp_path)
    store.add(record(tmp_path, RULE, "ports.asked", files=[RULE, MAIN]))
    store.add(record(tmp_path, RULE, "ports.bind", files=[RULE], passed=False))
    store.write()

    def states() -> dict[str, proof.State]:
        modules = {"ports.asked": RULE, "ports.bind": RULE, "ports.new": RULE}
        return {kept.name: kept.state for kept in Judge(Proof.read(tmp_path), tmp_path).contracts(modules)}

    assert states() == {"ports.asked": "proven", "ports.bind": "failed", "ports.new": "not run"}
    write(tmp_path, MAIN, "b;\n")
    assert states() == {"ports.asked": "changed", "ports.bind": "failed", "ports.new": "not run"}


def test_a_check_tells_how_its_files_are_and_which_tool_was_the_last(nginx: Path) -> None:
    store = Proof.read(nginx)
    store.add(replace(record(nginx, MAIN, "gixy"), tool="gixy 1", time="2026-01-01T00:00:00Z"))
    store.add(replace(record(nginx, PART, "gixy", passed=False), tool="gixy 2", time="2026-02-01T00:00:00Z"))
    store.add(record(nginx, MAIN, "nginx_t"))
    nginx_t, gixy = Judge(store, nginx).checks([MAIN, PART, "snippets/no.kind"])
    assert (gixy.name, gixy.states, gixy.files, gixy.state) == ("gixy", {"proven": 1, "failed": 1}, 2, "failed")
    assert gixy.last
    assert gixy.last.tool == "gixy 2"
    assert (nginx_t.name, nginx_t.states, nginx_t.state) == ("nginx_t", {"proven": 1, "not run": 1}, "not run")


def test_a_record_tells_which_images_ran(nginx: Path) -> None:
    images = {"redis:8": "substitute: redis-server 5:8.0.6-3 from Debian", "nginx:1": "official: nginx:1@sha256:0"}
    ran = replace(record(nginx, MAIN, "x"), images=images).ran
    assert [(image.name, image.word, image.what) for image in ran] == [
        ("nginx:1", "official", "nginx:1@sha256:0"),
        ("redis:8", "substitute", "redis-server 5:8.0.6-3 from Debian"),
    ]


CLUSTER = """
def test_somebody_acts(proves):
    seen = {"Deployment/api": "kubelet", "Gateway/api": ""}
    proves("demo", "acted", tool="Kubernetes 1", seconds=0, files={}, acted=seen)
    assert open("verdict.txt").read() == "good"
"""


def test_who_acted_on_objects_is_written(project: pytest.Pytester) -> None:
    Path("tests/test_cluster.py").write_text(CLUSTER)
    run(project, "tests/test_cluster.py").assert_outcomes(passed=1)
    record = Judge(Proof.read(project.path), project.path).acted("demo")
    assert record is not None
    assert (record.passed, record.acted) == (True, {"Deployment/api": "kubelet", "Gateway/api": ""})
    Path("verdict.txt").write_text("bad")
    run(project, "tests/test_cluster.py").assert_outcomes(failed=1)
    record = Proof.read(project.path).get("demo", proof.ACTED)
    assert record is not None
    assert not record.passed


def test_who_acted_is_no_boot_of_the_folder(nginx: Path) -> None:
    store = Proof.read(nginx)
    store.add(replace(record(nginx, "nginx", proof.ACTED, files=[MAIN]), acted={"Gateway/api": ""}))
    judge = Judge(store, nginx)
    assert judge.booted() == []
    assert judge.row(MAIN).boots == ()


def test_a_record_is_judged_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    good, bad = record(tmp_path, "a", "x"), record(tmp_path, "a", "x", passed=False)

    def judged(one: Record | None) -> proof.State:
        return Judge(Proof.read(tmp_path), tmp_path).state_of(one)

    assert judged(None) == "not run"
    assert (judged(good), judged(bad)) == ("proven", "failed")
    (tmp_path / "a").write_text("2")
    assert (judged(good), judged(bad)) == ("changed", "changed")
    (tmp_path / "a").unlink()
    assert judged(good) == "changed"


def test_records_of_what_is_gone_are_dropped(nginx: Path) -> None:
    store = Proof.read(nginx)
    for subject in (MAIN, "nginx"):
        store.add(record(nginx, subject, "x", files=[MAIN]))
    store.write()
    (nginx / MAIN).unlink()
    kept = Proof.read(nginx)
    assert kept.get(MAIN, "x") is None
    assert kept.get("nginx", "x") is not None


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": 4}', '{"format": 3, "records": [{}]}'])
def test_a_damaged_store_is_an_error_and_not_an_empty_one(tmp_path: Path, text: str) -> None:
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache/proof.json").write_text(text)
    with pytest.raises(HandbookError, match=r"proof\.json: can't be read as proof .* remove it"):
        Proof.read(tmp_path)


def test_a_store_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".cache").write_text("")
    with pytest.raises(HandbookError, match=r"proof\.json: the proof can't be written"):
        Proof(tmp_path / ".cache/proof.json").write()


def test_a_store_of_before_proves_what_it_says(nginx: Path) -> None:
    """Its records have no field for who acted."""
    store = Proof.read(nginx)
    store.add(record(nginx, MAIN, "gixy"))
    store.write()
    file = nginx / ".cache/proof.json"
    whole = json.loads(file.read_text())
    assert whole["format"] == proof.FORMAT
    for one in whole["records"]:
        del one["acted"]
    file.write_text(json.dumps({**whole, "format": 3}))
    assert Proof.read(nginx).get(MAIN, "gixy") == store.get(MAIN, "gixy")


def test_a_store_of_another_format_proves_nothing(tmp_path: Path) -> None:
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache/proof.json").write_text(json.dumps({"format": 0, "records": [{}]}))
    assert Proof.read(tmp_path).boots() == []
