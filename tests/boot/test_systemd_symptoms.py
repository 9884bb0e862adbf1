"""A serving machine is made to show what its page of troubleshooting names, and what the page says against it helps."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from handbook.catalog import ROOT
from handbook.symptoms import headings

from . import machine as machines
from .client import Client, wait_for
from .hands import TCP, built, children, edited, psql, serves, stopped
from .machine import CREDENTIALS, Machine
from .releases import changed, version_file
from .symptoms import Symptom

STACK = "systemd"
PAGE = ROOT / "docs" / "vm" / "troubleshooting.md"

SECOND, WORKER = "assistant-api@2.service", "assistant-worker.service"
MIGRATIONS, DATABASE = "assistant-migrations@current.service", "postgresql@17-main.service"
SETTINGS = "/etc/assistant/service.env"
TLS = "/etc/assistant/tls"
INSTALL = "./install.sh api.example.com"


def inputs() -> str:
    """The digest of all that this module's result depends on."""
    return machines.digest(Path(__file__), *headings(PAGE))


@pytest.fixture(scope="module")
def machine(boots: Any) -> Iterator[Machine]:
    """A machine with the first release, which serves; says in the proof what ran."""
    with machines.installed() as serving:
        machines.claim(boots, serving, serving.host.seconds)
        yield serving


@pytest.fixture(scope="module")
def client(machine: Machine) -> Client:
    """A client with the operator's key."""
    return machine.client


@pytest.fixture(autouse=True)
def cursor(machine: Machine) -> str:
    """Where the journal ends before a test, which begins with an instance that may be started as often as it likes."""
    machine.run("systemctl reset-failed")
    return re.findall("^-- cursor: (.+)$", machine.run("journalctl --lines=0 --show-cursor").stdout, re.MULTILINE)[0]


def said(machine: Machine, unit: str, cursor: str) -> str:
    """What is in the journal about a unit since then."""
    return machine.journal(unit, f"--after-cursor='{cursor}'")


def is_in_the_journal(machine: Machine, symptom: Symptom, unit: str, cursor: str, seconds: float = 15) -> None:
    wait_for(lambda: symptom.text in said(machine, unit, cursor), f"{symptom.text} in the journal", seconds)
    symptom.is_in(said(machine, unit, cursor))


def restart(machine: Machine, unit: str = SECOND) -> None:
    """Restart a unit, which need not come up; it is not waited for, since it is tried again and again."""
    machine.run(f"systemctl restart --no-block {unit}")


def mended(machine: Machine, unit: str = SECOND, instance: int = 2) -> None:
    machine.run(f"systemctl stop {unit}; systemctl reset-failed {unit} || true; systemctl start {unit}")
    wait_for(lambda: serves(machine, instance), "it serves", 20)


# A unit does not start


@pytest.mark.shows("status=203/EXEC")
def test_a_release_that_is_not_whole(machine: Machine, cursor: str, symptom: Symptom) -> None:
    machine.run("mkdir /opt/assistant/releases/half; ln -sfn releases/half /opt/assistant/current")
    try:
        restart(machine)
        is_in_the_journal(machine, symptom, SECOND, cursor)
    finally:
        machine.run("ln -sfn releases/1.0.0 /opt/assistant/current; rmdir /opt/assistant/releases/half")
    mended(machine)


@pytest.mark.shows("status=243/CREDENTIALS")
def test_a_credential_is_missing(machine: Machine, cursor: str, symptom: Symptom) -> None:
    machine.run(f"mv {CREDENTIALS}/provider_api_key /run/kept")
    try:
        restart(machine)
        is_in_the_journal(machine, symptom, SECOND, cursor)
        assert f"made  {CREDENTIALS}/provider_api_key" in machine.run(INSTALL).stdout
        mended(machine)
    finally:
        machine.run(f"mv --force /run/kept {CREDENTIALS}/provider_api_key")


