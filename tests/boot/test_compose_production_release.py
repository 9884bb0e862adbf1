"""What is done to the Compose stack for production while people use it: releases, reloads, backups; and restores."""

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from handbook import tools
from handbook.catalog import Catalog
from handbook.stacks import Boot, ComposeStack
from handbook.walkthroughs import Walkthrough

from . import jobs, streams
from .client import Client, client_of, wait_for
from .database import sql
from .load import Load, Result, add_clients, stored_texts
from .operate import operate, paragraph
from .prepared import prepare
from .releases import (
    Ran,
    Running,
    changed,
    images,
    migration,
    release,
    release_and_leave,
    run,
    running,
    settings,
    source,
    version_file,
    write,
)
from .symptoms import Symptom

STACK = "compose/production"
pytestmark = pytest.mark.usefixtures("quiet_around")

WARM_SECONDS = 6
BACKUP_SECONDS = 300
# What a release may add to the slowest request.
SLOWER_SECONDS = 2
REQUESTS = 10_000
CLIENTS = 3

# How restic says that there is none yet.
NO_REPOSITORY = 10

# So that it need not be waited for as long as in production until a replica is given up.
IMPATIENT = """
services:
  service:
    healthcheck:
      start_period: 10s
      interval: 1s
"""


def inputs() -> str:
    """The digest of all that this module's result depends on."""
    here = Path(__file__)
    helpers = (path for path in here.parent.glob("*.py") if not path.name.startswith("test_"))
    return ComposeStack(STACK, Catalog()).digest([here, *helpers])


def version(client: Client) -> str:
    answer: str = client.get("/version").json()["version"]
    return answer


@pytest.fixture(scope="module")
def keys(boot: Boot, walk: Walkthrough) -> list[str]:
    """API keys of clients, made before the start: one as `operate.sh` says, and those of the load."""
    walk.until("prepare")
    operate(boot, "add-an-api-key")
    return [(boot.folder / "secrets" / "api_key_of_another").read_text().strip(), *add_clients(boot, CLIENTS)]


@pytest.fixture(scope="module")
def stack(keys: list[str], boot: Boot, started: Boot, walk: Walkthrough) -> Boot:
    """The stack with documents and jobs in it, as the walkthrough leaves it."""
    walk.until("look-inside")
    return started


@pytest.fixture(scope="module")
def client(stack: Boot) -> Client:
    return client_of(stack)


@pytest.mark.parametrize("arguments", [(), ("",), ("1.0", "1.1"), ("--again",), ("1.0:2",), ("../1",)])
def test_release_refuses(arguments: tuple[str, ...], boot: Boot) -> None:
    refused = release(boot, *arguments)
    assert refused.code == 1
    assert refused.said == "release.sh: run: ./release.sh VERSION, such as 1.1.0, or: ./release.sh --rollback\n"


@pytest.mark.shows("no replica runs; start the stack with")
def test_release_needs_something_that_runs(boot: Boot, walk: Walkthrough, symptom: Symptom) -> None:
    walk.until("prepare")
    refused = release(boot, "1.1.0")
    assert refused.code == 1
    symptom.is_in(refused.said)
    assert refused.said.endswith(": docker compose up --detach --wait\n")


def test_an_added_key_is_known(client: Client, keys: list[str]) -> None:
    answer = client.get("/v1/search", params={"q": "x"}, headers={"Authorization": f"Bearer {keys[0]}"})
    assert answer.status_code == 200, answer.text


@pytest.mark.shows("no version before")
def test_nothing_to_roll_back_to(stack: Boot, symptom: Symptom) -> None:
    refused = release(stack, "--rollback")
    assert refused.code == 1
    symptom.is_in(refused.said)
    assert "no version before 1.0.0 is known" in refused.said


