"""What is done to the Compose stack for production now and then: other images, backups, keys and passwords.

What compares all rows comes before what leaves jobs behind, which are done later.
"""

import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from handbook import tools
from handbook.catalog import Catalog
from handbook.stacks import Boot, ComposeStack

from . import inside, jobs
from .client import Client, wait_for
from .containers import execute, said
from .database import PSQL, sql
from .operate import operate

STACK = "compose/production"
# A release and a backup in one paragraph.
SECONDS = 240

ASIDE = "assistant_aside"
IMAGES = ("nginx", "cache", "broker", "postgres")


def inputs() -> str:
    """The digest of all that this module's result depends on."""
    here = Path(__file__)
    helpers = (path for path in here.parent.glob("*.py") if not path.name.startswith("test_"))
    return ComposeStack(STACK, Catalog()).digest([here, *helpers])


@pytest.fixture(scope="module")
def started(another_key: str, started: Boot) -> Boot:
    return started


def all_work(boot: Boot, client: Client) -> None:
    """Each replica reaches all that it asks, and the worker does what it is given."""
    client.store(f"Stored text {uuid.uuid4().hex}")
    jobs.wait_until_done(client, jobs.hand_in(client, jobs.texts()))
    replicas = boot.containers("service")
    assert len(replicas) == 2
    for replica in replicas:
        # A Redis that was away is asked again after some seconds.
        wait_for(lambda one=replica: inside.deep_health(one)[1]["state"] == "up", "all is up", 10)
    assert {container["State"]["Health"]["Status"] for container in boot.containers("beat")} == {"healthy"}


def meanwhile(boot: Boot, client: Client, name: str) -> tuple[Counter[int], Counter[int]]:
    """Run a paragraph, search and hand in jobs all the time, and return the statuses of both."""
    searches: Counter[int] = Counter()
    handed_in: Counter[int] = Counter()
    with ThreadPoolExecutor() as pool:
        acting = pool.submit(operate, boot, name, SECONDS)
        while not acting.done():
            answers = (
                client.get("/v1/search", params={"q": f"asked once {uuid.uuid4().hex}"}),
                # With a key nginx may send it once more, and says when the client may.
                client.request(
                    "POST",
                    "/v1/jobs",
                    content={"texts": jobs.texts(1)},
                    headers={"Idempotency-Key": uuid.uuid4().hex},
                ),
            )
            for answer, counted in zip(answers, (searches, handed_in), strict=True):
                assert answer.status_code != 503 or int(answer.headers["retry-after"]) > 0, answer.text
                counted[answer.status_code] += 1
            # A key has a limit.
            time.sleep(0.3)
        acting.result()
    return searches, handed_in


def texts_in(boot: Boot, database: str) -> set[str]:
    # The last of two databases counts.
    rows = execute(boot, "postgres", *PSQL, f"--dbname={database}", "--command=SELECT text FROM documents")
    return {*rows.splitlines()}


def cluster(boot: Boot) -> str:
    return sql(boot, "SELECT system_identifier FROM pg_control_system()")


def test_what_is_not_saved_is_not_removed(started: Boot) -> None:
    before = cluster(started)
    started.compose("stop", "backup")
    with pytest.raises(AssertionError, match="is not running"):
        operate(started, "save-the-database-and-remove-it")
    assert cluster(started) == before
    started.compose("up", "--detach", "--wait", "--wait-timeout", "120")


QUESTION = "which texts were stored around the backup"


def test_save_the_database_and_make_it_anew(started: Boot, client: Client) -> None:
    """As one goes to another major version of PostgreSQL, with the same one."""
    text = f"Stored before the upgrade {uuid.uuid4().hex}"
    client.store(text)
    before, there = cluster(started), texts_in(started, "assistant")
    operate(started, "save-the-database-and-remove-it", SECONDS)
    answer = client.get("/v1/search", params={"q": QUESTION})
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True), answer.text
    operate(started, "restore-into-an-empty-stack", SECONDS)
    assert cluster(started) != before
    assert texts_in(started, "assistant") == there
    all_work(started, client)


def made_as(boot: Boot, database: str) -> list[str]:
    """Whose a database is, who may do what with it, and what is installed in it."""
    owner = f"SELECT datdba::regrole, datacl, datcollate FROM pg_database WHERE datname = '{database}'"
    command = [*PSQL, f"--dbname={database}", f"--command={owner}"]
    return execute(boot, "postgres", *command, "--command=SELECT extname FROM pg_extension ORDER BY 1").split()