@pytest.mark.shows("Read-only file system")
def test_a_folder_that_may_not_be_written(machine: Machine, cursor: str, symptom: Symptom) -> None:
    place = "/etc/systemd/system/assistant-api@.service.d"
    with edited(machine, SETTINGS, "$ a PROMETHEUS_MULTIPROC_DIR=/var/lib/assistant/metrics"):
        restart(machine)
        is_in_the_journal(machine, symptom, SECOND, cursor)
        machine.run(f"mkdir {place}; printf '[Service]\nStateDirectory=assistant\n' >{place}/state.conf")
        try:
            machine.run("systemctl daemon-reload")
            mended(machine)
        finally:
            machine.run(f"rm --recursive {place} /var/lib/assistant; systemctl daemon-reload")
    mended(machine)


@pytest.mark.shows("changed on disk. Run 'systemctl daemon-reload'")
def test_a_unit_that_was_changed(machine: Machine, symptom: Symptom) -> None:
    status = f"systemctl --no-pager status {WORKER}"
    machine.run(f"sleep 1; touch /etc/systemd/system/{WORKER}")
    shown = machine.run(status)
    symptom.is_in(shown.stdout + shown.stderr)
    machine.run("systemctl daemon-reload")
    again = machine.run(status)
    assert symptom.text not in again.stdout + again.stderr


# nginx


@pytest.mark.shows("cannot load certificate")
def test_a_certificate_that_is_not_there(machine: Machine, client: Client, symptom: Symptom) -> None:
    machine.run(f"mkdir /run/kept; mv {TLS}/* /run/kept")
    try:
        symptom.is_in(machine.run("nginx -t", check=False).stderr)
        assert machine.run("systemctl reload nginx", check=False).returncode
        assert client.get("/version").status_code == 200
        machine.run(INSTALL)
        machine.run("nginx -t")
    finally:
        machine.run(f"mv --force /run/kept/* {TLS}; rmdir /run/kept; systemctl reload nginx")


@pytest.mark.shows("key values mismatch")
def test_the_key_of_another_certificate(machine: Machine, symptom: Symptom) -> None:
    machine.run(f"cp --archive {TLS}/tls.key /run/kept; openssl ecparam -name prime256v1 -genkey -noout >{TLS}/tls.key")
    try:
        symptom.is_in(machine.run("nginx -t", check=False).stderr)
    finally:
        machine.run(f"mv /run/kept {TLS}/tls.key")
    machine.run("nginx -t")


@pytest.mark.shows("Address already in use")
def test_a_port_that_another_program_has(machine: Machine, cursor: str, symptom: Symptom) -> None:
    with stopped(machine, "nginx.service"):
        machine.run("systemd-run --quiet --unit=other python3 -m http.server 80")
        machine.run("until (exec 3<>/dev/tcp/127.0.0.1/80) 2>/dev/null; do sleep 0.05; done")
        try:
            assert machine.run("systemctl start nginx.service", check=False).returncode
            is_in_the_journal(machine, symptom, "nginx.service", cursor)
            assert '"python3"' in machine.run("ss --listening --tcp --processes --numeric").stdout
        finally:
            machine.run("systemctl stop other.service nginx.service; systemctl reset-failed nginx.service")
    machine.wait_until_it_serves()


@pytest.mark.shows("The service does not answer.")
def test_nginx_may_not_pass_to_the_sockets(machine: Machine, client: Client, symptom: Symptom) -> None:
    machine.run("chmod 700 /run/assistant")
    try:
        # A connection that nginx has kept still leads there, as long as it is used.
        wait_for(lambda: client.get("/version").status_code == 503, "nginx has no connection", 10, pause=2.5)
        symptom.is_in(client.get("/version").text)
    finally:
        machine.run("systemd-tmpfiles --create /etc/tmpfiles.d/assistant.conf")
    assert client.get("/version").status_code == 200


# The database