@pytest.mark.shows("is no longer here")
def test_an_image_that_was_removed(stack: Boot, symptom: Symptom) -> None:
    (stack.folder / ".env").write_text("VERSION=1.0.0\nPREVIOUS_VERSION=0.9.0\n")
    refused = release(stack, "--rollback")
    (stack.folder / ".env").unlink()
    assert refused.code == 1
    symptom.is_in(refused.said)
    assert "the image of 0.9.0 is no longer here" in refused.said


@dataclass
class Story:
    """What was done under load, and how everything was after each part of it."""

    load: Load
    warm: tuple[float, float] = (0, 0)
    ran: dict[str, Ran] = field(default_factory=dict)
    running: dict[str, Running] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    version: dict[str, str] = field(default_factory=dict)
    images: dict[str, set[str]] = field(default_factory=dict)
    serials: dict[str, str] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)

    def look(self, name: str, boot: Boot, client: Client) -> None:
        self.running[name] = running(boot)
        self.settings[name] = settings(boot)
        self.images[name] = images(boot)
        self.version[name] = version(client)
        self.serials[name] = serial(client)
        columns = "SELECT column_name FROM information_schema.columns WHERE table_name = 'documents'"
        self.columns[name] = sql(boot, columns)

    def during(self, name: str) -> Result:
        """What the load saw of one part, up to a second after its end."""
        ran = self.ran[name]
        return self.load.result.between(ran.began, ran.ended + 1)


def serial(client: Client) -> str:
    with client.handshake() as connection:
        certificate = connection.getpeercert()
    assert certificate
    return str(certificate["serialNumber"])


def reload_servers(boot: Boot) -> Ran:
    """Tell each replica's server to take new processes, as one does to have it read its configuration."""
    return run(boot, "docker", "compose", "kill", "--signal=HUP", "service")


@pytest.fixture(scope="module")
def story(stack: Boot, client: Client, keys: list[str], walk: Walkthrough) -> Story:
    """All that happens under load: a version that never becomes healthy, a good one, the way back, and reloads."""
    never_healthy = {**version_file("1.1.0"), "assistant/healthcheck.py": "raise SystemExit('never healthy')\n"}

    with Load(client, keys) as load:
        story = Story(load)
        story.warm = (time.monotonic() + 1, time.monotonic() + WARM_SECONDS)
        time.sleep(WARM_SECONDS)
        story.look("before", stack, client)

        with changed(source(stack), never_healthy):
            story.ran["broken"] = release(stack, "1.1.0", env=impatient(stack))
        story.look("broken", stack, client)

        write(source(stack), migration(source(stack), "added", "ALTER TABLE documents ADD COLUMN added varchar"))
        with changed(source(stack), version_file("1.1.0")):
            story.ran["release"] = run(stack, *paragraph(stack, "release-a-version"))
        story.look("release", stack, client)

        story.ran["rollback"] = run(stack, *paragraph(stack, "roll-back"))
        story.look("rollback", stack, client)

        renewed = Ran(time.monotonic())
        walk.until("renew-the-certificate")
        time.sleep(3)
        renewed.ended, renewed.code = time.monotonic(), 0
        story.ran["renewal"] = renewed
        story.look("renewal", stack, client)

        story.ran["reload"] = reload_servers(stack)
        time.sleep(5)
        story.ran["reload"].ended = time.monotonic()
        story.look("reload", stack, client)
    return story


def impatient(boot: Boot) -> dict[str, str]:
    """The environment in which Compose gives a replica up early."""
    file = boot.scratch / "impatient.yaml"
    file.write_text(IMPATIENT, encoding="utf-8")
    return {"COMPOSE_FILE": f"{boot.env['COMPOSE_FILE']}:{file}"}


PARTS = ("broken", "release", "rollback", "renewal", "reload")


@pytest.mark.parametrize("part", PARTS)
def test_nobody_notices(part: str, story: Story) -> None:
    seen = story.during(part)
    assert seen.failed == [], seen
    assert seen.cut == [], seen


