"""The lock and the folders of the substitutes can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from handbook import images


def test_committed_lock_can_be_read() -> None:
    images.read_lock()


@pytest.mark.parametrize("dockerfile", sorted(images.FOLDERS.rglob("Dockerfile")), ids=lambda path: path.parent.name)
def test_committed_substitute_is_named_after_its_image(dockerfile: Path) -> None:
    repository = dockerfile.parent.relative_to(images.FOLDERS).as_posix()
    assert images._label(dockerfile, "bootproof.stands-for").startswith(f"{repository}:")
    assert images._label(dockerfile, "bootproof.packages")
    assert images.suite_of(dockerfile)