@pytest.mark.shows("Peer authentication failed for user")
def test_over_the_socket_as_another(machine: Machine, symptom: Symptom) -> None:
    symptom.is_in(psql(machine, "--username=assistant --dbname=assistant", "SELECT 1")[1])
    assert psql(machine, f"{TCP} --dbname=assistant", "SELECT 1")[0] == 0
    machine.run("runuser --user=postgres -- psql --command='SELECT 1' assistant")


@pytest.mark.shows("no pg_hba.conf entry")
def test_another_database(machine: Machine, symptom: Symptom) -> None:
    """And what helps: one more line, and the installation."""
    symptom.is_in(psql(machine, f"{TCP} --dbname=postgres", "SELECT 1")[1])
    rules = (machine.folder / "postgres/pg_hba.conf").read_text()
    line = "host postgres assistant 127.0.0.1/32 scram-sha-256\n"
    with changed(machine.folder, {"postgres/pg_hba.conf": rules + line}):
        machine.run(INSTALL)
        assert psql(machine, f"{TCP} --dbname=postgres", "SELECT 1")[0] == 0
    machine.run(INSTALL)
    machine.wait_until_it_serves()


@pytest.mark.shows("password authentication failed for user")
def test_another_password(machine: Machine, cursor: str, symptom: Symptom) -> None:
    machine.sql("ALTER ROLE assistant PASSWORD 'another'")
    mended(machine)
    ask = "curl --silent --unix-socket /run/assistant/api-2.sock http://localhost/health/deep"
    machine.run(ask)
    log = machine.run("cat /var/log/postgresql/postgresql-17-main.log").stdout
    symptom.is_in(log)
    machine.run(INSTALL)
    assert '"postgresql":{"state":"up"' in machine.run(ask).stdout


@pytest.mark.shows("permission denied for schema public")
def test_a_database_of_another(machine: Machine, cursor: str, symptom: Symptom) -> None:
    """As one makes it by hand: the migrations may not make a table."""
    sql = "runuser --user=postgres -- psql --quiet"
    machine.run(
        "systemctl stop assistant.target 'assistant-*.service'\n"
        f"{sql} --command='ALTER DATABASE assistant RENAME TO kept' --command='CREATE DATABASE assistant' "
        "--command='GRANT ALL ON DATABASE assistant TO assistant'\n"
        f"{sql} --command='CREATE EXTENSION vector' assistant"
    )
    try:
        machine.run(f"systemctl start --no-block {MIGRATIONS}")
        is_in_the_journal(machine, symptom, MIGRATIONS, cursor)
        machine.run(f"systemctl stop {MIGRATIONS}; systemctl reset-failed {MIGRATIONS} || true")
        machine.run(f"{sql} --command='ALTER DATABASE assistant OWNER TO assistant'")
        machine.run(f"systemctl start {MIGRATIONS}; systemctl stop {MIGRATIONS}")
    finally:
        machine.run(
            f"{sql} --command='DROP DATABASE assistant WITH (FORCE)' "
            "--command='ALTER DATABASE kept RENAME TO assistant'\n"
            "systemctl start assistant.target"
        )
    machine.wait_until_it_serves()


@pytest.mark.shows("No space left on device")
def test_a_full_disk(machine: Machine, client: Client, cursor: str, symptom: Symptom) -> None:
    """The database's own. What reads goes on, and so does what writes as soon as there is room again."""
    data = "/var/lib/postgresql/17/main"

    def stored() -> int:
        return client.request("POST", "/v1/documents", content={"text": "word " * 1500}).status_code

    with stopped(machine, DATABASE):
        machine.run(
            f"used=$(du --summarize --block-size=1M {data} | cut --fields=1)\n"
            "mount --types tmpfs --options size=$((used + 40))M tmpfs /mnt\n"
            f"cp --archive {data}/. /mnt; chown postgres:postgres /mnt; chmod 700 /mnt; mount --bind /mnt {data}"
        )
    try:
        # The first ones may still find connections that the stop has closed.
        wait_for(lambda: stored() == 201, "it stores", 20)
        machine.run("dd if=/dev/zero of=/mnt/filler bs=1M", check=False)
        wait_for(lambda: stored() == 503, "the disk is full", 60)
        assert client.get("/v1/search", params={"q": "word"}).status_code == 200
        symptom.is_in(said(machine, "assistant-api@*", cursor))
        symptom.is_in(machine.run("cat /var/log/postgresql/postgresql-17-main.log").stdout)
        assert re.search(r" 100% /mnt$", machine.operate("see-what-takes-the-disk").stdout, re.MULTILINE)
        machine.run("rm /mnt/filler")
        assert stored() == 201
    finally:
        with stopped(machine, DATABASE):
            machine.run(f"umount {data} /mnt")
    machine.wait_until_it_serves()


