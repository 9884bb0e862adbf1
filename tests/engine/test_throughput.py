"""The benchmark of nginx takes no number from a run in which something went wrong."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest

from handbook.findings import HandbookError
from tests.bench import throughput
from tests.bench.throughput import Rates, Sent

GOOD = {"requests": 9000, "microseconds": 3_000_000, "addresses": 2, "bad": 0, "broken": 0}


def send(monkeypatch: pytest.MonkeyPatch, code: int = 0, **differs: int) -> Sent:
    """What is made of a run of wrk that says this at its end."""
    said = f"Running 3s test\n{json.dumps({**GOOD, **differs})}\n"

    def run(command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(list(command), code, said, "unable to connect")

    monkeypatch.setattr(throughput.tools, "run", run)
    return throughput.wrk("image", "network", "--add-host=a:1", "http://a", 2, 3)


def test_rate_is_that_of_the_time_that_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    assert send(monkeypatch) == Sent(9000, 3000)


@pytest.mark.parametrize(
    ("differs", "message"),
    [
        ({"code": 1}, "wrk ended with 1: .*unable to connect"),
        ({"bad": 1}, "not every request was answered well"),
        ({"broken": 1}, "not every request was answered well"),
        ({"requests": 0}, "not every request was answered well"),
        ({"addresses": 1}, "1 addresses were asked, not 2"),
    ],
)
def test_bad_run_is_refused(differs: dict[str, int], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HandbookError, match=re.compile(message, re.DOTALL)):
        send(monkeypatch, **differs)


@pytest.mark.parametrize("said", ["", "Running 3s test\nRequests/sec: 3000\n"])
def test_run_without_its_script_is_refused(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """wrk ends with 0 all the same."""
    ended = subprocess.CompletedProcess(["docker"], 0, said, "cannot open /spread.lua")
    monkeypatch.setattr(throughput.tools, "run", lambda *_, **__: ended)
    with pytest.raises(HandbookError, match=re.compile("spread.lua has told nothing: .*cannot open", re.DOTALL)):
        throughput.wrk("image", "network", "--add-host=a:1", "http://a", 2, 3)


def test_ratio_compares_neighbours() -> None:
    # The machine was half as fast in the last two rounds.
    assert Rates(direct=[1000, 1000, 500, 500], nginx=[900, 900, 450, 450]).ratio == pytest.approx(0.9)
