"""The story of the Compose stack for production: prepared, started, probed, hurt, scaled, stopped, started, removed."""

import json
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import certifi
import pytest

from handbook import tools
from handbook.catalog import Catalog
from handbook.stacks import HOST, Boot, ComposeStack, leftovers
from handbook.walkthroughs import Walkthrough

from . import containers, edge, hurt, probes
from .client import Client, wait_for
from .containers import execute, outputs
from .database import held_table, log_slow_statement, sql, waits_for_the_table
from .prepared import Public, prepare, seen
from .probes import Logs
from .second_nginx import BROKEN, ECHOING, GONE, HASTY, INSISTENT, NOTICED, second_nginx
from .symptoms import Symptom

STACK = "compose/production"
PASSWORDS = {
    "database_password": "service",
    "cache_password": "service",
    "broker_password": "service",
    "provider_api_key": "service",
    "postgres_password": "postgres",
    "backup_password": "backup",
}
"""Each secret that a container reads as it is, and one that does."""

MADE = (*PASSWORDS, "api_key", "cache.acl", "broker.acl", "api_keys", "ca", "tls")
LATER = (".env", ".env.new", "backups.tar", "backups.tar.new")
"""What a release and a copy of the backups leave beside it."""

WRONG = (
    "lacks a file, has expired, has another's key, is not for {0}, or nobody known here vouches for it; "
    "if the name is right, put another one there, or let the private CA make one: ./prepare.sh {0} renew\n"
)
"""What `prepare.sh` says of a pair that it does not keep."""

SERVING = ("nginx", "service", "worker", "beat", "cache", "broker", "provider", "postgres", "backup")


def inputs() -> str:
    """The digest of all that this module's result depends on."""
    here = Path(__file__)
    helpers = (path for path in here.parent.glob("*.py") if not path.name.startswith("test_"))
    return ComposeStack(STACK, Catalog()).digest([here, *helpers])


@pytest.fixture
def unprepared(tmp_path: Path) -> Path:
    """The copy of the stack as a reader with a strict umask makes it."""
    folder = ComposeStack(STACK, Catalog()).unpack(tmp_path)
    for mounted in (folder / "proxy", *(tmp_path / name for name in ("nginx", "postgres", "redis"))):
        for path in (mounted, *mounted.rglob("*")):
            path.chmod(path.stat().st_mode & ~0o077)
    return folder


def test_prepare_says_what_it_made(walk: Walkthrough) -> None:
    made = walk.until("prepare").stdout.splitlines()
    assert sorted(made) == sorted(f"made  secrets/{name}" for name in MADE)


def test_secrets_belong_to_the_users_of_the_containers(walk: Walkthrough, boot: Boot) -> None:
    walk.until("prepare")
    owners = {
        name: (oct(mode & 0o7777), uid, gid)
        for name, (mode, uid, gid, *_) in seen(boot.folder / "secrets").items()
        if not (boot.folder / "secrets" / name).is_dir()
    }
    me = (os.geteuid(), os.getegid())
    assert owners == {
        ".gitignore": ("0o600", *me),
        "api_key": ("0o600", *me),
        "api_keys": ("0o400", 10001, 10001),
        "backup_password": ("0o400", 999, 999),
        "broker.acl": ("0o400", 999, 999),
        "broker_password": ("0o400", 10001, 10001),
        "cache.acl": ("0o400", 999, 999),
        "cache_password": ("0o400", 10001, 10001),
        "database_password": ("0o440", 10001, 999),
        "postgres_password": ("0o400", 999, 999),
        "provider_api_key": ("0o400", 10001, 10001),
        "ca/ca.crt": ("0o444", *me),
        "ca/ca.key": ("0o600", *me),
        "tls/tls.crt": ("0o444", *me),
        "tls/tls.key": ("0o400", 101, 101),
    }
    modes = {name: oct((boot.folder / "secrets" / name).stat().st_mode & 0o7777) for name in ("", "ca", "tls")}
    assert modes == {"": "0o700", "ca": "0o700", "tls": "0o755"}


def test_secrets_differ_and_none_stands_beside_its_hash(walk: Walkthrough, boot: Boot) -> None:
    walk.until("prepare")
    secrets = boot.folder / "secrets"
    values = {name: (secrets / name).read_text().strip() for name in (*PASSWORDS, "api_key")}
    assert len(set(values.values())) == len(values)
    hashes = {name: sha256(value.encode()).hexdigest() for name, value in values.items()}
    assert (secrets / "api_keys").read_text() == f"operator:{hashes['api_key']}\n"
    for name in ("cache", "broker"):
        default, probe, assistant = (secrets / f"{name}.acl").read_text().splitlines()
        assert default.split()[1:3] == ["default", "off"]
        assert probe.split()[-2:] == ["-@all", "+ping"], probe
        assert f"#{hashes[f'{name}_password']}" in assistant.split()
        assert "nopass" not in assistant