# A release fails


def refused(machine: Machine, *arguments: str) -> str:
    """What `release.sh` prints, which has to fail, and to leave the version that serves."""
    ran = machine.release(*arguments, env={"PATIENCE": "5"})
    assert ran.code == 1, ran.said
    assert machine.run("readlink /opt/assistant/current; ls -A /opt/assistant").stdout.split() == [
        "releases/1.0.0",
        "current",
        "releases",
    ]
    assert machine.client.get("/version").json()["version"] == "1.0.0"
    return ran.said


@pytest.mark.shows("another release is running; wait for its end")
def test_two_releases(machine: Machine, symptom: Symptom) -> None:
    machine.run("(setsid flock /opt/assistant/releases sleep 30 >/dev/null 2>&1 & echo $! >/run/holds); sleep 0.3")
    try:
        symptom.is_in(refused(machine, "1.1.0"))
    finally:
        machine.run("kill -- -$(cat /run/holds); rm /run/holds")


@pytest.mark.shows("no version before")
def test_nothing_before(machine: Machine, symptom: Symptom) -> None:
    symptom.is_in(refused(machine, "--rollback"))


@pytest.mark.shows("is no longer complete in")
def test_the_version_before_was_removed(machine: Machine, symptom: Symptom) -> None:
    machine.run("ln -s releases/0.9.0 /opt/assistant/previous")
    try:
        symptom.is_in(machine.release("--rollback").said)
    finally:
        machine.run("rm /opt/assistant/previous")


@pytest.mark.shows("write the version into")
def test_another_version_than_the_source_has(machine: Machine, symptom: Symptom) -> None:
    symptom.is_in(refused(machine, "9.9.9"))


@pytest.fixture(scope="module")
def other_packages(machine: Machine) -> str:
    """What a release prints whose packages are others than those that are locked."""
    locked = (machine.service / "requirements.txt").read_text()
    wrong = {"requirements.txt": re.sub(r"sha256:[0-9a-f]{8}", "sha256:00000000", locked)}
    with changed(machine.service, {**wrong, **version_file("1.1.0")}):
        return refused(machine, "1.1.0")


@pytest.mark.shows("THESE PACKAGES DO NOT MATCH THE HASHES")
def test_other_packages(other_packages: str, symptom: Symptom) -> None:
    symptom.is_in(other_packages)


@pytest.mark.shows("the packages were not installed")
def test_packages_that_are_not_installed(other_packages: str, symptom: Symptom) -> None:
    symptom.is_in(other_packages)


@pytest.mark.shows("without a backup nothing is changed")
def test_a_release_without_a_backup(machine: Machine, symptom: Symptom) -> None:
    with built(machine, "1.1.0", ":"), stopped(machine, DATABASE):
        symptom.is_in(refused(machine, "1.1.0"))
    assert "saved and restored" in machine.operate("make-a-backup-now").stdout


@pytest.mark.shows("the migrations failed")
def test_migrations_that_fail(machine: Machine, symptom: Symptom) -> None:
    with built(machine, "1.1.0", "echo 'raise RuntimeError' >>migrations/env.py"):
        symptom.is_in(refused(machine, "1.1.0"))