def test_many_were_there_to_notice(story: Story) -> None:
    parts = [story.during(part) for part in PARTS]
    assert sum(len(part.seen) for part in parts) >= REQUESTS, story.load.result
    for part in parts:
        kinds = {one.kind for one in part.seen}
        assert kinds == {"version", "search", "store", "stream"}, part


@pytest.mark.parametrize("part", ["release", "rollback"])
def test_streams_outlive_the_switch(part: str, story: Story) -> None:
    """Streams that the old replicas had begun go on after these were told to stop, and a release waits for them."""
    stopped = story.ran[part].when("serves; the replicas of")
    assert story.load.result.streams_across(stopped) >= 1, story.load.result


# A server that takes new processes does not answer until these have started: about as long as one has to wait.
@pytest.mark.parametrize("part", [part for part in PARTS if part != "reload"])
def test_nobody_waits_long(part: str, story: Story) -> None:
    usual = story.load.result.between(*story.warm).slowest
    slowest = story.during(part).slowest
    assert slowest <= usual + SLOWER_SECONDS, f"{slowest:.2f} s, and {usual:.2f} s without a release"


def test_nothing_is_stored_twice(story: Story, stack: Boot) -> None:
    stored = story.load.result.stored
    assert len(stored) > 100, story.load.result
    assert stored_texts(partial(sql, stack), story.load) == sorted(stored)


def test_a_version_that_never_becomes_healthy(story: Story) -> None:
    ran = story.ran["broken"]
    assert ran.code == 1, ran.said
    assert "a replica of 1.1.0 is running unhealthy 0" in ran.said
    assert ran.said.endswith("release.sh: 1.0.0 serves on; mend what is said above and run this again\n")
    assert story.running["broken"] == story.running["before"]
    assert (story.version["broken"], story.settings["broken"]) == ("1.0.0", "")
    assert story.images["broken"] == {"1.0.0"}


def test_first_release(story: Story) -> None:
    ran, before, after = story.ran["release"], story.running["before"], story.running["release"]
    assert ran.code == 0, ran.said
    assert story.version["release"] == "1.1.0"
    assert story.settings["release"] == "VERSION=1.1.0\nPREVIOUS_VERSION=1.0.0\n"
    for service in ("service", "worker", "beat"):
        assert after.versions[service] == {"1.1.0"}, service
        assert after.health[service] == {"healthy"}, service
        assert not after.ids[service] & before.ids[service], service
        assert len(after.ids[service]) == len(before.ids[service]), service
    assert "added" not in story.columns["before"].split()
    assert "added" in story.columns["release"].split()


def test_rollback(story: Story) -> None:
    ran = story.ran["rollback"]
    assert ran.code == 0, ran.said
    for word in ("saving", "building", "migrating"):
        assert word not in ran.said
    assert story.version["rollback"] == "1.0.0"
    assert story.settings["rollback"] == "VERSION=1.0.0\nPREVIOUS_VERSION=1.1.0\n"
    assert {*story.running["rollback"].versions.values()} == {frozenset({"1.0.0"})}
    # The database stays ahead.
    assert story.columns["rollback"] == story.columns["release"]


def test_renewed_certificate_is_served(story: Story) -> None:
    assert len({story.serials[part] for part in ("before", "broken", "release", "rollback")}) == 1
    assert story.serials["renewal"] != story.serials["rollback"]


def test_reload_keeps_the_containers(story: Story) -> None:
    assert story.running["reload"] == story.running["rollback"]


def test_starting_it_afterwards_changes_nothing(story: Story, stack: Boot, client: Client) -> None:
    """Compose finds what it would have made itself, also where the database is ahead of the version."""
    stack.compose("up", "--detach", "--wait", "--wait-timeout", "120")
    assert running(stack) == story.running["reload"]
    assert version(client) == "1.0.0"


BROKEN = {
    "the image is not built": ({"Dockerfile": "FROM nothing-of-this-name\n"}, "the image was not built"),
    "the migration fails": (None, "the migrations failed"),
    "it does not start": ({"assistant/app.py": "raise RuntimeError('broken')\n"}, "(state, health, restarts)"),
    "its worker does not start": ({"assistant/tasks.py": "raise RuntimeError('broken')\n"}, "are not both healthy"),
}