def test_prepare_again_changes_nothing(walk: Walkthrough, boot: Boot) -> None:
    walk.until("prepare")
    before = seen(boot.folder)
    again = prepare(boot.folder)
    assert {line.split()[0] for line in again.stdout.splitlines()} == {"kept"}, again.stdout + again.stderr
    after = seen(boot.folder)
    # Its work folder comes and goes, which touches the time of the folder around it.
    assert {**after, "secrets": before["secrets"]} == before


def test_prepare_that_stops_half_way_leaves_nothing_half_done(unprepared: Path) -> None:
    stub = unprepared / "bin" / "openssl"
    stub.parent.mkdir()
    # Fails where the server's certificate is signed, after a first part of it is written.
    stub.write_text(
        f'#!/bin/sh\ncase "$*" in *-CAkey*) echo half >"${{12}}"; echo no entropy >&2; exit 1 ;; esac\n'
        f'exec {shutil.which("openssl")} "$@"\n'
    )
    stub.chmod(0o755)
    first = prepare(unprepared, path=f"{stub.parent}:{os.environ['PATH']}")
    assert first.returncode == 1
    assert "prepare.sh: no entropy" in first.stderr
    made = {path.name for path in (unprepared / "secrets").iterdir()}
    assert made == {".gitignore", *MADE} - {"tls"}
    second = prepare(unprepared)
    assert second.stdout.splitlines()[-2:] == ["kept  secrets/ca", "made  secrets/tls"], second.stderr


def test_prepare_asks_for_what_it_needs(unprepared: Path) -> None:
    bare = unprepared / "bin"
    bare.mkdir()
    for name in ("mkdir", "mktemp", "rm", "dirname"):
        (bare / name).symlink_to(shutil.which(name) or name)
    without = prepare(unprepared, path=str(bare))
    assert without.returncode == 1
    assert "openssl is not installed; run: apt-get install openssl" in without.stderr
    assert not (unprepared / "secrets").exists()


@pytest.mark.parametrize(
    "host", ["", "api.example.com/", "a..b", "-a.example", "a.example-", "10.0.0.5", f"{'a' * 64}.b"]
)
def test_prepare_takes_host_names_only(host: str, unprepared: Path) -> None:
    wrong = prepare(unprepared, host)
    assert wrong.returncode == 1
    assert f"'{host}' is not a host name" in wrong.stderr
    assert not (unprepared / "secrets").exists()


def test_prepare_keeps_no_wrong_certificate(unprepared: Path) -> None:
    """The name may be long and in capitals; then the host, or a file, is another one than before."""
    folder = unprepared / "secrets"
    first, other = f"{'a' * 60}.{'b' * 60}.example.com", "other.example.com"
    assert prepare(unprepared, first.upper()).stdout.count("made") == len(MADE)
    before = seen(folder)
    # A secret that is missing is not made then: what else reads it would not know it.
    (folder / "cache_password").rename(folder / "cache_password.old")
    assert f"secrets/tls {WRONG.format(other)}" in prepare(unprepared, other).stderr
    (folder / "cache_password.old").rename(folder / "cache_password")
    assert seen(folder) == before
    assert "is not for other.example.com; if the name is right, remove" in prepare(unprepared, other, "renew").stderr
    assert prepare(unprepared, first).returncode == 0, "the certificate is another one than before"
    shutil.rmtree(folder / "tls")
    assert "is not for other.example.com; if the name is right, remove" in prepare(unprepared, other).stderr
    assert not (folder / "tls").exists()
    shutil.rmtree(folder / "ca")
    assert prepare(unprepared, other).stdout.count("made") == 2
    (folder / "tls" / "tls.key").unlink()
    assert f"secrets/tls {WRONG.format(other)}" in prepare(unprepared, other).stderr
    assert prepare(unprepared, other, "renew").stdout.count("made") == 1
    assert prepare(unprepared, other).stdout.count("made") == 0


@pytest.fixture
def public(tmp_path: Path) -> Public:
    (tmp_path / "public").mkdir()
    return Public(tmp_path / "public")


def put(folder: Path, chain: str, key: str) -> None:
    """Put a pair where nginx looks for it, as one has it from elsewhere: nobody else may read it."""
    folder.chmod(0o700)
    for name, text in (("tls.crt", chain), ("tls.key", key)):
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)


