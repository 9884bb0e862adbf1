"""Which files a stack takes along, which images it names, and what is refused. No Docker is asked."""

import io
import itertools
import os
import socket
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from handbook import images, stacks
from handbook.catalog import Catalog
from handbook.findings import HandbookError
from handbook.stacks import Boot, ComposeStack, find, names

COMPOSE = """
services:
  proxy:
    image: nginx:1.30.6
    volumes:
      - ./proxy.conf:/etc/nginx/nginx.conf:ro
      - {type: bind, source: ../../nginx, target: /etc/nginx/shared}
      - data:/data
  app:
    image: app:${VERSION:-1.0.0}
    build: {context: ../../app}
    env_file: [app.env, {path: ../more.env}]
    secrets: [password]
  jobs:
    <<: &common {stop_grace_period: 1m}
    image: app:${VERSION:-1.0.0}
    volumes: [./secrets/tls:/tls:ro]
volumes: {data: {}}
secrets: {password: {file: secrets/password}}
"""
DOCKERFILE = """
ARG INDEX
ARG LEVEL=1
FROM --platform=linux/amd64 python:3.13 AS build
FROM build AS test
FROM debian:13
COPY --from=build /a /a
"""
FILES = {
    ".gitignore": "secrets/\n",
    "snippets/compose/small/compose.yaml": COMPOSE,
    "snippets/compose/small/proxy.conf": "",
    "snippets/compose/small/app.env": "",
    "snippets/compose/small/prepare.sh": 'chmod 0400 "$work/tls/tls.key"\n',
    "snippets/compose/small/secrets/password": "PASSWORD=generated\n",
    "snippets/compose/more.env": "",
    "snippets/nginx/tls.conf": "",
    "snippets/app/Dockerfile": DOCKERFILE,
    "snippets/app/app.py": "",
    "snippets/other/file.txt": "",
    "outside/file.txt": "",
}
TAKEN = {
    "app/Dockerfile",
    "app/app.py",
    "compose/more.env",
    "compose/small/app.env",
    "compose/small/compose.yaml",
    "compose/small/prepare.sh",
    "compose/small/proxy.conf",
    "nginx/tls.conf",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "checkout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    subprocess.run(["git", "init", "--quiet", "checkout"], cwd=tmp_path, check=True)
    return tmp_path / "checkout"


def small(root: Path) -> ComposeStack:
    return ComposeStack("compose/small", Catalog(root))


def replace(root: Path, old: str, new: str) -> None:
    path = root / "snippets/compose/small/compose.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_it_takes_what_its_services_need_and_no_more(root: Path) -> None:
    assert names(Catalog(root)) == ("compose/small",)
    assert set(small(root).files) == {f"snippets/{path}" for path in TAKEN}


def test_what_is_unpacked_has_the_layout_of_the_snippets(root: Path, tmp_path: Path) -> None:
    folder = small(root).unpack(tmp_path / "copy")
    assert folder == tmp_path / "copy" / "compose" / "small"
    assert {str(p.relative_to(tmp_path / "copy")) for p in (tmp_path / "copy").rglob("*") if p.is_file()} == TAKEN


def test_the_archive_is_the_same_for_the_same_files(root: Path) -> None:
    """Whenever and by whomever it is made; and what can be run stays so."""
    script = root / "snippets/compose/small/prepare.sh"
    script.chmod(0o755)
    first = small(root).archive()
    os.utime(script, (0, 0))
    (root / "snippets/nginx/tls.conf").chmod(0o600)
    assert small(root).archive() == first
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        members = archive.getmembers()
    assert {member.name for member in members} == {f"compose-small/{path}" for path in TAKEN}
    assert {member.name for member in members if member.mode == 0o755} == {"compose-small/compose/small/prepare.sh"}
    assert {(member.uid, member.gid, member.uname, member.mode & 0o022) for member in members} == {(0, 0, "", 0)}
    script.chmod(0o644)
    assert small(root).archive() != first


def test_it_knows_the_images_from_a_registry(root: Path) -> None:
    assert small(root).references == ("debian:13", "nginx:1.30.6", "python:3.13")


def test_only_open_build_arguments_are_passed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INDEX", "here")
    monkeypatch.setenv("LEVEL", "2")
    assert small(root).build_arguments("app") == {"INDEX": "here"}


@pytest.mark.parametrize("path", sorted(TAKEN))
def test_every_file_counts(root: Path, path: str) -> None:
    before = small(root).digests()
    with (root / "snippets" / path).open("a") as file:
        file.write("\n# changed\n")
    assert small(root).digests() != before


@pytest.mark.parametrize("path", ["snippets/other/file.txt", "snippets/compose/small/secrets/password"])
def test_no_other_file_counts(root: Path, path: str) -> None:
    before = small(root).digests()
    (root / path).write_text("changed")
    assert small(root).digests() == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "./proxy.conf",
            "./prxy.conf",
            r"compose.yaml:\d+: this needs snippets/compose/small/prxy.conf, and there is no tracked file",
        ),
        ("../../nginx", "../../../outside", r"this needs outside, .*; a stack takes its files from snippets/"),
        ("app.env", "secrets/password", "this needs snippets/compose/small/secrets/password"),
        ("context: ../../app", "context: ../../ap", "this needs snippets/ap,"),
        ("./secrets/tls:", "./secrets/ssl:", "this needs snippets/compose/small/secrets/ssl, and there is no tracked"),
        ("services:", "services: [", r"snippets/compose/small/compose.yaml:\d+: not YAML"),
    ],
)
def test_what_a_reader_would_not_have_is_refused(root: Path, old: str, new: str, message: str) -> None:
    replace(root, old, new)
    with pytest.raises(HandbookError, match=message):
        _ = small(root).files


