"""Substitutes are made once, under names of their own, and refuse what the official images refuse."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from handbook import images
from handbook.tools import run
from tests.verdicts import one, with_docker

POSTGRES = "pgvector/pgvector:0.8.7-pg18-trixie"
NGINX = "nginx:1.30.6"
PYTHON = "python:3.13-slim-trixie"


def inputs() -> str:
    """The digest of all that this module's result depends on; the images stand for the files they are made from."""
    return one(with_docker(__file__))


@pytest.fixture(scope="module")
def substitutes() -> Iterator[dict[str, images.Image]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGES", "substitute")
        yield images.ensure([POSTGRES, NGINX, PYTHON])


def start(image: images.Image, *arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return run(["docker", "run", "--rm", "--network", "none", *options, image.local, *arguments], timeout=30)


def test_second_call_makes_nothing(
    substitutes: dict[str, images.Image], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IMAGES", "substitute")
    assert images.ensure(substitutes) == substitutes
    assert capfd.readouterr().err == ""


def test_no_substitute_has_an_official_name(substitutes: dict[str, images.Image]) -> None:
    for image in substitutes.values():
        found = images._inspect(image.local)
        assert found is not None
        assert all(tag.startswith("bootproof.local/") for tag in found["RepoTags"])


@pytest.mark.parametrize(
    ("name", "command", "says"),
    [
        (PYTHON, ("python", "--version"), "Python 3.13."),
        (NGINX, ("nginx", "-v"), "nginx version: nginx/1.30."),
        (POSTGRES, ("postgres", "--version"), "postgres (PostgreSQL) 18."),
    ],
)
def test_version_is_that_of_the_official_tag(
    substitutes: dict[str, images.Image], name: str, command: tuple[str, ...], says: str
) -> None:
    result = start(substitutes[name], *command)
    assert says in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "POSTGRES_PASSWORD is empty"),
        (
            ("--env", "POSTGRES_PASSWORD=x", "--tmpfs", "/var/lib/postgresql/data"),
            "mount the volume at /var/lib/postgresql instead",
        ),
        (("--user", "999:999", "--env", "POSTGRES_PASSWORD_FILE=/etc/shadow"), "cannot be read by uid 999"),
    ],
)
def test_postgres_refuses(substitutes: dict[str, images.Image], options: tuple[str, ...], says: str) -> None:
    result = start(substitutes[POSTGRES], options=options)
    assert result.returncode == 1
    assert says in result.stderr
