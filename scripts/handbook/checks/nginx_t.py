"""nginx itself accepts the configuration without a warning: in its stack's image, with the stack's user and mounts.

That of a host is accepted by Debian's nginx, and by the one of the stacks as well.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from posixpath import normpath
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory
from typing import Any

from handbook import images, tools
from handbook.catalog import Catalog
from handbook.checks._compose import Service, hosts, services, stack_of
from handbook.checks._docker import container, engine, must, unique
from handbook.checks._host import ask, machine
from handbook.checks._tool import failed, read_json, unjudged
from handbook.findings import Finding
from handbook.host import DOCKERFILE

NEEDS = "docker"

_MAIN = "/etc/nginx/nginx.conf"
_SAID = re.compile(r"\[(?P<level>warn|error|crit|alert|emerg)\] (?:\d+#\d+: )?(?P<message>.*)$")
_PLACE = re.compile(r" in (?P<file>/\S+?):(?P<line>\d+)$")
_PAIR = re.compile(r"^\s*ssl_certificate(?:_key)?\s+(\S+);", re.MULTILINE)
_LOG = re.compile(r"\b(?:access_log|error_log)\s+(/[^\s;]+)")
_READ = re.compile(r"^# configuration file (?P<file>/\S+):$", re.MULTILINE)

# The package waits in the host.
_INSTALL = "apt-get install --quiet --yes --no-install-recommends nginx && nginx -v"
_PLACE_FILES = """
set -e
while [ $# -gt 0 ]; do
  rm --recursive --force "$2"
  cp --recursive "$1" "$2"
  shift 2
done
"""


def version() -> str:
    return f"nginx -t, {engine()}"


def inputs(catalog: Catalog, path: str) -> Iterator[str]:
    yield from stack_of(catalog, path)
    if any(service.mounts_file(path) for service in hosts(catalog.root)):
        yield DOCKERFILE


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Test every nginx.conf that a stack mounts or a host has.

    A file among `paths` that none of them reads is a finding too. Where nginx does not take a configuration, nobody
    knows what else it would read.
    """
    findings: set[Finding] = set()
    read: set[str] = set()
    refused: list[tuple[Service, str, list[Finding]]] = []
    for service, found, files in _tests(root):
        findings.update(found)
        read |= files
        if not files:
            refused.append((service, service.host_path(_MAIN) or service.compose, found))
    named = {finding.path for finding in findings}
    for path in paths:
        if path in read or path in named:
            continue
        culprits = [(main, found) for service, main, found in refused if service.mounts_file(path)]
        if culprits:
            findings.add(unjudged(path, *culprits[0]))
        else:
            what = "no nginx of any stack or host reads this file"
            findings.add(Finding(path, 0, "unread", what, "include it, or remove it"))
    return sorted(findings)


def _tests(root: Path) -> Iterator[tuple[Service, list[Finding], set[str]]]:
    """Yield what each nginx remarks, and the files of the repository that it read."""
    for service in services(root):
        if service.host_path(_MAIN):
            yield service, *_test_in_stack(root, service)
    on_hosts = list(hosts(root))
    if not on_hosts:
        return
    with TemporaryDirectory(prefix="bootproof-check-") as scratch:
        pair = ["--volume", f"{_key_pair(Path(scratch))}:/pair:ro"]
        with machine(root, options=pair) as debian:
            must(ask(debian, _INSTALL), "the installation of nginx")
            for service in on_hosts:
                yield service, *_test_on_host(root, service, debian)
        images_of_them = images.ensure({service.image for service in on_hosts})
        for service in on_hosts:
            options = ["--network", "none", "--user", "0:0", "--entrypoint", "sleep", *pair]
            options += ["--volume", f"{root / 'snippets'}:/snippets:ro"]
            with container(images_of_them[service.image].local, options=options, command=["600"]) as name:
                yield service, *_test_on_host(root, service, name)


def _test_in_stack(root: Path, service: Service) -> tuple[list[Finding], set[str]]:
    """Run `nginx -T` as the stack runs nginx. Return what it remarks, and the files of the repository that it read."""
    with TemporaryDirectory(prefix="bootproof-check-") as scratch:
        project = Path(scratch) / "compose.json"
        project.write_text(json.dumps(_alone(root, service, Path(scratch))), encoding="utf-8")
        compose = ["docker", "compose", "--file", str(project)]
        try:
            command = ["run", "--rm", "--no-deps", "-T", "--entrypoint", "nginx", service.name, "-T"]
            result = tools.run([*compose, *command], timeout=120)
        finally:
            tools.run([*compose, "down", "--volumes", "--remove-orphans", "--timeout", "1"])
    return _read(service, result)


def _test_on_host(root: Path, service: Service, machine: str) -> tuple[list[Finding], set[str]]:
    """Run `nginx -T` in a machine that has nginx, with the key pair and the folders that the configuration names."""
    places = [word for place, path in service.mounts.items() for word in (f"/{path}", place)]
    text = (root / (service.host_path(_MAIN) or service.compose)).read_text(encoding="utf-8")
    logs = sorted({str(PurePosixPath(name).parent) for name in _LOG.findall(text)})
    script = f"{_PLACE_FILES}\nmkdir --parents {shlex.join(['/tmp', *logs])}\n"
    script += "".join(f"install -D /pair {shlex.quote(name)}\n" for name in _PAIR.findall(text))
    must(ask(machine, script, *places), "the setting up of a host")
    return _read(service, ask(machine, "nginx -T"))


def _read(service: Service, result: CompletedProcess[str]) -> tuple[list[Finding], set[str]]:
    """Read what `nginx -T` says. It prints the files only when it takes them all."""
    findings = [
        _finding(service, match["level"], match["message"])
        for line in result.stderr.splitlines()
        if (match := _SAID.search(line))
    ]
    read = {path for name in _READ.findall(result.stdout) if (path := service.host_path(normpath(name)))}
    well = result.returncode == 0 and "test is successful" in result.stderr
    if well != bool(read) or not (well or findings):
        raise failed(result, "nginx said neither what is wrong nor that all is well")
    return findings, read


def _alone(root: Path, service: Service, scratch: Path) -> dict[str, Any]:
    """Return a project with this one service as Compose resolves it: no network, and a made-up key pair as secrets.

    The same pair stands in every folder that it mounts and that no repository holds, under all names that the
    configuration looks for.
    """
    command = ["docker", "compose", "--file", service.compose, "config", "--format", "json"]
    result = tools.run(command, cwd=root)
    must(result, "docker compose config")
    whole = read_json(result)
    own = whole["services"][service.name]
    for key in ("networks", "depends_on", "ports", "healthcheck", "build"):
        own.pop(key, None)
    own["image"] = images.ensure([service.image])[service.image].local
    own["network_mode"] = "none"
    # nginx looks up the names in its upstreams before it starts.
    own["extra_hosts"] = [f"{name}:127.0.0.1" for name in whole["services"] if name != service.name]
    pair = _key_pair(scratch)
    for number, mount in enumerate(own.get("volumes", [])):
        if mount["type"] == "bind" and not _is_tracked(root, mount["source"]):
            mount["source"] = str(_made_up(root, service, mount["target"], scratch / str(number), pair))
    secrets = {name: {"file": str(pair)} for name in whole.get("secrets", {})}
    volumes = {name: {} for name in whole.get("volumes", {})}
    return {"name": unique(), "services": {service.name: own}, "secrets": secrets, "volumes": volumes}


def _is_tracked(root: Path, source: str) -> bool:
    """Whether a path of the host is one that git tracks or would track, or has one below it."""
    path = Path(os.path.relpath(source, root)).as_posix()
    return any(file == path or file.startswith(f"{path}/") for file in Catalog(root).files)


def _made_up(root: Path, service: Service, target: str, folder: Path, pair: Path) -> Path:
    """Make a folder in which the key pair has every name below `target` that a mounted file gives to a certificate."""
    files = [file for file in Catalog(root).files if service.mounts_file(file)]
    named = [name for file in files for name in _PAIR.findall((root / file).read_text(encoding="utf-8"))]
    folder.mkdir(mode=0o755)
    for name in (PurePosixPath(name) for name in named):
        if name.is_relative_to(target):
            copy = folder / name.relative_to(target)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(pair, copy)
    return folder


def _key_pair(scratch: Path) -> Path:
    """Make one file that serves as certificate and as key, for nothing but this test."""
    key, certificate, pair = (scratch / name for name in ("key.pem", "certificate.pem", "pair.pem"))
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-noenc",
        "-days",
        "1",
    ]
    command += ["-subj", "/CN=check", "-keyout", str(key), "-out", str(certificate)]
    result = tools.run(command)
    must(result, "openssl")
    if not (key.is_file() and certificate.is_file()):
        raise failed(result, "wrote no key pair")
    pair.write_text(certificate.read_text() + key.read_text(), encoding="utf-8")
    scratch.chmod(0o755)
    pair.chmod(0o444)
    return pair


def _finding(service: Service, level: str, message: str) -> Finding:
    """Turn what nginx says about a path in the container into a finding about the snippet behind it."""
    main = service.host_path(_MAIN) or service.compose
    place = _PLACE.search(message)
    if place is None:
        return Finding(main, 0, level, message)
    path = service.host_path(normpath(place["file"]))
    if path is None:
        return Finding(main, 0, level, message)
    return Finding(path, int(place["line"]), level, message[: place.start()])