@pytest.mark.parametrize("services", ["3", "[]", "", "{a: }", "{a: 3}"])
def test_a_service_without_a_body_is_one_message(root: Path, services: str) -> None:
    (root / "snippets/compose/small/compose.yaml").write_text(f"services: {services}\n")
    with pytest.raises(HandbookError, match=r"^snippets/compose/small/compose.yaml: `services` must give each"):
        _ = small(root).references


def test_an_unknown_stack_lists_those_there_are(root: Path) -> None:
    with pytest.raises(HandbookError, match=r"no stack 'compose/big'.*there is: compose/small"):
        _ = find("compose/big", Catalog(root)).files


@pytest.mark.parametrize(
    ("image", "given", "read"),
    [("nginx:${N:-1.30.6}", "", "nginx:1.30.6"), ("nginx:${N:-1.30.6}", "N=1.31.0\n", "nginx:1.31.0"),
     ("nginx:${N}", "N=1.31.0\n", "nginx:1.31.0")],
)  # fmt: skip
def test_variables_in_an_image_are_filled_in(root: Path, image: str, given: str, read: str) -> None:
    replace(root, "nginx:1.30.6", image)
    if given:
        (root / "snippets/compose/small/.env").write_text(given)
    assert read in small(root).references


def test_a_file_of_variables_that_git_ignores_says_nothing(root: Path) -> None:
    replace(root, "nginx:1.30.6", "nginx:${N:-1.30.6}")
    (root / ".gitignore").write_text("secrets/\n.env\n")
    (root / "snippets/compose/small/.env").write_text("N=1.31.0\n")
    assert "nginx:1.30.6" in small(root).references


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A boot that asks no engine."""
    monkeypatch.setattr(images, "ensure", lambda references: {n: images.Image(n, n, "id", True) for n in references})
    monkeypatch.setattr(stacks, "free_ports", lambda: itertools.count(20_000))
    monkeypatch.setattr(stacks, "default_mtu", lambda: "1500")
    monkeypatch.setattr(stacks, "forget_abandoned", lambda stack: None)
    monkeypatch.setattr(Boot, "down", lambda boot: None)


@pytest.mark.usefixtures("offline")
def test_what_is_built_has_a_name_of_this_boot_and_keeps_its_variable(root: Path) -> None:
    stack = small(root)
    assert stack.built == {"app", "jobs"}
    assert stack.pulled == {"proxy": "nginx:1.30.6"}
    with Boot(stack) as boot, Boot(stack) as other:
        services = yaml.safe_load(boot.overlay.read_text().replace("!override", ""))["services"]
        assert services["app"]["image"] == services["jobs"]["image"] == boot.built_image("app")
        assert (
            boot.built_image("app") == f"bootproof.local/{boot.id}/app:${{VERSION:-1.0.0}}" != other.built_image("app")
        )
        assert "build" in services["app"]
        assert "build" not in services["jobs"]


class Engine:
    """Answers what `docker` is asked about images. `built` maps the id of each to the project that it was built for."""

    def __init__(self, built: dict[str, str], running: set[str]) -> None:
        self.built = built
        self.running = running

    def __call__(self, command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        filters = [word.partition("=")[2] for word in command if word.startswith("label=")]
        said = ""
        if command[1:3] == ["image", "ls"]:
            project = filters[0].partition("=")[2]
            said = "\n".join(image for image, owner in self.built.items() if project in ("", owner))
        elif command[1:3] == ["image", "inspect"]:
            said = "\n".join(self.built[image] for image in command[5:])
        elif command[1:3] == ["image", "rm"]:
            for image in command[4:]:
                del self.built[image]
        elif command[1] == "ps":
            said = "\n".join(project for project in self.running if filters[0].endswith(f"={project}"))
        return subprocess.CompletedProcess(command, 0, said, "")


def test_images_of_boots_that_are_gone_are_removed_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = 2**22 + 1  # No process has such a number.
    alive = os.getpid()
    built = {
        "gone": f"compose-small-{gone}-00ff",
        "nameless": f"compose-small-{gone}-00ff",
        "kept": f"compose-small-{gone}-00aa",
        "beside": f"compose-small-{alive}-00ff",
        "another": f"compose-smaller-{gone}-00ff",
        "foreign": "compose-small",
    }
    engine = Engine(built, {f"compose-small-{gone}-00aa"})
    monkeypatch.setattr(stacks, "run", engine)
    stacks.forget_abandoned("compose/small")
    assert set(engine.built) == {"kept", "beside", "another", "foreign"}
    stacks.forget_builds(f"compose-small-{alive}-00ff")
    assert set(engine.built) == {"kept", "another", "foreign"}


@pytest.mark.parametrize(
    ("ports", "known_by", "moved"),
    [
        ('["443:8443"]', [443], ["127.0.0.1:20000:8443/tcp"]),
        ('["127.0.0.1:443:8443"]', [443], ["127.0.0.1:20000:8443/tcp"]),
        ('["8000"]', [8000], ["127.0.0.1:20000:8000/tcp"]),
        ("[8000]", [8000], ["127.0.0.1:20000:8000/tcp"]),
        ('["80-81:8080-8081"]', [80, 81], ["127.0.0.1:20000:8080/tcp", "127.0.0.1:20001:8081/tcp"]),
        ('["443:8443", "443:8443/udp"]', [443], ["127.0.0.1:20000:8443/tcp", "127.0.0.1:20000:8443/udp"]),
        ('[{target: 8443, published: "443", mode: host}]', [443], ["127.0.0.1:20000:8443/tcp"]),
        ('[{target: 8443, published: "9000-9010"}]', [9000], ["127.0.0.1:20000:8443/tcp"]),
        ("[{target: 8443}]", [8443], ["127.0.0.1:20000:8443/tcp"]),
    ],
)
@pytest.mark.usefixtures("offline")
def test_every_form_of_a_port_is_moved(root: Path, ports: str, known_by: list[int], moved: list[str]) -> None:
    replace(root, "image: nginx:1.30.6\n", f"image: nginx:1.30.6\n    ports: {ports}\n")
    with Boot(small(root)) as boot:
        assert boot.ports == {port: 20_000 + index for index, port in enumerate(known_by)}
        overlay = boot.overlay.read_text()
    assert [line.strip(" -") for line in overlay.splitlines() if "127.0.0.1" in line] == moved


def test_a_free_port_is_not_held_by_who_found_it() -> None:
    ports = stacks.free_ports()
    port = next(ports)
    with socket.socket() as server:
        server.bind(("127.0.0.1", port))
    assert next(ports) != port


INSTALL = """#!/usr/bin/env bash
# Not ../other, which only a comment names.
cd -- "$(dirname -- "$0")"
install -m 0644 ../nginx/*.conf /etc/nginx-shared/
for file in alembic.ini gunicorn.conf.py; do
  install -m 0644 "../service/$file" "$release/"
done
cp -r ../service/{assistant,migrations} "$release/"
"$(pwd)/../backup/backup.sh" --now || "$here"/../provider/provider.py
ln -s /opt/assistant/releases/../current /opt/assistant/here
for name in cache; do
  find . | while read -r unit; do
    put "$unit" "/etc/$unit"
  done
  cat "../redis/$name.conf"
done
[[ -e ../other && -d ../ ]] || fail "../other is missing; see ../$name and (../more)"
"$(cat ../provider/provider.py | head)" || true
"""
HOST = {
    "snippets/host/units/app.target": "",
    "snippets/host/units/app.service": "",
    "snippets/host/install.sh": INSTALL,
    "snippets/host/hooks/deploy.sh": "cat ../../redis/cache.conf ../install.sh\n",
    "snippets/nginx/tls.conf": "",
    "snippets/service/alembic.ini": "",
    "snippets/service/gunicorn.conf.py": "",
    "snippets/service/Dockerfile": "",
    "snippets/service/assistant/app.py": "",
    "snippets/service/migrations/env.py": "",
    "snippets/backup/backup.sh": "",
    "snippets/backup/restore.sh": "",
    "snippets/provider/provider.py": "",
    "snippets/redis/cache.conf": "",
    "snippets/other/units/app.service": "",
}
INSTALLED = HOST.keys() - {
    "snippets/service/Dockerfile",
    "snippets/backup/restore.sh",
    "snippets/other/units/app.service",
}


@pytest.fixture
def host(tmp_path: Path) -> Path:
    for name, text in {**FILES, **HOST}.items():
        path = tmp_path / "checkout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    subprocess.run(["git", "init", "--quiet", "checkout"], cwd=tmp_path, check=True)
    return tmp_path / "checkout"


def test_a_stack_of_units_takes_what_its_scripts_name(host: Path, tmp_path: Path) -> None:
    """Its marker is a target; units without one are no stack."""
    assert names(Catalog(host)) == ("compose/small", "host")
    assert ComposeStack.names(Catalog(host)) == ("compose/small",)
    stack = find("host", Catalog(host))
    assert set(stack.files) == INSTALLED
    assert stack.digests().keys() == INSTALLED
    folder = stack.unpack(tmp_path / "copy")
    assert folder == tmp_path / "copy" / "host"
    unpacked = {path.relative_to(tmp_path / "copy") for path in (tmp_path / "copy").rglob("*") if path.is_file()}
    assert {f"snippets/{path}" for path in unpacked} == INSTALLED
    with tarfile.open(fileobj=io.BytesIO(stack.archive())) as archive:
        assert {f"snippets/{path.removeprefix('host/')}" for path in archive.getnames()} == INSTALLED


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("cat ../nginx/tsl.conf", "this needs snippets/nginx/tsl.conf, and there is no tracked file"),
        ('cat "$here/../ngin/tls.conf"', "this needs snippets/ngin/tls.conf, and there is no"),
        ("cat ../../outside/file.txt", "this needs outside/file.txt, and there is no .* from snippets/"),
        ("cp -r ../ here", "this needs all of snippets/; name the files in it"),
        ("cat ../nginx/$name.conf", "../nginx/[$]name.conf depends on a variable"),
        ("cat ../compose/small/secrets/password", "this needs snippets/compose/small/secrets/password"),
    ],
)
def test_what_a_script_may_not_take_from_beside_its_stack(host: Path, line: str, message: str) -> None:
    with (host / "snippets/host/install.sh").open("a") as script:
        script.write(f"{line}\n")
    with pytest.raises(HandbookError, match=f"^snippets/host/install.sh:{INSTALL.count(chr(10)) + 1}: {message}"):
        _ = find("host", Catalog(host)).files


def test_only_a_stack_of_compose_has_a_compose_file(host: Path) -> None:
    with pytest.raises(HandbookError, match=r"no stack 'host' of Compose: .*/compose.yaml; there is: compose/small$"):
        _ = ComposeStack("host", Catalog(host)).services
    marks = r".*/compose.yaml and no .*/units/\*.target and no .*/kind.yaml"
    message = rf"no stack 'hots': git knows no {marks}; there is: compose/small, host$"
    with pytest.raises(HandbookError, match=message):
        find("hots", Catalog(host))