@pytest.mark.shows("Can't locate revision identified by")
def test_a_migration_is_missing(machine: Machine, symptom: Symptom) -> None:
    revision = machine.sql("SELECT version_num FROM alembic_version")
    machine.sql("UPDATE alembic_version SET version_num = 'ahead'")
    try:
        with built(machine, "1.1.0", ":"):
            symptom.is_in(refused(machine, "1.1.0"))
    finally:
        machine.sql(f"UPDATE alembic_version SET version_num = '{revision}'")


@pytest.mark.shows("does not start; its log stands above")
def test_a_release_that_does_not_start(machine: Machine, symptom: Symptom) -> None:
    with built(machine, "1.1.0", "echo 'raise RuntimeError' >>gunicorn.conf.py"):
        symptom.is_in(refused(machine, "1.1.0"))


@pytest.mark.shows("was tried out, and does not serve")
def test_a_release_that_does_not_serve(machine: Machine, symptom: Symptom) -> None:
    with built(machine, "1.1.0", "echo 'raise RuntimeError' >>assistant/app.py"):
        symptom.is_in(refused(machine, "1.1.0"))


# It is slow, or dies


@pytest.mark.shows("WORKER TIMEOUT")
def test_a_process_that_gives_no_sign_of_life(machine: Machine, cursor: str, symptom: Symptom) -> None:
    with edited(machine, SETTINGS, "s/^GUNICORN_TIMEOUT=.*/GUNICORN_TIMEOUT=2/"):
        mended(machine)
        (before,) = children(machine, SECOND)
        machine.run(f"kill -STOP {before}")
        is_in_the_journal(machine, symptom, SECOND, cursor)
        wait_for(lambda: children(machine, SECOND) not in ([], [before]) and serves(machine, 2), "it serves", 20)
    mended(machine)


@pytest.mark.shows("State 'stop-sigterm' timed out. Killing.")
def test_a_unit_that_does_not_end(machine: Machine, cursor: str, symptom: Symptom) -> None:
    """It answers still, and the limit of the unit is below that of an answer."""
    place = f"/run/systemd/system/{SECOND}.d"
    ask = (
        f"(printf 'header = \"Authorization: Bearer %s\"' $(cat {CREDENTIALS}/api_key) | curl --config - --silent "
        '--no-buffer --unix-socket /run/assistant/api-2.sock --json \'{"question": "drip 100"}\' '
        "http://localhost/v1/answers >/run/answer 2>&1 &);"
        "timeout 10 bash -c 'until [[ -s /run/answer ]]; do sleep 0.1; done'"
    )
    machine.run(f"mkdir --parents {place}; printf '[Service]\nTimeoutStopSec=1\n' >{place}/soon.conf")
    try:
        machine.run(f"systemctl daemon-reload; {ask}; systemctl stop {SECOND}")
        is_in_the_journal(machine, symptom, SECOND, cursor)
        assert "event: done" not in machine.run("cat /run/answer").stdout
    finally:
        machine.run(f"rm --recursive {place}; rm --force /run/answer; systemctl daemon-reload")
        mended(machine)


@pytest.mark.shows("Suppressed")
def test_a_unit_that_writes_too_much(machine: Machine, cursor: str, symptom: Symptom) -> None:
    """As the limit of journald does it for every unit, with a smaller one of its own."""
    limits = "--property=LogRateLimitIntervalSec=1s --property=LogRateLimitBurst=10"
    # The journal says it with the unit's next line after the interval, and knows the unit's limit while it runs alone.
    writes = "for _ in {1..60}; do seq 1000; sleep 0.5; done"
    machine.run(f"systemd-run --quiet --unit=chatty {limits} bash -c '{writes}'")
    try:
        is_in_the_journal(machine, symptom, "systemd-journald.service", cursor)
    finally:
        machine.run("systemctl stop chatty")
    assert "messages from chatty.service" in said(machine, "systemd-journald.service", cursor)