def test_prepare_keeps_a_certificate_of_a_public_authority(
    unprepared: Path, public: Public, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nginx can read it afterwards."""
    assert prepare(unprepared).returncode == 0
    folder = unprepared / "secrets" / "tls"
    leaf, key = public.certify(HOST)
    put(folder, leaf + public.between, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(public.root))
    kept = prepare(unprepared)
    assert (kept.returncode, kept.stdout.splitlines()[-1]) == (0, "kept  secrets/tls"), kept.stderr
    modes = {name: (oct(mode & 0o777), uid) for name, (mode, uid, *_) in seen(folder).items()}
    assert modes == {"tls.crt": ("0o644", os.geteuid()), "tls.key": ("0o400", 101)}
    assert folder.stat().st_mode & 0o777 == 0o755
    assert (folder / "tls.crt").read_text() == leaf + public.between


@pytest.mark.parametrize("what", ["unknown here", "without the one between", "another host", "another key", "expired"])
def test_prepare_keeps_no_certificate_that_clients_would_refuse(
    what: str, unprepared: Path, public: Public, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prepare(unprepared).returncode == 0
    name = "other.example.com" if what == "another host" else HOST
    leaf, key = public.certify(name, expired=what == "expired")
    if what == "another key":
        _, key = public.certify(HOST)
    put(unprepared / "secrets" / "tls", leaf + ("" if "between" in what else public.between), key)
    if what != "unknown here":
        monkeypatch.setenv("SSL_CERT_FILE", str(public.root))
    refused = prepare(unprepared)
    assert (refused.returncode, refused.stderr) == (1, f"prepare.sh: secrets/tls {WRONG.format(HOST)}")


def test_prepare_renews_the_certificate_and_nothing_else(unprepared: Path) -> None:
    """In the same folder, for that is what nginx has been given."""
    assert prepare(unprepared).returncode == 0
    before, folder = seen(unprepared / "secrets"), (unprepared / "secrets" / "tls").stat().st_ino
    assert prepare(unprepared, HOST, "renew").stdout.splitlines()[-1] == "made  secrets/tls"
    after = seen(unprepared / "secrets")
    changed = {name for name in before if before[name][-1] != after[name][-1]}
    assert changed == {"tls/tls.crt", "tls/tls.key"}
    assert (unprepared / "secrets" / "tls").stat().st_ino == folder
    assert {name: values[:3] for name, values in after.items()} == {n: values[:3] for n, values in before.items()}
    unknown = prepare(unprepared, HOST, "renewal")
    assert (unknown.returncode, seen(unprepared / "secrets")) == (1, after)
    assert f"'renewal' is not known; run: ./prepare.sh {HOST}" in unknown.stderr


def test_prepare_keeps_hashes_beside_what_they_are_of(unprepared: Path) -> None:
    """Whoever removes a secret gets another one and its hash; the keys of other clients stay."""
    secrets = unprepared / "secrets"
    assert prepare(unprepared).returncode == 0
    with (secrets / "api_keys").open("a") as keys:
        keys.write(f"website:{'0' * 64}\n")
    for name in ("api_key", "cache_password"):
        (secrets / name).unlink()
    made = [line.split()[1] for line in prepare(unprepared).stdout.splitlines() if line.startswith("made")]
    assert made == [f"secrets/{name}" for name in ("cache_password", "api_key", "cache.acl", "api_keys")]
    hashes = {n: sha256((secrets / n).read_text().strip().encode()).hexdigest() for n in ("api_key", "cache_password")}
    lines = (secrets / "api_keys").read_text().splitlines()
    assert lines == [f"website:{'0' * 64}", f"operator:{hashes['api_key']}"]
    assert f"#{hashes['cache_password']}" in (secrets / "cache.acl").read_text()


def test_prepare_makes_the_hash_of_a_password_that_was_put_back(unprepared: Path) -> None:
    """Its file is older than the hash of the one that had taken its place."""
    secrets = unprepared / "secrets"
    assert prepare(unprepared).returncode == 0
    acl = (secrets / "broker.acl").read_text()
    old = (secrets / "broker_password").rename(secrets / "broker_password.old")
    assert prepare(unprepared).returncode == 0
    assert (secrets / "broker.acl").read_text() != acl
    old.rename(secrets / "broker_password")
    assert prepare(unprepared).returncode == 0
    assert (secrets / "broker.acl").read_text() == acl


def test_prepare_gives_what_was_brought_back_to_who_reads_it(unprepared: Path) -> None:
    secrets = unprepared / "secrets"
    assert prepare(unprepared).returncode == 0
    before = seen(secrets)
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    brought = [str(secrets / name) for name in (*PASSWORDS, "cache.acl", "api_keys", "tls/tls.key")]
    for command in (["chown", "0:0", *brought], ["chmod", "0644", *brought]):
        assert tools.run([*as_root, *command]).returncode == 0
    assert seen(secrets) != before
    assert prepare(unprepared).returncode == 0
    assert seen(secrets) == before


def test_prepared_ca_vouches_for_no_address(unprepared: Path, tmp_path: Path) -> None:
    assert prepare(unprepared).returncode == 0
    for address in ("1.1.1.1", "2001:db8::1"):
        said = hurt.verify_certificate_for(f"IP:{address}", unprepared, tmp_path)
        assert "excluded subtree violation" in said
    assert "permitted subtree violation" in hurt.verify_certificate_for("DNS:other.example.com", unprepared, tmp_path)


def test_prepared_files_can_be_read_by_containers(unprepared: Path) -> None:
    assert prepare(unprepared).returncode == 0
    mounted: list[Path] = []
    for folder in (unprepared / "proxy", *(unprepared.parents[1] / name for name in ("nginx", "postgres", "redis"))):
        mounted += [folder, *folder.rglob("*")]
    closed = [path for path in mounted if path.stat().st_mode & 0o055 != (0o055 if path.is_dir() else 0o044)]
    assert not [path for path in closed if path.suffix != ".sh"], closed


def test_git_sees_no_secret(unprepared: Path) -> None:
    assert tools.run(["git", "init", "--quiet"], cwd=unprepared).returncode == 0
    assert prepare(unprepared).returncode == 0
    for name in LATER:
        (unprepared / name).touch()
    listed = tools.run(["git", "ls-files", "--others", "--exclude-standard"], cwd=unprepared).stdout.splitlines()
    assert "compose.yaml" in listed
    assert not [path for path in listed if path.startswith("secrets") or path in (*LATER, ".gitignore")]


def test_prepare_keeps_a_gitignore(unprepared: Path) -> None:
    (unprepared / ".gitignore").write_text("notes\n")
    assert prepare(unprepared).returncode == 0
    assert (unprepared / ".gitignore").read_text() == "notes\n"


def test_everything_is_healthy(started: Boot) -> None:
    states = {
        containers.named(c).removeprefix(f"{started.project}-"): (c["State"].get("Health") or c["State"])["Status"]
        for c in started.containers()
    }
    serving = {f"{service}-1": "healthy" for service in SERVING}
    assert states == {**serving, "service-2": "healthy", "migrations-1": "exited"}


def test_walkthrough_checks_it(started: Boot, walk: Walkthrough) -> None:
    ready, version = map(json.loads, walk.until("check-it").stdout.splitlines())
    assert ready == {"state": "up"}
    assert (version["name"], version["version"]) == ("assistant", "1.0.0")


def test_walkthrough_stores_and_finds(started: Boot, walk: Walkthrough) -> None:
    stored, found = map(json.loads, walk.until("store-and-find-a-document").stdout.splitlines())
    assert [match["id"] for match in found["matches"]] == [stored["id"]]


def test_walkthrough_asks_a_question(started: Boot, walk: Walkthrough) -> None:
    """Walkthroughs show what came, not when: the times are another test's."""
    events = [line.partition(": ")[2] for line in walk.until("ask-a-question").stdout.splitlines() if "event: " in line]
    assert (events[0], events[-1]) == ("sources", "done"), events
    assert set(events[1:-1]) == {"token"}, events


def test_walkthrough_imports_in_the_background(started: Boot, walk: Walkthrough) -> None:
    job = json.loads(walk.until("import-documents-in-the-background").stdout)
    assert (job["state"], job["done"]) == ("done", 2), job


def test_walkthrough_looks_inside(started: Boot, walk: Walkthrough) -> None:
    inside = walk.until("look-inside").stdout
    assert '"state":"up"' in inside
    for part in ("pgvector", "cache", "broker", "provider"):
        assert f'"{part}":{{"state":' in inside


def test_walkthrough_renews_the_certificate(walk: Walkthrough, client: Client) -> None:
    """A reload is enough for the new one to be shown, and the running one was there until then."""
    walk.until("look-inside")
    before = edge.serial_number(client)
    walk.until("renew-the-certificate")
    wait_for(lambda: edge.serial_number(client) != before, "the new certificate is shown", 10)
    edge.certificate_verifies(client)


@pytest.mark.parametrize("probe", edge.THROUGH_NGINX, ids=lambda probe: probe.__name__)
def test_through_nginx(probe: Callable[[Client], None], client: Client) -> None:
    probe(client)


def test_client_and_scheme_arrive(client: Client, logs: Logs) -> None:
    edge.client_and_scheme_arrive(client, logs)


def test_nginx_is_believed_in_every_private_network(started: Boot) -> None:
    """Docker may be told to take its networks from any of them (default-address-pools)."""
    believed = execute(started, "service", "printenv", "FORWARDED_ALLOW_IPS").strip().split(",")
    private = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"}  # RFC 1918
    assert set(believed) == private


def test_all_replicas_answer(client: Client, logs: Logs, started: Boot) -> None:
    probes.all_replicas_answer(client, logs, started.containers("service"))


def test_deep_health_inside(client: Client, deep: Callable[[], tuple[int, dict[str, Any]]]) -> None:
    probes.all_is_well(client, deep)


@pytest.mark.parametrize(
    "probe",
    [
        containers.runs_unprivileged,
        containers.is_limited,
        containers.has_open_files,
        containers.has_shared_memory,
        containers.comes_back,
        containers.keeps_nothing_nameless,
        containers.logs_rotate,
    ],
    ids=lambda probe: probe.__name__,
)
def test_every_container(probe: Callable[[containers.Container], None], started: Boot) -> None:
    for container in started.containers():
        probe(container)


def test_processes_are_unprivileged(started: Boot) -> None:
    for service in SERVING:
        containers.processes_are_unprivileged(service, execute(started, service, "cat", "/proc/1/status"))


def test_only_nginx_is_published(started: Boot) -> None:
    containers.only_nginx_is_published(started.containers())


@pytest.fixture(scope="module")
def passwords(started: Boot) -> list[str]:
    read = ((service, f"/run/secrets/{name}") for name, service in PASSWORDS.items())
    key = (started.folder / "secrets" / "api_key").read_text().strip()
    return [key, *(execute(started, service, "cat", path).strip() for service, path in read)]


def test_no_secret_is_shown(started: Boot, passwords: list[str]) -> None:
    for container in started.containers():
        containers.holds_no_secret(container, passwords)
        said = containers.said(container)
        assert not [secret for secret in passwords if secret in said], f"{containers.named(container)}: its log"
    # Not Postgres: its image itself puts the superuser's password into the server's environment.
    for service in set(SERVING) - {"postgres"}:
        environment = execute(started, service, "cat", "/proc/1/environ")
        assert not [secret for secret in passwords if secret in environment], service


@pytest.mark.parametrize("service", ["cache", "broker"])
def test_redis_asks_for_a_login(service: str, started: Boot) -> None:
    """Who has no password may be the user of the health check, and see nothing."""
    client = ["docker", "exec", f"{started.project}-{service}-1", "redis-cli", "-e"]
    for login, answer in (([], "NOAUTH"), (["--user", "probe", "--pass", "none"], "NOPERM")):
        asked = tools.run([*client, *login, "KEYS", "*"])
        assert asked.returncode, asked.stdout
        assert answer in asked.stdout + asked.stderr


def test_migrations_ran_first(started: Boot) -> None:
    later = [container for service in ("service", "worker", "beat") for container in started.containers(service)]
    containers.came_before(started.containers("migrations")[0], later)


def test_logs_are_json(started: Boot, client: Client, logs: Logs) -> None:
    edge.odd_requests_are_logged(client, logs)
    for service in ("nginx", "service", "worker", "beat", "provider"):
        for text in outputs(started, service):
            probes.is_json_line_by_line(service, text)
    for service in ("service", "worker", "beat", "provider"):
        for container in started.containers(service):
            assert tools.run(["docker", "logs", container["Id"]]).stderr == "", service


def test_the_owner_of_the_database_is_no_superuser(started: Boot) -> None:
    question = "SELECT rolname FROM pg_roles WHERE rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls"
    assert sql(started, question).split() == ["postgres"]


@pytest.fixture(scope="class")
def broken(started: Boot, client: Client) -> Iterator[Client]:
    with second_nginx(started, client, BROKEN) as changed:
        yield changed


@pytest.fixture(scope="class")
def careless(started: Boot) -> Iterator[containers.Container]:
    """A container as `docker create` makes it when nobody asks for more, with a password and a port."""
    image = started.containers("nginx")[0]["Config"]["Image"]
    label = "com.docker.compose.service=postgres"
    create = [
        "docker",
        "create",
        "--env=PASSWORD=a-rather-long-password",
        "--publish=127.0.0.1::5432",
        "--volume=/cache",
    ]
    created = tools.run([*create, "--log-driver=json-file", "--label", label, image])
    assert created.returncode == 0, created.stderr
    try:
        yield json.loads(tools.run(["docker", "inspect", created.stdout.strip()]).stdout)[0]
    finally:
        tools.run(["docker", "rm", "--volumes", created.stdout.strip()])


@pytest.mark.negative
class TestProbesCanFail:
    """The same probes, against nginx and containers that are wrong."""

    @pytest.mark.parametrize(("probe", "words"), NOTICED, ids=lambda value: getattr(value, "__name__", ""))
    def test_broken_nginx(self, probe: Callable[[Client], None], words: str, broken: Client) -> None:
        with pytest.raises(AssertionError, match=words):
            probe(broken)

    def test_forged_headers(self, broken: Client, logs: Logs, started: Boot) -> None:
        def answers(service: str) -> list[dict[str, Any]]:
            # The stack's nginx has no lines of these requests: the service's own stand in for them.
            lines = logs("service")
            return [{**line, "upstream": "x:8000"} for line in lines] if service == "nginx" else lines

        with pytest.raises(AssertionError, match=r"203\.0\.113\.66"):
            edge.client_and_scheme_arrive(broken, answers)

    def test_foreign_ca(self, client: Client) -> None:
        with pytest.raises(AssertionError, match="does not verify"):
            edge.certificate_verifies(Client(client.http, client.https, Path(certifi.where())))

    @pytest.mark.parametrize(
        ("probe", "words"),
        [
            (containers.runs_unprivileged, "user ''"),
            (containers.is_limited, "no limit for Memory"),
            (containers.has_open_files, "no limit for open files"),
            (containers.has_shared_memory, "bytes of shared memory"),
            (containers.comes_back, "restart no"),
            (containers.keeps_nothing_nameless, "/cache"),
            (containers.logs_rotate, "json-file"),
            (lambda container: containers.holds_no_secret(container, ["a-rather-long-password"]), "shows a secret"),
            (lambda container: containers.only_nginx_is_published([container]), "postgres"),
        ],
    )
    def test_careless_container(
        self, probe: Callable[[containers.Container], None], words: str, careless: containers.Container
    ) -> None:
        with pytest.raises(AssertionError, match=words):
            probe(careless)

    def test_privileged_process(self) -> None:
        with pytest.raises(AssertionError, match="runs as root"):
            containers.processes_are_unprivileged("this one", "Uid:\t0\t0\t0\t0\n")
        status = "Uid:\t101\t101\t101\t101\nCapPrm:\t0\nCapEff:\t0\nCapBnd:\t{}\nNoNewPrivs:\t{}\n"
        with pytest.raises(AssertionError, match="CapBnd"):
            containers.processes_are_unprivileged("this one", status.format("00000000a80425fb", 1))
        with pytest.raises(AssertionError, match="may gain rights"):
            containers.processes_are_unprivileged("this one", status.format("0", 0))

    def test_wrong_order(self, started: Boot) -> None:
        with pytest.raises(AssertionError):
            containers.came_before(started.containers("service")[0], started.containers("nginx"))
        with pytest.raises(AssertionError):
            containers.came_before(started.containers("migrations")[0], started.containers("postgres"))

    def test_another_message(self) -> None:
        with pytest.raises(AssertionError, match="is not what one sees"):
            Symptom("port is already allocated").is_in("Bind for 127.0.0.1:80 failed")

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "ready\n",
            '{"time": 1, "status": 000}\n',
            '{"time": 1, "path": "\ufffd"}\n',
            '{"time": 1}\n{"level": "INFO"}\n',
            '["time"]\n',
        ],
    )
    def test_other_logs(self, text: str) -> None:
        with pytest.raises(AssertionError):
            probes.is_json_line_by_line("log", text)

    def test_a_database_that_is_there(self, client: Client, deep: Callable[[], tuple[int, dict[str, Any]]]) -> None:
        with pytest.raises(AssertionError, match="200"):
            probes.database_is_missed_where_it_is_needed(client, deep)


