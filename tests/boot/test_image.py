"""The image of the service by itself: built, looked into, run with secrets as files, stopped, as its page does it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from handbook import images, proof, tools
from handbook.catalog import ROOT, Catalog
from handbook.stacks import ComposeStack, docker_version
from handbook.walkthroughs import Walkthrough
from tests.verdicts import one, with_docker

from .building import path_with

WALKTHROUGH = "snippets/image/walkthrough.sh"
NAME, TAG = "assistant-alone", "assistant:1.0.0"
# Compose's answer to how this image is built: its bases, and the arguments that this machine's environment sets.
PRODUCTION = ComposeStack("compose/production", Catalog())


def inputs() -> str:
    """The digest of all that this module's result depends on."""
    helper = proof.digests(ROOT, ["tests/boot/building.py"])
    return one(with_docker(__file__) | helper)


def built_from() -> list[str]:
    return [path for path in PRODUCTION.files if path.startswith("snippets/service/")]


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walkthrough]:
    """The walkthrough beside a copy of the service's folder; `docker build` finds the bases by their official names."""
    folder = tmp_path_factory.mktemp("image")
    for path in built_from():
        target = folder / path.removeprefix("snippets/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, target)
    path = path_with(folder, PRODUCTION.references, PRODUCTION.build_arguments("service"))
    there = tools.run(["docker", "image", "inspect", TAG]).returncode == 0
    assert not there, f"{TAG} is there already, and this test would replace it; remove it: docker image rm {TAG}"
    environment = {"PATH": path, "no_proxy": "*"}
    try:
        with Walkthrough(ROOT / WALKTHROUGH, cwd=folder, env=environment, name=WALKTHROUGH) as walkthrough:
            yield walkthrough
    finally:
        tools.run(["docker", "rm", "--force", NAME])
        tools.run(["docker", "image", "rm", TAG])


def test_it_holds_what_it_needs_and_no_more(walk: Walkthrough) -> None:
    seen = walk.until("see-what-is-in-it").stdout.splitlines()
    assert seen[0] == "user 10001:10001, command [gunicorn], stopped by SIGTERM"
    assert {"alembic.ini", "assistant", "gunicorn.conf.py", "migrations"} == set(seen[1:5])
    assert any("gunicorn" in line for line in seen[5:])


def test_it_runs_alone(walk: Walkthrough, boots: Any) -> None:
    """Ready without a database: the routes that need one say so themselves."""
    files = proof.digests(ROOT, [WALKTHROUGH, *built_from()])
    ready, *logs = walk.until("ask-it").stdout.splitlines()
    assert json.loads(ready.partition("}")[0] + "}") == {"state": "up"}
    assert logs
    boots(
        "image",
        tool=f"docker {docker_version()}",
        seconds=sum(result.seconds for result in walk.results.values()),
        digest=inputs(),
        files=files,
        images={image.name: str(image) for image in images.ensure(PRODUCTION.references).values()},
    )


def test_secrets_are_files(walk: Walkthrough) -> None:
    walk.until("run-it")
    shown = tools.run(["docker", "inspect", NAME]).stdout
    names = json.loads(shown)[0]["Config"]["Env"]
    assert not [name for name in names if "PASSWORD" in name or "KEY" in name], names


def test_it_stops_well(walk: Walkthrough) -> None:
    assert "ended with 0" in walk.until("stop-it").stdout


def test_nothing_is_left(walk: Walkthrough) -> None:
    walk.until("remove-it")
    assert tools.run(["docker", "inspect", NAME]).returncode