@contextlib.contextmanager
def another_schedule(boot: Boot, at: str) -> Iterator[Callable[[], str]]:
    """Let one more container make backups at a time of the day; yields what says what it has printed."""
    name = f"{boot.project}-schedule-{at.replace(':', '')}"
    begun = run(
        boot, "docker", "compose", "run", "--detach", "--no-deps", "--name", name, "--env", f"BACKUP_AT={at}", "backup"
    )
    assert begun.code == 0, begun.said
    try:
        yield lambda: run(boot, "docker", "logs", name).said
    finally:
        tools.run(["docker", "rm", "--force", "--volumes", name])


@pytest.fixture(scope="module")
def soon(stack: Boot) -> Iterator[Callable[[], str]]:
    """A schedule whose time comes within two minutes, while other tests run."""
    at = datetime.now(UTC) + timedelta(seconds=65)
    with another_schedule(stack, f"{at:%H:%M}") as said:
        yield said


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("how", [pytest.param(how, marks=pytest.mark.shows(BROKEN[how][1])) for how in BROKEN])
def test_a_version_that_is_broken(how: str, stack: Boot, client: Client, symptom: Symptom) -> None:
    """What is broken is removed and said; everything runs as before, and the next try begins from nothing."""
    files, _ = BROKEN[how]
    before, was = running(stack), version(client)
    kept, there = settings(stack), images(stack)
    wrong = files or migration(source(stack), "broken", "SELECT nothing()")
    with changed(source(stack), {**version_file("1.2.0"), **wrong}):
        ran = release(stack, "1.2.0")
    assert ran.code == 1, ran.said
    symptom.is_in(ran.said)
    assert ran.said.endswith(f"release.sh: {was} serves on; mend what is said above and run this again\n")
    runs_as(stack, before, but=("worker", "beat") if "worker" in how else ())
    assert (version(client), settings(stack), images(stack)) == (was, kept, there)


def runs_as(boot: Boot, before: Running, but: tuple[str, ...] = ()) -> None:
    """The same containers run as before; of the services in `but`, others of the same version, and healthy."""
    after = running(boot)
    assert (after.versions, after.health) == (before.versions, before.health)
    for service, ids in before.ids.items():
        assert len(after.ids[service]) == len(ids), service
        # How far it has come with those cannot be known.
        assert service in but or after.ids[service] == ids, f"{service}: {ids} before, {after.ids[service]} after"


@pytest.mark.shows("Can't locate revision identified by")
def test_a_version_that_lacks_a_migration(stack: Boot, symptom: Symptom) -> None:
    """The database is where no migration of this version has brought it."""
    before, at = running(stack), sql(stack, "SELECT version_num FROM alembic_version")
    sql(stack, "UPDATE alembic_version SET version_num = 'elsewhere'")
    try:
        ran = release(stack, "1.2.0")
    finally:
        sql(stack, f"UPDATE alembic_version SET version_num = '{at}'")
    assert ran.code == 1
    symptom.is_in(ran.said)
    assert "identified by 'elsewhere'" in ran.said
    runs_as(stack, before)


def test_changed_settings_are_released(stack: Boot, client: Client) -> None:
    """The same version again: all containers are replaced or restarted, those added by hand too, and nothing else."""
    for more in ("add-a-replica", "add-a-worker"):
        operate(stack, more)
    before, kept = running(stack), settings(stack)
    assert (len(before.ids["service"]), len(before.ids["worker"])) == (3, 2)
    worker = stack.containers("worker")[0]["State"]["StartedAt"]
    file = stack.folder / "service.env"
    text = file.read_text(encoding="utf-8")
    try:
        file.write_text(text.replace("LOG_LEVEL=info", "LOG_LEVEL=warning"), encoding="utf-8")
        ran = run(stack, *paragraph(stack, "release-the-version-that-runs"))
    finally:
        file.write_text(text, encoding="utf-8")
    assert ran.code == 0, ran.said
    for word in ("saving", "building", "migrating"):
        assert word not in ran.said
    after = running(stack)
    assert (after.versions, after.health, settings(stack)) == (before.versions, before.health, kept)
    assert not after.ids["service"] & before.ids["service"]
    assert {name: len(ids) for name, ids in after.ids.items()} == {"service": 3, "worker": 2, "beat": 1}
    for container in (*stack.containers("service"), *stack.containers("worker")):
        assert "LOG_LEVEL=warning" in container["Config"]["Env"]
    assert stack.containers("worker")[0]["State"]["StartedAt"] > worker