def test_only_what_is_safe_is_sent_again(started: Boot, client: Client) -> None:
    with second_nginx(started, client, GONE) as gone:
        edge.only_what_is_safe_is_sent_again(gone)


@pytest.mark.negative
def test_a_post_that_is_sent_again_is_noticed(started: Boot, client: Client) -> None:
    with (
        second_nginx(started, client, INSISTENT) as insistent,
        pytest.raises(AssertionError, match="POST /hangs-up: 404"),
    ):
        edge.only_what_is_safe_is_sent_again(insistent)


def test_nothing_forged_arrives_at_the_upstream(started: Boot, client: Client) -> None:
    with second_nginx(started, client, ECHOING) as echoing:
        edge.upstream_gets_nothing_forged(echoing)


@pytest.mark.shows("bind source path does not exist")
def test_not_prepared(started: Boot, symptom: Symptom) -> None:
    symptom.is_in(hurt.start_unprepared(started))


@pytest.mark.shows("port is already allocated")
def test_a_port_that_another_container_has(started: Boot, symptom: Symptom) -> None:
    symptom.is_in(hurt.publish(started, started.ports[80]))


@pytest.mark.shows("address already in use")
def test_a_port_that_another_program_has(started: Boot, symptom: Symptom) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        symptom.is_in(hurt.publish(started, taken.getsockname()[1]))


