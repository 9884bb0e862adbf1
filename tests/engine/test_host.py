"""A command in the fresh host runs once, and a second time only where the engine has not begun it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Any

import pytest

from handbook import host
from handbook.findings import HandbookError
from handbook.host import Host

REFUSED = "OCI runtime exec failed: exec failed: unable to start container process"


def ran(monkeypatch: pytest.MonkeyPatch, script: str, code: int, said: str) -> int:
    """How often a script is begun that ends like this the first time, and with 0 afterwards."""
    begun = 0

    def run(command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        nonlocal begun
        begun += 1
        return subprocess.CompletedProcess(list(command), code if begun == 1 else 0, said, "")

    monkeypatch.setattr(host, "run", run)
    try:
        Host().run(script)
    except HandbookError:
        assert begun == 1
    return begun


@pytest.mark.parametrize(
    ("script", "code", "said", "times"),
    [
        ("true", 0, "", 1),
        ("true", 126, REFUSED, 2),
        # The script itself has a file that cannot be run.
        ("./data", 126, "Permission denied", 1),
        ("false", 1, REFUSED, 1),
        # That may be the engine in the host, and what stands before it has run.
        ("date; docker exec hello true", 126, REFUSED, 1),
    ],
)
def test_only_what_was_not_begun_is_begun_again(
    script: str, code: int, said: str, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ran(monkeypatch, script, code, said) == times
