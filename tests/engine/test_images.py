"""Where images come from is decided by the environment, the lock and the folders of the substitutes."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from handbook import images
from handbook.images import ImageError, Reference

DIGEST = "sha256:" + "a1" * 32
Answer = tuple[int, str, str]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IMAGES", "REGISTRY", "DEBIAN_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    images._registry_answers.cache_clear()


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[list[str]], Answer]], list[list[str]]]:
    """Put a function in the place of every program; returns the list of what was run."""

    def replace(answer: Callable[[list[str]], Answer]) -> list[list[str]]:
        ran: list[list[str]] = []

        def run(command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
            ran.append(list(command))
            return subprocess.CompletedProcess(list(command), *answer(list(command)))

        monkeypatch.setattr(images, "run", run)
        return ran

    return replace


def substitute(folder: Path, repository: str, stands_for: str) -> Path:
    (folder / repository).mkdir(parents=True)
    dockerfile = folder / repository / "Dockerfile"
    dockerfile.write_text(f'FROM x\nLABEL bootproof.stands-for="{stands_for}" \\\n      bootproof.packages="y"\n')
    return dockerfile


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nginx:1.30.6", Reference("", "nginx", "1.30.6")),
        ("pgvector/pgvector:0.8.7-pg18-trixie", Reference("", "pgvector/pgvector", "0.8.7-pg18-trixie")),
        ("ghcr.io/owner/name:1", Reference("ghcr.io", "owner/name", "1")),
        ("localhost:5000/name:1", Reference("localhost:5000", "name", "1")),
    ],
)
def test_reference_is_read_and_written_alike(text: str, expected: Reference) -> None:
    assert Reference.parse(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize("text", ["nginx", "nginx:", "Nginx:1", "nginx:1 ", f"nginx:1@{DIGEST}", "", "-x:1", "a//b:1"])
def test_what_is_no_tag_of_an_image_is_refused(text: str) -> None:
    with pytest.raises(ImageError, match=r"is not an image with a tag, such as nginx:1\.30\.6"):
        Reference.parse(text)


@pytest.mark.parametrize(
    ("text", "behind"),
    [
        ("nginx:1.30.6", "mirror.example:5000/hub/library/nginx:1.30.6"),
        ("pgvector/pgvector:1", "mirror.example:5000/hub/pgvector/pgvector:1"),
        ("ghcr.io/owner/name:1", "ghcr.io/owner/name:1"),
    ],
)
def test_registry_prefix_stands_in_for_docker_hub_only(text: str, behind: str) -> None:
    assert Reference.parse(text).behind("mirror.example:5000/hub") == behind
    assert Reference.parse(text).behind("") == text


@pytest.mark.parametrize("prefix", ["https://mirror.example", "mirror.example/x:1", "mirror example"])
def test_bad_registry_prefix(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY", prefix)
    monkeypatch.setenv("IMAGES", "official")
    with pytest.raises(ImageError, match=r"REGISTRY=.* is not host\[:port\]"):
        images.ensure(["nginx:1.30.6"])


def test_bad_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGES", "Official")
    with pytest.raises(ImageError, match="IMAGES=Official is not known; use one of official, substitute, auto"):
        images.ensure(["nginx:1.30.6"])


def test_lock_is_read(tmp_path: Path) -> None:
    lock = tmp_path / "images.lock"
    assert images.read_lock(lock) == {}
    lock.write_text(f"# made by a command\n\nnginx:1.30.6@{DIGEST}\n")
    assert images.read_lock(lock) == {"nginx:1.30.6": DIGEST}


@pytest.mark.parametrize("entry", ["nginx:1.30.6", f"nginx@{DIGEST}", "nginx:1@sha256:12", f"nginx:1@{DIGEST}0", "x y"])
def test_bad_line_in_the_lock_is_named(entry: str, tmp_path: Path) -> None:
    lock = tmp_path / "images.lock"
    lock.write_text(f"# a comment\n{entry}\n")
    with pytest.raises(ImageError, match=re.escape(f"images.lock:2: `{entry}` is not name:tag@sha256")):
        images.read_lock(lock)


def test_two_digests_for_one_tag_are_refused(tmp_path: Path) -> None:
    lock = tmp_path / "images.lock"
    lock.write_text(f"nginx:1@{DIGEST}\nnginx:1@{DIGEST}\n")
    with pytest.raises(ImageError, match=r"images\.lock:2: nginx:1 is locked twice"):
        images.read_lock(lock)


def test_unknown_image_names_the_folder_to_add(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGES", "substitute")
    with pytest.raises(ImageError, match=r"no substitute for team/tool:8; add scripts/images/team/tool/Dockerfile"):
        images.ensure(["team/tool:8"])


def test_substitute_does_not_stand_for_another_version(tmp_path: Path) -> None:
    folder = substitute(tmp_path, "python", "python:3.13*").parent
    assert images.folder_of(Reference.parse("python:3.13-slim"), tmp_path) == folder
    with pytest.raises(ImageError, match=r"stands for python:3\.13\*, not for python:3\.12-slim"):
        images.folder_of(Reference.parse("python:3.12-slim"), tmp_path)


def test_substitute_without_its_label(tmp_path: Path) -> None:
    substitute(tmp_path, "python", "python:*").write_text("FROM x\n")
    with pytest.raises(ImageError, match=r"python/Dockerfile: the label bootproof\.stands-for="):
        images.folder_of(Reference.parse("python:3.13-slim"), tmp_path)


def test_substitute_on_another_base_than_ours(tmp_path: Path) -> None:
    dockerfile = substitute(tmp_path, "python", "python:*")
    with pytest.raises(ImageError, match=r"python/Dockerfile:1: a substitute starts with FROM bootproof\.local/base:"):
        images.suite_of(dockerfile)
    dockerfile.write_text("FROM bootproof.local/base:trixie\n")
    assert images.suite_of(dockerfile) == "trixie"


def test_content_follows_names_bytes_and_modes(tmp_path: Path) -> None:
    script = tmp_path / "start.sh"
    script.write_text("one\n")
    script.chmod(0o644)
    seen = {images._content(tmp_path)}
    script.chmod(0o755)
    seen.add(images._content(tmp_path))
    script.write_text("two\n")
    seen.add(images._content(tmp_path))
    script.rename(tmp_path / "begin.sh")
    seen.add(images._content(tmp_path))
    seen.add(images._content(tmp_path, "of another base"))
    assert len(seen) == 5


@pytest.mark.parametrize(
    ("reason", "decision"),
    [
        ("lookup registry: no such host", "substitute"),
        ("dial tcp: i/o timeout", "substitute"),
        ("403 Forbidden", "substitute"),
        ("library/nginx:9: not found", "official"),
        ("429 Too Many Requests", "official"),
    ],
)
def test_registry_that_answers_is_told_from_one_that_does_not(reason: str, decision: str, docker: Any) -> None:
    ran = docker(lambda command: (1, "", "No such image" if "image" in command else f"first\nERROR: {reason}"))
    assert images.decide(["nginx:1"]) == decision
    assert images.decide(["nginx:1"]) == decision
    assert sum("imagetools" in command for command in ran) == 1


@pytest.mark.parametrize("mode", ["official", "substitute"])
def test_given_mode_asks_nobody(mode: str, docker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = docker(lambda command: (1, "", "No such image"))
    monkeypatch.setenv("IMAGES", mode)
    assert images.decide(["nginx:1"]) == mode
    assert ran == []


def test_registry_is_not_asked_when_every_image_is_there(docker: Any) -> None:
    ran = docker(lambda command: (0, '[{"Id": "sha256:1"}]', ""))
    assert images.decide(["nginx:1", "python:3"]) == "official"
    assert not any("imagetools" in command for command in ran)


def test_silent_engine_is_not_taken_for_a_missing_image(docker: Any) -> None:
    docker(lambda command: (1, "", "Cannot connect to the Docker daemon at unix:///x"))
    with pytest.raises(ImageError, match=r"Docker does not answer: Cannot connect .* run `make docker`"):
        images.decide(["nginx:1"])


def test_locked_digest_is_what_is_pulled(docker: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pulled: list[str] = []

    def answer(command: list[str]) -> Answer:
        if command[1] == "pull":
            pulled.append(command[-1])
            return 0, "", ""
        return (0, '[{"Id": "sha256:1"}]', "") if command[-1] in pulled else (1, "", "No such image")

    docker(answer)
    monkeypatch.setattr(images, "read_lock", lambda: {"nginx:1": DIGEST})
    monkeypatch.setenv("IMAGES", "official")
    monkeypatch.setenv("REGISTRY", "mirror.example/")
    locked = f"mirror.example/library/nginx:1@{DIGEST}"
    image = images.ensure(["nginx:1"])["nginx:1"]
    assert pulled == [locked]
    assert (image.local, image.official, image.build_context) == (locked, True, f"docker-image://{locked}")


def test_failed_pull_leaves_the_lock_alone(docker: Any, tmp_path: Path) -> None:
    lock = tmp_path / "images.lock"
    lock.write_text("as it was")
    docker(lambda command: (1, "", "manifest unknown"))
    with pytest.raises(ImageError, match="nginx:1 cannot be pulled: manifest unknown; set REGISTRY"):
        images.write_lock(["nginx:1"], lock)
    assert lock.read_text() == "as it was"


def test_failed_build_shows_the_end_of_its_log(docker: Any) -> None:
    docker(lambda command: (1, "", "\n".join(f"line {number}" for number in range(100))))
    with pytest.raises(ImageError) as error:
        images._run_or_show(["docker", "build"], "the substitute for nginx:1")
    lines = str(error.value).splitlines()
    assert lines[0] == "the substitute for nginx:1 cannot be made; the end of the log:"
    assert [line.strip() for line in lines[1:]] == [f"line {number}" for number in range(70, 100)]


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A Dockerfile of our own, upon a base that is there."""
    base = images.Image("debian:x", "bootproof.local/debian:x", "sha256:1", official=False)
    monkeypatch.setattr(images, "ensure", lambda names: dict.fromkeys(names, base))
    monkeypatch.setattr(images.catalog, "ROOT", tmp_path)
    (tmp_path / "tool").mkdir()
    file = tmp_path / "tool/Dockerfile"
    file.write_text("FROM debian:x\n")
    return file