@pytest.fixture(scope="module")
def started_with_a_new_secret(started: Boot) -> str:
    """What starting prints, and the log of the migrations."""
    with hurt.new_secret(started):
        printed = hurt.start(started)
    return printed + started.compose("logs", "--no-log-prefix", "migrations")


@pytest.mark.shows('service "migrations" didn\'t complete successfully')
def test_migrations_that_fail(started_with_a_new_secret: str, symptom: Symptom) -> None:
    symptom.is_in(started_with_a_new_secret)


@pytest.mark.shows("password authentication failed for user")
def test_a_new_secret_for_an_old_volume(started_with_a_new_secret: str, symptom: Symptom) -> None:
    symptom.is_in(started_with_a_new_secret)


@pytest.mark.shows("DATABASE_PASSWORD: a placeholder")
def test_a_placeholder_secret(started: Boot, tmp_path: Path, symptom: Symptom) -> None:
    secret = tmp_path / "database_password"
    secret.write_text("change-me-please\n")
    secret.chmod(0o444)
    said = hurt.run_with_secret(started, secret)
    symptom.is_in(said)
    assert "change-me-please" not in said


@pytest.mark.shows("Permission denied: '/run/secrets/database_password'")
def test_a_secret_of_another_user(started: Boot, tmp_path: Path, symptom: Symptom) -> None:
    secret = tmp_path / "database_password"
    secret.touch(0o400)
    symptom.is_in(hurt.run_with_secret(started, secret))