@pytest.mark.shows("replicas of several versions run")
def test_what_a_killed_release_leaves_is_not_released_again(stack: Boot, symptom: Symptom) -> None:
    """What the message says makes one version of it."""
    other = "1.1.0" if settings(stack).startswith("VERSION=1.0.0") else "1.0.0"
    before = running(stack)
    beside = run(
        stack,
        *("docker", "compose", "up", "--detach", "--no-recreate", "--wait"),
        *(f"--scale=service={len(before.ids['service']) + 1}", "service"),
        env={"VERSION": other},
    )
    assert beside.code == 0, beside.said
    assert len(running(stack).versions["service"]) == 2
    refused = release(stack, "1.2.0")
    assert refused.code == 1
    symptom.is_in(refused.said)
    stack.compose("up", "--detach", "--wait", "--wait-timeout", "120")
    after = running(stack)
    assert after.versions == before.versions
    assert len(after.ids["service"]) == 2


@pytest.mark.shows("without a backup nothing is changed")
def test_no_backup_no_release(stack: Boot, symptom: Symptom) -> None:
    before = running(stack)
    with a_sequence_of_somebody_else(stack):
        ran = release(stack, "1.2.0")
    assert ran.code == 1
    symptom.is_in(ran.said)
    runs_as(stack, before)


@contextlib.contextmanager
def a_sequence_of_somebody_else(boot: Boot) -> Iterator[None]:
    """Put something into the database that pg_dump may not read, so that it fails on its way."""
    sql(boot, "CREATE SEQUENCE of_somebody_else")
    try:
        yield
    finally:
        sql(boot, "DROP SEQUENCE of_somebody_else")


@pytest.mark.parametrize("line", ["starting 1.2.0 beside", "replacing worker and beat"])
def test_a_release_that_is_broken_off(line: str, stack: Boot, client: Client) -> None:
    before, was, kept = running(stack), version(client), settings(stack)
    with changed(source(stack), version_file("1.2.0")):
        ran = release(stack, "1.2.0", interrupt_at=line)
    is_taken_back(ran, was)
    runs_as(stack, before, but=("worker", "beat") if "worker" in line else ())
    assert (version(client), settings(stack)) == (was, kept)


def is_taken_back(ran: Ran, was: str) -> None:
    assert ran.code == 130, ran.said
    assert ran.said.endswith(f"release.sh: {was} serves on; mend what is said above and run this again\n")


def test_a_release_that_is_broken_off_when_it_serves(stack: Boot, client: Client) -> None:
    """Streams that its replicas have begun go on to their end."""
    before, was = running(stack), version(client)
    with changed(source(stack), version_file("1.2.0")), streams.all_the_time(client):
        # By then nginx gives them some.
        ran = release(stack, "1.2.0", interrupt_at="both versions serve", after=2)
    is_taken_back(ran, was)
    runs_as(stack, before, but=("worker", "beat"))
    assert version(client) == was