def test_image_of_our_own_is_built_once_for_each_content(docker: Any, own: Path) -> None:
    there = {"bootproof.local/tool:old"}

    def answer(command: list[str]) -> Answer:
        if command[1] == "build":
            there.add(command[command.index("--tag") + 1])
        if command[1:3] == ["image", "rm"]:
            there.remove(command[-1])
        if command[1:3] == ["image", "inspect"]:
            return (0, '[{"Id": "x"}]', "") if command[-1] in there else (1, "", "No such image")
        return 0, "\n".join(there), ""

    ran = docker(answer)
    name = images.built_upon("debian:x", "tool/Dockerfile", "tool")
    assert there == {name}, "the older one goes"
    build = next(command for command in ran if command[1] == "build")
    assert "debian:x=docker-image://bootproof.local/debian:x" in build
    assert build[-1] == str(own.parent)
    assert images.built_upon("debian:x", "tool/Dockerfile", "tool") == name
    own.write_text("FROM debian:x\nRUN true\n")
    assert images.built_upon("debian:x", "tool/Dockerfile", "tool") != name
    assert sum(command[1] == "build" for command in ran) == 2


def test_image_of_our_own_that_cannot_be_built_shows_why(docker: Any, own: Path) -> None:
    docker(lambda command: (1, "", "No such image" if "inspect" in command else "no package wrk"))
    with pytest.raises(ImageError, match=r"the image of tool/Dockerfile cannot be made; .*\n    no package wrk$"):
        images.built_upon("debian:x", "tool/Dockerfile", "tool")


def test_archive_of_this_machine_is_found_in_apt(docker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (
        "Debian|Debian-Security|main|http://security/\nOther|Debian|main|http://other/\nDebian|Debian|main|http://a/\n"
    )
    docker(lambda command: (0, rows, ""))
    assert images._debian_mirror() == "http://a/"
    monkeypatch.setenv("DEBIAN_MIRROR", "http://given/")
    assert images._debian_mirror() == "http://given/"


def test_machine_without_a_debian_archive_is_told_what_to_set(docker: Any) -> None:
    docker(lambda command: (0, "Ubuntu|Ubuntu|main|http://u/\n", ""))
    with pytest.raises(ImageError, match="set DEBIAN_MIRROR"):
        images._debian_mirror()