@pytest.mark.shows('database "assistant" does not exist')
def test_a_first_start_that_was_broken_off(started: Boot, symptom: Symptom) -> None:
    symptom.is_in(hurt.half_made_database(started))


@pytest.mark.parametrize(
    ("before", "words"),
    [("SELECT 'talkative'", "CREATE EXTENSION vector"), ("CREATE ROLE assistant", 'role "assistant" already exists')],
    ids=["slow", "wrong"],
)
def test_the_password_of_the_database_is_in_no_log(before: str, words: str, started: Boot, tmp_path: Path) -> None:
    """However much is logged, and also when the statement that holds it fails."""
    log = hurt.talkative_database(started, tmp_path, "a-rather-long-password", before)
    assert f"statement: {before}" in log, log
    assert words in log, log
    assert "a-rather-long-password" not in log


@pytest.mark.shows("unable to get local issuer certificate")
def test_curl_without_the_ca(started: Boot, symptom: Symptom) -> None:
    symptom.is_in(hurt.curl(started, "https://api.example.com/version"))


@pytest.mark.shows("certificate has expired")
def test_an_expired_certificate(started: Boot, client: Client, tmp_path: Path, symptom: Symptom) -> None:
    with second_nginx(started, client, {}, tls=hurt.expired_certificate(started, tmp_path)) as expired:
        there = f"api.example.com:443:127.0.0.1:{expired.https}"
        # First of all, for curl is not to read where the stack's own nginx listens.
        options = ["--disable", "--cacert", "secrets/ca/ca.crt", "--connect-to", there]
        symptom.is_in(hurt.curl(started, *options, "https://api.example.com/version"))