def databases(boot: Boot) -> set[str]:
    return {*sql(boot, "SELECT datname FROM pg_database WHERE datname LIKE 'assistant%'").split()}


def newest_backup(boot: Boot) -> str:
    listed = json.loads(execute(boot, "backup", "restic", "snapshots", "--json"))
    return str(listed[-1]["short_id"])


def found(client: Client) -> set[str]:
    answer = client.get("/v1/search", params={"q": QUESTION, "limit": "40"})
    assert answer.status_code == 200, answer.text
    return {match["text"] for match in answer.json()["matches"]}


def test_nothing_to_change_places_with(started: Boot, client: Client) -> None:
    """The database stays what it is, under its name, and the service serves."""
    there = texts_in(started, "assistant")
    with pytest.raises(AssertionError, match=f'database "{ASIDE}" does not exist'):
        operate(started, "let-the-two-databases-change-places", SECONDS)
    assert databases(started) == {"assistant"}
    assert texts_in(started, "assistant") == there
    # In a reader's terminal the paragraph goes on to its end, which is this.
    started.compose("up", "--detach", "--wait", "--wait-timeout", "120")
    all_work(started, client)


def test_restore_a_backup_and_go_back(started: Boot, client: Client) -> None:
    """Not the newest one: what was written after it is no longer found, and still there."""
    before, after, later = (f"Stored around the backup {uuid.uuid4().hex}" for _ in range(3))
    client.store(before)
    operate(started, "make-a-backup-now")
    chosen = newest_backup(started)
    client.store(after)
    operate(started, "make-a-backup-now")
    assert newest_backup(started) != chosen

    operate(started, "restore-a-backup-into-a-database-aside", env={"BACKUP": chosen})
    assert made_as(started, ASIDE) == made_as(started, "assistant")
    there, saved = texts_in(started, "assistant"), texts_in(started, ASIDE)
    assert there - saved == {after}
    assert saved <= there
    lines = operate(started, "compare-the-two-databases").splitlines()
    rows = [[cell.strip() for cell in line.split("|")] for line in lines if line.startswith(" assistant")]
    assert [row[:2] for row in rows] == [["assistant", str(len(there))], [ASIDE, str(len(saved))]], lines
    assert {before, after} <= found(client)

    migrated = started.containers("migrations")[0]["State"]["StartedAt"]
    searches, handed_in = meanwhile(started, client, "let-the-two-databases-change-places")
    # nginx gives up an address that has just gone with 504.
    assert {200, 503} <= searches.keys() <= {200, 503, 504}, searches
    assert {202, 503} <= handed_in.keys() <= {202, 503, 504}, handed_in
    assert started.containers("migrations")[0]["State"]["StartedAt"] > migrated
    assert before in found(client)
    assert after not in found(client)
    assert there <= texts_in(started, ASIDE)
    client.store(later)
    all_work(started, client)
    # So the cache has an answer that is not to be given any more.
    assert later in found(client)

    operate(started, "let-the-two-databases-change-places", SECONDS)
    assert {before, after} <= found(client)
    assert later not in found(client)
    assert later in texts_in(started, ASIDE)
    assert there <= texts_in(started, "assistant")

    operate(started, "drop-the-database-aside")
    assert databases(started) == {"assistant"}
    all_work(started, client)


def test_revoke_an_api_key(started: Boot, client: Client, another_key: str) -> None:
    another = replace(client, key=another_key)
    assert another.get("/v1/search", params={"q": "x"}).status_code == 200
    searches, handed_in = meanwhile(started, client, "revoke-an-api-key")
    assert (searches.keys(), handed_in.keys()) == ({200}, {202}), (searches, handed_in)
    # Of each replica, for a client meets any of them.
    for replica in started.containers("service"):
        request = inside.Request("GET", "/v1/search?q=x", {"Authorization": f"Bearer {another_key}"})
        assert inside.ask(replica, request)[0].status == 401
    assert another.get("/v1/search", params={"q": "x"}).status_code == 401
    assert client.get("/v1/search", params={"q": "x"}).status_code == 200
    with pytest.raises(AssertionError, match="revoke-an-api-key"):
        operate(started, "revoke-an-api-key")


def secret(boot: Boot, service: str, name: str) -> str:
    """What the first container of a service reads."""
    return execute(boot, service, "cat", f"/run/secrets/{name}").strip()


