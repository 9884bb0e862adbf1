"""The benchmark of processes and pods takes no number from a run in which something went wrong."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from handbook.findings import HandbookError
from tests.bench import pods
from tests.bench.pods import CASES, ONE, PODS, Answers, Cores

GOOD = {"requests": 9000, "microseconds": 4_000_000, "addresses": 1, "bad": 0, "broken": 0, "p99": 20_000}
CORES = Cores("0", "1")


def say(monkeypatch: pytest.MonkeyPatch, said: str, code: int = 0) -> None:
    """Let Docker say this."""

    def run(command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(list(command), code, said, "unable to connect")

    monkeypatch.setattr(pods.tools, "run", run)


def compare(monkeypatch: pytest.MonkeyPatch, group: Path, **differs: int) -> pods.Seen:
    """What is made of one case, whose requests went so."""
    say(monkeypatch, json.dumps({**GOOD, **differs}))
    monkeypatch.setattr(pods.Pod, "group", lambda _: group)
    return pods.compare({ONE: [pods.Pod("pod", 1)]}, "image", "network", CORES)[ONE]


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """A control group in which nothing was killed."""
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.stat").write_text("inactive_file 100\nactive_file 200\n")
    (tmp_path / "memory.events").write_text("oom 0\noom_kill 0\n")
    return tmp_path


def test_limits_are_those_of_the_deployment() -> None:
    limits = pods.pod_limits()
    assert 0 < limits.cpu < 1
    assert limits.memory >= 1 << 28


@pytest.mark.parametrize(("text", "cores"), [("250m", 0.25), ("1", 1), ("0.5", 0.5)])
def test_cpu_is_read_in_either_way(text: str, cores: float) -> None:
    assert pods.cpu_cores(text) == cores


def test_cases_share_their_limits_two_by_two() -> None:
    assert [case.pods * case.times for case in CASES] == [1, 1, pods.MANY, pods.MANY]
    assert len({case.name for case in CASES}) == len(CASES)


def test_one_core_is_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pods.os, "sched_getaffinity", lambda _: {3})
    with pytest.raises(HandbookError, match="two cores"):
        pods.split_cores()


def test_rate_and_memory_are_what_was_seen(monkeypatch: pytest.MonkeyPatch, group: Path) -> None:
    seen = compare(monkeypatch, group)
    assert (seen.rates, seen.p99) == ([2250] * pods.ROUNDS, [20] * pods.ROUNDS)
    assert (seen.memory, seen.killed, seen.failed) == (700, 0, 0)


def test_request_that_failed_for_no_reason_is_refused(monkeypatch: pytest.MonkeyPatch, group: Path) -> None:
    with pytest.raises(HandbookError, match="1 process: 6 requests failed, and nothing was killed"):
        compare(monkeypatch, group, bad=1, broken=1)


def test_request_that_failed_when_something_was_killed_is_counted(monkeypatch: pytest.MonkeyPatch, group: Path) -> None:
    (group / "memory.events").write_text("oom_kill 2\n")
    seen = compare(monkeypatch, group, broken=1)
    assert (seen.killed, seen.failed) == (2, pods.ROUNDS)


def test_version_1_of_control_groups_counts_as_well(tmp_path: Path) -> None:
    (tmp_path / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    assert pods.killed(tmp_path) == 3


def test_group_that_tells_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HandbookError, match="does not say how many"):
        pods.killed(tmp_path)


def test_pods_that_were_not_all_asked_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, json.dumps({**GOOD, "addresses": 2}))
    with pytest.raises(HandbookError, match="not 4 pods were asked"):
        pods.asked("image", "network", PODS, 1, CORES)


@pytest.mark.parametrize(("said", "code", "message"), [("", 0, "has told nothing"), ("", 1, "unable to connect")])
def test_wrk_that_tells_nothing_is_refused(said: str, code: int, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, said, code)
    with pytest.raises(HandbookError, match=message):
        pods.asked("image", "network", ONE, 1, CORES)


def test_silence_is_the_longest_time_between_two_answers() -> None:
    # They come in any order: each is asked for in a thread of its own.
    assert Answers(5, [10.0, 13.5, 10.1]).numbers() == {"requests": 5, "failed": 2, "silent": 3.4}


def test_client_that_got_no_answer_is_refused() -> None:
    with pytest.raises(HandbookError, match="0 of 7"):
        Answers(7).numbers()