@pytest.mark.shows("unrecognized name")
def test_another_name_with_tls(started: Boot, symptom: Symptom) -> None:
    there = f"other.example.com:443:127.0.0.1:{started.ports[443]}"
    symptom.is_in(hurt.curl(started, "--connect-to", there, "https://other.example.com/version"))


@pytest.mark.shows("Empty reply from server")
def test_another_name_without_tls(started: Boot, symptom: Symptom) -> None:
    there = f"other.example.com:80:127.0.0.1:{started.ports[80]}"
    symptom.is_in(hurt.curl(started, "--connect-to", there, "http://other.example.com/version"))


@pytest.mark.shows("The body is too large.")
def test_a_body_above_the_limit(client: Client, symptom: Symptom) -> None:
    answer = client.request("POST", "/v1/documents", content={"text": "x" * 1_200_000})
    edge.is_problem_of_nginx(answer, 413)
    symptom.is_in(answer.text)


def test_a_full_tmp_stops_no_ordinary_body(started: Boot, client: Client) -> None:
    """That is what large bodies sent slowly do: they wait there until they are complete."""
    execute(started, "nginx", "sh", "-c", "! cat /dev/zero 2>&1 >/tmp/full")
    try:
        assert client.request("POST", "/v1/documents", content={"text": "x" * 120_000}).status_code == 422
        assert client.request("POST", "/v1/documents", content={"text": "x" * 200_000}).status_code >= 500
    finally:
        execute(started, "nginx", "rm", "/tmp/full")


@pytest.mark.shows("The service does not answer in time.")
def test_an_answer_that_comes_too_late(started: Boot, client: Client, symptom: Symptom) -> None:
    with second_nginx(started, client, HASTY) as hasty, held_table(started):
        answer = hasty.request("POST", "/v1/documents", content={"text": "Stored too late."})
        edge.is_problem_of_nginx(answer, 504)
        assert "retry-after" not in answer.headers
        symptom.is_in(answer.text)