def logs_in(boot: Boot, password: str) -> bool:
    """Whether PostgreSQL takes a password from another container."""
    command = ["docker", "exec", "--env=PGPASSWORD", f"{boot.project}-backup-1", "psql", "--command=SELECT 1"]
    ran = tools.run(command, env={"PGPASSWORD": password})
    assert ran.returncode == 0 or 'password authentication failed for user "assistant"' in ran.stderr, ran.stderr
    return ran.returncode == 0


def test_change_the_password_of_the_database(started: Boot, client: Client) -> None:
    old = secret(started, "backup", "database_password")
    assert logs_in(started, old)
    # So every statement is logged that does not see to it that it is not.
    sql(started, "ALTER ROLE postgres SET log_min_duration_statement = 0")
    searches, handed_in = meanwhile(started, client, "change-the-password-of-the-database")
    assert {200} <= searches.keys() <= {200, 503}, searches
    assert {202} <= handed_in.keys() <= {202, 503}, handed_in
    sql(started, "ALTER ROLE postgres RESET log_min_duration_statement")
    new = secret(started, "backup", "database_password")
    assert new != old
    assert (logs_in(started, old), logs_in(started, new)) == (False, True)
    log = said(started.containers("postgres")[0])
    assert "SET log_min_duration_statement" in log, "no statement was logged at all"
    assert new not in log
    all_work(started, client)
    assert "saved and restored" in operate(started, "make-a-backup-now")


def redis_takes(boot: Boot, server: str, password: str) -> bool:
    # The key is none that there is: no command that is asked for here changes anything.
    command = ["redis-cli", "-e", "--no-auth-warning", "--user", "assistant", "exists", "nothing"]
    asked = ["docker", "exec", "--env=REDISCLI_AUTH", f"{boot.project}-{server}-1", *command]
    ran = tools.run(asked, env={"REDISCLI_AUTH": password})
    assert ran.returncode == 0 or "WRONGPASS" in ran.stdout + ran.stderr, ran.stdout + ran.stderr
    return ran.returncode == 0


def test_change_the_passwords_of_cache_and_broker(started: Boot, client: Client) -> None:
    servers = ("cache", "broker")
    old = {server: secret(started, "worker", f"{server}_password") for server in servers}
    assert all(redis_takes(started, server, old[server]) for server in servers)
    searches, handed_in = meanwhile(started, client, "change-the-passwords-of-cache-and-broker")
    assert (searches.keys(), handed_in.keys()) == ({200}, {202}), (searches, handed_in)
    for server in servers:
        new = secret(started, "worker", f"{server}_password")
        assert (redis_takes(started, server, old[server]), redis_takes(started, server, new)) == (False, True), server
    all_work(started, client)


def test_nothing_that_was_accepted_is_lost(started: Boot) -> None:
    """What was accepted while something was away is done by a later sweep, which need not be waited for before."""
    states = "SELECT DISTINCT state FROM jobs"
    wait_for(lambda: sql(started, states) == "done", "every job is done", 120, pause=0.5)


@pytest.fixture
def other_tags(started: Boot) -> Iterator[dict[str, str]]:
    """The environment in which the images of nginx, Redis and PostgreSQL have another tag, and the same content."""
    local = {service: started.images[started.stack.pulled[service]].local for service in IMAGES}
    other = {service: f"{image.partition('@')[0]}-of-{started.id}" for service, image in local.items()}
    for service, image in other.items():
        assert tools.run(["docker", "tag", local[service], image]).returncode == 0
    file = started.scratch / "other_tags.yaml"
    file.write_text(yaml.dump({"services": {service: {"image": image} for service, image in other.items()}}))
    yield {"COMPOSE_FILE": f"{started.env['COMPOSE_FILE']}:{file}"}
    tools.run(["docker", "image", "rm", "--force", *{*other.values()}])


def test_use_changed_images(started: Boot, client: Client, other_tags: dict[str, str]) -> None:
    """What has another image is made anew and goes on with its data; everything else is left alone."""
    there = texts_in(started, "assistant")
    before = {container["Name"]: container["Id"] for container in started.containers()}
    operate(started, "use-changed-images", SECONDS, other_tags)
    changed = {c["Name"] for c in started.containers() if before[c["Name"]] != c["Id"]}
    assert changed == {f"/{started.project}-{service}-1" for service in IMAGES}
    for service in IMAGES:
        assert started.containers(service)[0]["Config"]["Image"].endswith(f"-of-{started.id}"), service
    assert texts_in(started, "assistant") == there
    all_work(started, client)
    operate(started, "update-pgvector-in-the-database")
    all_work(started, client)