@pytest.mark.parametrize(
    ("command", "code"), [("compose ps --quiet service", 125), ("network ls", 130), ("network disconnect", 130)]
)
def test_it_ends_with_1_whatever_docker_said(
    command: str, code: int, stack: Boot, client: Client, tmp_path: Path
) -> None:
    """Docker says 130 when it was interrupted itself. Nobody has interrupted the release."""
    before, was = running(stack), version(client)
    stub = tmp_path / "docker"
    stub.write_text(f'#!/bin/sh\ncase "$*" in "{command}"*) exit {code} ;; esac\nexec {tools.find("docker")} "$@"\n')
    stub.chmod(0o755)
    ran = release(stack, was, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert ran.code == 1, ran.said
    assert "no replica runs" not in ran.said
    runs_as(stack, before)


def test_a_release_whose_terminal_is_lost(stack: Boot, client: Client) -> None:
    """As with a broken connection: it ends as after Ctrl-C, though nobody can read what it says."""
    before, was = running(stack), version(client)
    kept, there = settings(stack), images(stack)
    with changed(source(stack), version_file("1.2.0")):
        ran = release_and_leave(stack, "1.2.0", at="replacing worker and beat")
    assert ran.code == 130, ran.said
    runs_as(stack, before, but=("worker", "beat"))
    assert (version(client), settings(stack), images(stack)) == (was, kept, there)


@pytest.mark.shows("another release is running; wait for its end")
def test_one_release_at_a_time(stack: Boot, symptom: Symptom) -> None:
    with (stack.folder / "compose.yaml").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused = [release(stack, arguments) for arguments in ("1.2.0", "--rollback")]
    for ran in refused:
        assert ran.code == 1
        assert ran.said == f"release.sh: {symptom.text}\n"
        symptom.is_in(ran.said)


@pytest.mark.negative
def test_a_careless_restart_is_noticed(stack: Boot, client: Client, keys: list[str]) -> None:
    """The load sees what a release must not do: replicas that end at once, and a document that is stored twice."""
    with Load(client, keys) as load:
        time.sleep(2)
        stack.compose("kill", "service")
        stack.compose("up", "--detach", "--wait", "--wait-timeout", "120")
        client.store(f"{load.name} twice")
        client.store(f"{load.name} twice")
        wait_for(lambda: load.result.cut, "a stream that was cut")
    assert load.result.failed
    assert "503" in str(load.result)
    assert stored_texts(partial(sql, stack), load) != sorted([*load.result.stored, f"{load.name} twice"])


def test_a_backup_is_made_and_tried_out(stack: Boot, client: Client) -> None:
    """It says how many rows of each table came back, and there is one backup more."""
    jobs.wait_until_done(client, jobs.hand_in(client, jobs.texts()))
    before = {*snapshots(stack)}
    said = operate(stack, "make-a-backup-now", BACKUP_SECONDS)
    for table, rows in counted(stack).items():
        assert f"{table}|{rows}" in re.split(r"[ ,\n]", said), said
    after = {*snapshots(stack)}
    assert before < after
    listed = operate(stack, "see-the-backups")
    assert f"{len(after)} snapshots" in listed, listed


def counted(boot: Boot) -> dict[str, int]:
    """How many rows each table has."""
    tables = sql(boot, "SELECT relname FROM pg_stat_user_tables").split()
    assert {"documents", "jobs", "alembic_version"} <= {*tables}
    return {table: int(sql(boot, f"SELECT count(*) FROM {table}")) for table in tables}


def snapshots(boot: Boot) -> list[str]:
    """The ids of the backups, oldest first."""
    listed = backup(boot, "restic", "snapshots", "--json")
    if listed.code == NO_REPOSITORY:
        return []
    return [snapshot["short_id"] for snapshot in json.loads(listed.said)]


def backup(boot: Boot, *command: str, **environment: str) -> Ran:
    """Run a command in the container of the backup."""
    options = [option for name, value in environment.items() for option in ("--env", f"{name}={value}")]
    return run(boot, "docker", "compose", "exec", "-T", *options, "backup", *command)


def test_a_dump_that_fails_is_no_backup(stack: Boot) -> None:
    """Half a dump is not kept."""
    before = snapshots(stack)
    with a_sequence_of_somebody_else(stack):
        ran = backup(stack, "backup.sh")
    assert ran.code == 1
    assert "of_somebody_else" in ran.said
    assert "backup.sh: the database was not saved" in ran.said
    assert snapshots(stack) == before


def test_a_backup_that_lacks_rows_is_noticed(stack: Boot) -> None:
    """A table that belongs to an extension is not in a dump, and nobody says so."""
    before = seen_as_good(stack)
    sql(
        stack, "CREATE TABLE lost AS SELECT 1; GRANT SELECT ON lost TO assistant; ALTER EXTENSION vector ADD TABLE lost"
    )
    try:
        ran = backup(stack, "backup.sh")
    finally:
        sql(stack, "ALTER EXTENSION vector DROP TABLE lost; DROP TABLE lost")
    assert ran.code == 1
    assert "< lost|1" in ran.said
    assert "does not have the rows (<) that the database has" in ran.said
    assert seen_as_good(stack) == before


def seen_as_good(boot: Boot) -> str:
    """The time of the newest backup that worked."""
    return backup(boot, "stat", "--format=%y", "/backups/verified").said


def test_another_password_is_refused(stack: Boot) -> None:
    wrong = {"RESTIC_PASSWORD_FILE": "/run/secrets/database_password"}
    ran = backup(stack, "backup.sh", **wrong)
    assert ran.code == 1
    assert "was made with another password than the one in backup_password" in ran.said
    ran = backup(stack, "restore.sh", **wrong)
    assert ran.code
    assert "wrong password" in ran.said


DAMAGE = """
cp --archive /backups/repository /backups/damaged
for pack in /backups/damaged/data/*/*; do
  chmod u+w "$pack"
  printf '%s' damaged | dd of="$pack" bs=1 seek=50 conv=notrunc status=none
done
"""


def damage(boot: Boot) -> dict[str, str]:
    """Make a copy of the repository in which every file has some wrong bytes; return how it is named."""
    ran = backup(boot, "bash", "-euo", "pipefail", "-c", DAMAGE)
    assert ran.code == 0, ran.said
    return {"RESTIC_REPOSITORY": "/backups/damaged"}


def test_damage_is_noticed(stack: Boot) -> None:
    before = seen_as_good(stack)
    ran = backup(stack, "backup.sh", **damage(stack))
    backup(stack, "rm", "--recursive", "--force", "/backups/damaged")
    assert ran.code == 1
    # Whichever finds it first: parts of the newest may be as old as the damage.
    assert re.search(r"backup.sh: (/backups/damaged is damaged|the newest backup cannot be restored)\n", ran.said)
    assert seen_as_good(stack) == before


def days_of(stack: Boot, today: datetime) -> list[int]:
    """How many days ago each backup was made."""
    listed = json.loads(backup(stack, "restic", "snapshots", "--json").said)
    return [(today.date() - datetime.fromisoformat(snapshot["time"]).date()).days for snapshot in listed]


def test_old_backups_are_forgotten(stack: Boot) -> None:
    """What is new stays, and of older days, weeks and months as many as one wants."""
    new = snapshots(stack)
    today = datetime.now(UTC)
    save = ["restic", "backup", "--quiet", "--host=assistant", "--stdin-from-command"]
    for days in (400, 401, 800):
        time_then = f"{today - timedelta(days):%Y-%m-%d} 12:00:00"
        assert backup(stack, *save, f"--time={time_then}", "--", "echo", "old").code == 0
    assert len(snapshots(stack)) == len(new) + 3
    # Those of today, of yesterday if these tests began then, and of the day before that has any.
    daily = len({day for day in days_of(stack, today) if day < 2} | {0}) + 1
    ran = backup(stack, "backup.sh", KEEP_WITHIN="1d", KEEP_DAILY=str(daily), KEEP_WEEKLY="1", KEEP_MONTHLY="1")
    assert ran.code == 0, ran.said
    days = days_of(stack, today)
    assert [day for day in days if day > 1] == [400]
    assert len(days) == len(new) + 2


@pytest.fixture(scope="module")
def empty(stack: Boot) -> Iterator[Boot]:
    """A second stack, on a host that has nothing but what its operator kept: the backups, and later their password."""
    operate(stack, "make-a-backup-now", BACKUP_SECONDS)
    operate(stack, "copy-the-backups", BACKUP_SECONDS)
    with Boot(stack.stack) as second:
        assert prepare(second.folder).returncode == 0
        (stack.folder / "backups.tar").rename(second.folder / "backups.tar")
        second.compose("build", timeout=300)
        operate(second, "bring-the-backups-into-an-empty-stack", BACKUP_SECONDS)
        yield second


def test_restore_needs_the_password(empty: Boot, stack: Boot) -> None:
    ran = backup(empty, "restore.sh", "latest")
    assert ran.code == 1
    assert "wrong password" in ran.said
    assert "restore.sh: nothing was restored" in ran.said
    kept = stack.folder / "secrets" / "backup_password"
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    copied = tools.run([*as_root, "cp", "--preserve", str(kept), str(empty.folder / "secrets" / "backup_password")])
    assert copied.returncode == 0, copied.stderr
    empty.compose("up", "--detach", "--wait", "--force-recreate", "backup")


def test_a_damaged_backup_is_not_restored(empty: Boot) -> None:
    ran = backup(empty, "restore.sh", "latest", **damage(empty))
    assert ran.code == 1
    assert "restore.sh: nothing was restored" in ran.said
    assert sql(empty, "SELECT count(*) FROM pg_stat_user_tables") == "0"


def test_an_empty_database_is_no_backup(empty: Boot) -> None:
    """The schedule may come between the start and the restore; the newest backup stays what it was."""
    before = snapshots(empty)
    ran = backup(empty, "backup.sh")
    assert ran.code == 1
    assert "backup.sh: the database has no tables; there is nothing to save" in ran.said
    assert snapshots(empty) == before


def test_restore(empty: Boot, stack: Boot) -> None:
    """Every row and everything around the rows is as it was, and the service goes on with it."""
    operate(empty, "restore-into-an-empty-stack", BACKUP_SECONDS)
    assert rows(empty) == rows(stack)
    assert around_rows(empty) == around_rows(stack)
    migrated = empty.compose("logs", "--no-log-prefix", "migrations")
    assert "Will assume transactional DDL" in migrated
    assert "Running upgrade" not in migrated
    client = client_of(empty)
    assert len(client.find("when are backups made")) > 0


def rows(boot: Boot) -> dict[str, list[str]]:
    """Each row of each table."""
    return {
        table: sql(boot, f'SELECT t::text FROM {table} t ORDER BY t::text COLLATE "C"').splitlines()
        for table in counted(boot)
    }


def around_rows(boot: Boot) -> list[str]:
    """What there is besides rows: columns, indexes, constraints, and whose all that is."""
    columns = "table_name, column_name, data_type, is_nullable, column_default"
    return [
        sql(boot, f"SELECT {columns} FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"),
        sql(boot, "SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"),
        sql(boot, "SELECT tablename, indexname FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2"),
        sql(boot, "SELECT conname, contype FROM pg_constraint WHERE conrelid <> 0 ORDER BY 1"),
    ]


def test_restore_needs_an_empty_database(empty: Boot) -> None:
    before = rows(empty)
    ran = backup(empty, "restore.sh", "latest")
    assert ran.code == 1
    assert "restore.sh: the database has tables already; a backup goes into an empty one" in ran.said
    assert rows(empty) == before


@pytest.mark.negative
def test_a_lost_row_is_noticed(empty: Boot, stack: Boot) -> None:
    sql(empty, "DELETE FROM documents WHERE id = (SELECT id FROM documents LIMIT 1)")
    assert rows(empty) != rows(stack)
    sql(empty, "DROP INDEX documents_embedding")
    assert around_rows(empty) != around_rows(stack)