@pytest.mark.fills
@pytest.mark.shows("Perhaps out of memory?")
def test_out_of_memory(started: Boot, symptom: Symptom) -> None:
    hurt.exhaust_memory(started)

    def log() -> str:
        return started.compose("logs", "--no-log-prefix", "service")

    wait_for(lambda: symptom.text in log(), "the end of the worker in the log")
    symptom.is_in(log())
    assert started.containers("service")[0]["State"]["OOMKilled"]
    wait_for(lambda: not ready_is_red(started), "there is a new worker", 10)


@pytest.mark.shows("The database does not answer at the moment.")
def test_database_away_and_back(
    started: Boot, client: Client, deep: Callable[[], tuple[int, dict[str, Any]]], symptom: Symptom
) -> None:
    started.compose("stop", "postgres")
    try:
        probes.database_is_missed_where_it_is_needed(client, deep)
        symptom.is_in(client.get("/v1/search", params={"q": "something else that nobody has asked"}).text)
    finally:
        started.compose("start", "postgres")
    wait_for(lambda: probes.all_is_well(client, deep) is None, "everything recovers")


def test_scaling_up_and_down_is_not_noticed(started: Boot, client: Client, logs: Logs) -> None:
    scale = ("up", "--detach", "--no-recreate", "--no-deps", "--wait", "--scale")
    statuses: list[int] = []
    over = threading.Event()

    def load() -> None:
        while not over.wait(0.02):
            statuses.append(client.get("/version").status_code)

    with ThreadPoolExecutor() as pool:
        loading = [pool.submit(load) for _ in range(4)]
        try:
            started.compose(*scale, "service=3", "service")
            replicas = started.containers("service")
            wait_for(lambda: probes.all_replicas_answer(client, logs, replicas) is None, "the third replica serves", 10)
            started.compose(*scale, "service=2", "service")
        finally:
            over.set()
        for thread in loading:
            thread.result()
    assert len(replicas) == 3
    assert len(started.containers("service")) == 2
    probes.all_replicas_answer(client, logs, started.containers("service"))
    assert set(statuses) == {200}, {status: statuses.count(status) for status in set(statuses)}


LATE = "Written while the service stops."


def test_a_request_that_has_begun_is_finished(started: Boot, client: Client) -> None:
    """The service is told to stop while it waits for the database: the answer still comes, and the document is there.

    The service is left stopped: the next step of the walkthrough starts it.
    """
    with held_table(started) as release, ThreadPoolExecutor() as pool:
        storing = pool.submit(client.store, LATE)
        wait_for(lambda: waits_for_the_table(started), "the request waits for the table")
        stopping = pool.submit(started.compose, "stop", "service")
        wait_for(lambda: ready_is_red(started), "the service stops")
        release()
        identity = storing.result()
        stopping.result()
    codes = {container["State"]["ExitCode"] for container in started.containers("service")}
    assert codes == {0}, f"the service ended with {codes}"
    assert sql(started, f"SELECT text FROM documents WHERE id = '{identity}'") == LATE
    wait_for(lambda: probes.nginx_answers_for_it(client) is None, "nginx knows that the service is away", 5)


def test_what_is_stored_or_searched_for_is_in_no_log(started: Boot, client: Client) -> None:
    """Not even where it went wrong: a statement that counts as slow, and a request that nobody answers now."""
    log_slow_statement(started, "rather private words")
    assert client.get("/v1/search", params={"q": "private-question"}).status_code == 503
    said = "".join(containers.said(container) for container in started.containers())
    assert "SELECT $1" in said
    assert "private" not in said


def ready_is_red(boot: Boot) -> bool:
    """Whether every replica that still runs says that it is not ready."""
    return all(
        tools.run(["docker", "exec", container["Id"], "python", "-m", "assistant.healthcheck"]).returncode
        for container in boot.containers("service")
    )


@pytest.mark.shows("The service does not answer.")
def test_the_service_is_away(client: Client, symptom: Symptom) -> None:
    """It was stopped by the test before."""
    symptom.is_in(client.get("/version").text)


def test_walkthrough_stops_and_starts_again(started: Boot, walk: Walkthrough, client: Client) -> None:
    """`down` removes every container: what is found afterwards comes from the volume.

    The migrations run a second time: had they failed, nothing would have started.
    """
    before = {container["Id"] for container in started.containers()}
    found = json.loads(walk.until("stop-it-and-start-it-again").stdout.splitlines()[-1])
    assert found["matches"][0]["text"] == "Backups are made every night and tried out every week."
    assert not before & {container["Id"] for container in started.containers()}
    edge.live_and_ready_are_green(client)
    assert len(client.find(LATE)) == len(sql(started, "SELECT id FROM documents").split()) > 0


@pytest.mark.removes
def test_walkthrough_removes_everything(started: Boot, walk: Walkthrough) -> None:
    assert leftovers(started.project)
    walk.until("remove-it-with-all-its-data")
    assert leftovers(started.project) == []
