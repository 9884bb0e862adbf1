"""The story of the Compose stack for development: prepared, started, edited while it runs, stopped, removed."""

import contextlib
import json
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import redis
from dotenv import dotenv_values

from handbook import proof, tools
from handbook.catalog import ROOT, Catalog
from handbook.stacks import Boot, ComposeStack, leftovers
from handbook.symptoms import headings
from handbook.walkthroughs import Walkthrough

from . import containers, development, hurt, symptoms
from .client import wait_for
from .containers import execute
from .database import sql
from .development import answers_as, edited, log_from_now, run_of, version
from .prepared import prepare, seen
from .symptoms import Symptom

STACK = "compose/development"
PAGE = ROOT / "docs" / "compose" / "development.md"
MADE = (
    "database_password",
    "postgres_password",
    "cache_password",
    "broker_password",
    "provider_api_key",
    "api_key",
    "cache.acl",
    "broker.acl",
    "api_keys",
)


def inputs() -> str:
    """The digest of all that this module's result depends on."""
    here = Path(__file__)
    helpers = (path for path in here.parent.glob("*.py") if not path.name.startswith("test_"))
    of_production = ComposeStack("compose/production", Catalog()).digests().values()
    return proof.digest(ComposeStack(STACK, Catalog()).digest([here, *helpers]), *of_production, *headings(PAGE))


@pytest.fixture(scope="module")
def boot(boot: Boot) -> Boot:
    development.ask_on_loopback(boot)
    return boot


@pytest.fixture(scope="module")
def secrets(started: Boot) -> Path:
    return started.folder / "secrets"


@pytest.fixture(scope="module")
def package(started: Boot) -> Path:
    """The code that is edited: the copy's."""
    return started.folder.parents[1] / "service" / "assistant"


@pytest.fixture(scope="module")
def client(started: Boot, secrets: Path) -> Iterator[httpx.Client]:
    with development.client_of(started.ports[8000], secrets) as client:
        yield client


@pytest.fixture
def unprepared(tmp_path: Path) -> Path:
    """The copy of the stack as a developer with a strict umask makes it."""
    folder = ComposeStack(STACK, Catalog()).unpack(tmp_path)
    for path in tmp_path.rglob("*"):
        path.chmod(path.stat().st_mode & ~0o077)
    return folder


def test_prepare_says_what_it_made(walk: Walkthrough) -> None:
    assert walk.until("prepare").stdout.splitlines() == [f"made  secrets/{name}" for name in MADE]


def test_secrets_are_for_containers_and_for_whoever_made_them(walk: Walkthrough, boot: Boot) -> None:
    """A container's user reads a file that is mounted alone; on the host nobody else gets into its folder."""
    walk.until("prepare")
    folder = boot.folder / "secrets"
    assert oct(folder.stat().st_mode) == "0o40700"
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in folder.iterdir()}
    assert modes == {".gitignore": "0o600", **dict.fromkeys(MADE, "0o444")}


def test_prepare_again_changes_nothing(walk: Walkthrough, boot: Boot) -> None:
    walk.until("prepare")
    before = seen(boot.folder)
    again = prepare(boot.folder)
    assert again.stdout.splitlines() == [f"kept  secrets/{name}" for name in MADE], again.stderr
    # Its work folder comes and goes, which touches the time of the folder around it.
    assert {**seen(boot.folder), "secrets": before["secrets"]} == before


def test_prepare_makes_again_what_depends_on_a_lost_secret(unprepared: Path) -> None:
    assert prepare(unprepared).returncode == 0
    (unprepared / "secrets" / "cache_password").unlink()
    (unprepared / "secrets" / "api_key").unlink()
    made = [line for line in prepare(unprepared).stdout.splitlines() if line.startswith("made")]
    assert made == [f"made  secrets/{name}" for name in ("cache_password", "api_key", "cache.acl", "api_keys")]


def test_prepare_needs_no_root(unprepared: Path) -> None:
    """Whoever may use Docker prepares the stack, and the mounted files can be read by the containers afterwards."""
    whole = unprepared.parents[1]
    command = ["bash", "prepare.sh"]
    if os.geteuid() == 0:
        for path in (whole.parent, whole, *whole.rglob("*")):
            os.chown(path, 65534, 65534)
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
    done = tools.run(command, cwd=unprepared)
    assert done.returncode == 0, done.stderr
    mounted = [path for name in ("service", "postgres", "redis") for path in (whole / name).rglob("*")]
    closed = [path for path in mounted if path.stat().st_mode & 0o055 != (0o055 if path.is_dir() else 0o044)]
    assert not [path for path in closed if path.suffix != ".sh"], closed


def test_prepare_asks_for_what_it_needs(unprepared: Path) -> None:
    bare = unprepared / "bin"
    bare.mkdir()
    (bare / "dirname").symlink_to(shutil.which("dirname") or "dirname")
    without = prepare(unprepared, path=str(bare))
    assert without.returncode == 1
    assert "openssl is not installed; run: apt-get install openssl" in without.stderr
    assert not (unprepared / "secrets").exists()


def test_git_sees_no_secret(unprepared: Path) -> None:
    assert tools.run(["git", "init", "--quiet"], cwd=unprepared).returncode == 0
    assert prepare(unprepared).returncode == 0
    listed = tools.run(["git", "ls-files", "--others", "--exclude-standard"], cwd=unprepared).stdout.splitlines()
    assert "compose.yaml" in listed
    assert not [path for path in listed if path.startswith("secrets")]


def test_everything_is_healthy(started: Boot) -> None:
    states = {
        containers.named(c).removeprefix(f"{started.project}-"): (c["State"].get("Health") or c["State"])["Status"]
        for c in started.containers()
    }
    assert states == {
        "beat-1": "healthy",
        "broker-1": "healthy",
        "cache-1": "healthy",
        "migrations-1": "exited",
        "postgres-1": "healthy",
        "provider-1": "healthy",
        "service-1": "healthy",
        "worker-1": "healthy",
    }


def test_containers_are_as_unprivileged_as_in_production(started: Boot) -> None:
    for container in started.containers():
        containers.runs_unprivileged(container)


def test_walkthrough_checks_it(started: Boot, walk: Walkthrough) -> None:
    told, stored, found = map(json.loads, walk.until("check-it").stdout.splitlines())
    assert told["version"] == "1.0.0"
    assert [match["id"] for match in found["matches"]] == [stored["id"]]


def test_the_key_is_needed_here_too(started: Boot) -> None:
    address = f"http://127.0.0.1:{started.ports[8000]}/v1/search?q=edit"
    assert httpx.get(address, trust_env=False).status_code == 401


def test_walkthrough_edits_and_sees(started: Boot, walk: Walkthrough, client: httpx.Client) -> None:
    """The answer changes in the container that runs, and changes back."""
    before = run_of(started, "service")
    assert json.loads(walk.until("edit-and-see").stdout.splitlines()[-1])["version"] == "1.0.1"
    answers_as(client, "1.0.0")
    assert run_of(started, "service") == before


def test_a_request_waits_for_the_reload(started: Boot, client: httpx.Client, package: Path) -> None:
    """The port stays open: between the old code and the new one nobody is refused. A connection may be cut off."""
    told = {version(client)}
    with edited(package / "__init__.py", "1.0.0", "2.0.0"):
        deadline = time.monotonic() + 60
        while "2.0.0" not in told and time.monotonic() < deadline:
            with contextlib.suppress(httpx.RemoteProtocolError, httpx.ReadError):
                told.add(version(client))
    assert told == {"1.0.0", "2.0.0"}
    answers_as(client, "1.0.0")


def test_a_reload_does_not_wait_for_streams(client: httpx.Client, package: Path) -> None:
    """A stream that would go on for a minute is cut off a moment after the edit."""

    def edit() -> None:
        with edited(package / "__init__.py", "1.0.0", "3.0.0"):
            answers_as(httpx.Client(base_url=client.base_url, trust_env=False, timeout=60), "3.0.0")

    lines = development.stream(client, "drip 500", edit)
    assert "event: token" in lines
    assert "event: done" not in lines, "the stream ended by itself"
    answers_as(client, "1.0.0")


def test_the_worker_runs_the_edited_code(started: Boot, client: httpx.Client, package: Path) -> None:
    before = run_of(started, "worker")
    log = log_from_now(started, "worker")
    greeting = "the worker was edited"
    with edited(package / "tasks.py", "work = Work(settings)\n", f'work = Work(settings)\nprint("{greeting}")\n'):
        wait_for(lambda: greeting in log(), "the new code runs")
        job = client.post("/v1/jobs", json={"texts": ["Jobs are done by the edited worker."]})
        assert job.status_code == 202, job.text
        path = job.headers["location"]
        wait_for(lambda: client.get(path).json()["state"] == "done", "the job is done")
    assert run_of(started, "worker") == before


def test_a_new_migration_needs_no_new_image(started: Boot, package: Path) -> None:
    """The mounted files take the place of those in the image."""
    revision = package.parent / "migrations" / "versions" / "colour.py"
    head = execute(started, "service", "alembic", "heads").split()[0]
    revision.write_text(
        f'"""A table."""\n\nfrom alembic import op\n\nrevision, down_revision = "colour", "{head}"\n\n\n'
        'def upgrade() -> None:\n    op.execute("CREATE TABLE colour (name text)")\n\n\n'
        'def downgrade() -> None:\n    op.execute("DROP TABLE colour")\n'
    )
    run = ("run", "--rm", "--no-deps", "--no-TTY", "migrations")
    try:
        started.compose(*run)
        assert sql(started, "SELECT to_regclass('colour') IS NOT NULL") == "t"
        started.compose(*run, "alembic", "downgrade", "-1")
        assert sql(started, "SELECT to_regclass('colour') IS NULL") == "t"
    finally:
        revision.unlink()


def test_what_is_published_is_asked_from_this_machine_only(started: Boot) -> None:
    """In the file by its address, and seen: at the machine's other addresses nobody answers."""
    published = [port for ports in started.stack.ports.values() for port in ports]
    assert {port.published for port in published} == {8000, 5432, 6379, 6380, 9000}
    assert {port.host for port in published} == {"127.0.0.1"}
    for port, free in started.ports.items():
        assert development.is_open("127.0.0.1", free), f"{port} is not open"
        assert not development.is_open(gateway(), free), f"{port} is open at {gateway()}"


@pytest.mark.negative
def test_a_port_without_an_address_is_open_to_others(started: Boot) -> None:
    image = started.containers("cache")[0]["Config"]["Image"]
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    options = ["--rm", "--detach", f"--publish={port}:6379", "--entrypoint=redis-server"]
    begun = tools.run(["docker", "run", *options, image, "--protected-mode", "no"])
    assert begun.returncode == 0, begun.stderr
    try:
        wait_for(lambda: development.is_open(gateway(), port), "it is open", 10)
    finally:
        tools.run(["docker", "rm", "--force", "--volumes", begun.stdout.strip()])


def gateway() -> str:
    """An address of this machine that is not a loopback: the one that containers know it by."""
    template = "{{range .IPAM.Config}}{{.Gateway}} {{end}}"
    return tools.run(["docker", "network", "inspect", "bridge", "--format", template]).stdout.split()[0]


def test_the_databases_can_be_asked_from_this_machine(started: Boot, secrets: Path) -> None:
    """With the passwords of the stack, and not without."""
    password = (secrets / "database_password").read_text().strip()
    address: dict[str, Any] = {"host": "127.0.0.1", "port": started.ports[5432], "dbname": "assistant"}
    with psycopg.connect(**address, user="assistant", password=password) as connection:
        assert connection.execute("SELECT count(*) > 0 FROM documents").fetchone() == (True,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(**address, user="assistant", password="another")
    for name, port in (("cache", 6379), ("broker", 6380)):
        password = (secrets / f"{name}_password").read_text().strip()
        with redis.Redis(port=started.ports[port], username="assistant", password=password) as server:
            assert server.set("asked-from", "this machine", ex=60)
        with (
            redis.Redis(port=started.ports[port]) as server,
            pytest.raises(redis.AuthenticationError, match="already authenticated"),
        ):
            server.get("asked-from")


def test_walkthrough_looks_inside(started: Boot, walk: Walkthrough) -> None:
    assert "An edit is served at once." in walk.until("look-inside").stdout


def test_walkthrough_runs_the_tests_of_the_service(started: Boot, walk: Walkthrough) -> None:
    assert " passed in " in walk.until("run-the-tests-of-the-service").stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def files() -> dict[str, dict[str, Any]]:
    """The services of both stacks."""
    return {name: ComposeStack(f"compose/{name}", Catalog()).services for name in ("development", "production")}


# What may differ, and why: ports are published here; a developer's logs go to the terminal, and a stack that was
# stopped stays stopped; how much of the machine it may use is limited for the sake of others in production.
SAME = ("image", "build", "entrypoint", "user", "healthcheck", "secrets", "tmpfs", "shm_size", "read_only", "cap_drop")
MOUNTED = ("volumes", "env_file", "environment", "security_opt", "stop_grace_period")


def differences(here: dict[str, Any], there: dict[str, Any], *, but: tuple[str, ...] = ()) -> dict[str, Any]:
    """What two services do not have in common of all that decides how they work."""
    keys = (key for key in (*SAME, *MOUNTED, "command") if key not in but)
    return {key: (here.get(key), there.get(key)) for key in keys if here.get(key) != there.get(key)}


@pytest.mark.parametrize("name", ["postgres", "cache", "broker", "provider"])
def test_what_it_asks_is_what_production_asks(name: str, files: dict[str, dict[str, Any]]) -> None:
    assert differences(files["development"][name], files["production"][name]) == {}


def test_it_runs_the_service_of_production(files: dict[str, dict[str, Any]]) -> None:
    """From the same Dockerfile and the same locked versions; what differs is mounted, or waits for edits."""
    here, there = files["development"], files["production"]
    for name in ("service", "migrations", "worker", "beat"):
        found = differences(here[name], there[name], but=("image", "build", "command", "volumes"))
        assert found == {}, f"{name}: {found}"
    assert here["service"]["build"]["context"] == there["service"]["build"]
    assert here["migrations"]["command"] == there["migrations"]["command"]
    assert here["beat"]["command"] == there["beat"]["command"]
    assert here["worker"]["command"][3] == " ".join(there["worker"]["command"])
    service = ROOT / "snippets" / "service"
    assert pinned(service / "requirements.txt") < pinned(service / here["service"]["build"]["args"]["REQUIREMENTS"])


def pinned(lock: Path) -> set[str]:
    """The packages of a lock with their versions."""
    return set(re.findall(r"^[\w.-]+(?:\[[\w,]+\])?==[^ ;]+", lock.read_text(), re.MULTILINE))


SETTINGS = """
import json, os, sys
from assistant.settings import ServerSettings, Settings, load

def read():
    return load(Settings).model_dump(mode="json") | load(ServerSettings).model_dump(mode="json")

here = read()
os.environ.clear()
os.environ.update(json.loads(sys.argv[1]))
there = read()
print(*sorted(name for name in here if here[name] != there[name]))
"""


def test_its_settings_are_those_of_production(started: Boot) -> None:
    """What its file does not set has a default, which is what the other file sets. People read its log, though."""
    production = json.dumps(dotenv_values(ROOT / "snippets/compose/production/service.env"))
    different = execute(started, "service", "python", "-c", SETTINGS, production).split()
    assert different == ["forwarded_allow_ips", "log_format"]


@pytest.mark.negative
class TestDifferencesAreSeen:
    def test_another_image_and_another_file(self, files: dict[str, dict[str, Any]]) -> None:
        other = {**files["production"]["postgres"], "image": "postgres:18", "volumes": []}
        assert set(differences(files["development"]["postgres"], other)) == {"image", "volumes"}


def test_the_page_names_the_symptoms_that_are_shown() -> None:
    symptoms.all_are_shown(PAGE, sys.modules[__name__])


@pytest.mark.shows("bind source path does not exist")
def test_not_prepared(started: Boot, symptom: Symptom) -> None:
    symptom.is_in(hurt.start_unprepared(started))


@pytest.mark.shows("address already in use")
def test_a_port_that_another_program_has(started: Boot, symptom: Symptom) -> None:
    """As where a PostgreSQL of the system runs."""
    name = f"{started.project}-second-postgres"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        publish = f"--publish=127.0.0.1:{taken.getsockname()[1]}:5432"
        options = ["--detach", "--name", name, "--no-deps", "--no-TTY", publish]
        command = ["docker", "compose", "run", *options, "postgres"]
        try:
            begun = tools.run(command, cwd=started.folder, env=started.env, timeout=30)
        finally:
            tools.run(["docker", "rm", "--force", "--volumes", name])
    assert begun.returncode
    symptom.is_in(begun.stdout + begun.stderr)


@pytest.mark.shows("password authentication failed for user")
def test_a_new_secret_for_an_old_volume(started: Boot, symptom: Symptom) -> None:
    with hurt.new_secret(started):
        printed = hurt.start(started)
    symptom.is_in(printed + started.compose("logs", "--no-log-prefix", "migrations"))
    assert started.compose("up", "--detach", "--wait", "--wait-timeout", "120") == ""


@pytest.mark.shows("SyntaxError")
def test_an_edit_that_cannot_be_read(started: Boot, client: httpx.Client, package: Path, symptom: Symptom) -> None:
    """The service and the worker wait for the next edit; a request waits with them."""
    before = [run_of(started, name) for name in ("service", "worker")]
    service, worker = log_from_now(started, "service"), log_from_now(started, "worker")
    with edited(package / "embedder.py", "def embed(", "def (embed"):
        wait_for(lambda: symptom.text in service() and symptom.text in worker(), "both logs say so")
        with pytest.raises(httpx.TimeoutException):
            client.get("/version", timeout=1)
        symptom.is_in(service())
    answers_as(client, "1.0.0")
    wait_for(lambda: "ready." in worker(), "the worker works again")
    assert [run_of(started, name) for name in ("service", "worker")] == before


@pytest.mark.shows("ModuleNotFoundError: No module named")
def test_a_package_that_the_image_lacks(started: Boot, client: httpx.Client, package: Path, symptom: Symptom) -> None:
    log = log_from_now(started, "service")
    with edited(package / "app.py", "from fastapi import", "import numpy\nfrom fastapi import"):
        wait_for(lambda: symptom.text in log(), "the log says so")
        symptom.is_in(log())
    answers_as(client, "1.0.0")


@pytest.mark.shows("PermissionError: [Errno 13] Permission denied: '/app/")
def test_a_file_that_the_container_may_not_read(
    started: Boot, client: httpx.Client, package: Path, symptom: Symptom
) -> None:
    """A new file of somebody whose umask keeps others out; `prepare.sh` opens it."""
    log = log_from_now(started, "service")
    new = package / "colour.py"
    new.touch(0o600)
    try:
        with edited(package / "app.py", "from fastapi import", "import assistant.colour\nfrom fastapi import"):
            wait_for(lambda: symptom.text in log(), "the log says so")
            symptom.is_in(log())
            assert prepare(started.folder).returncode == 0
            new.touch()
            answers_as(client, "1.0.0")
    finally:
        new.unlink()
    answers_as(client, "1.0.0")


LATE = "Stored before the stack was stopped."


def test_walkthrough_stops_and_starts_again(started: Boot, walk: Walkthrough, client: httpx.Client) -> None:
    """`down` removes every container: what is found afterwards comes from the volume."""
    before = {container["Id"] for container in started.containers()}
    stored = client.post("/v1/documents", json={"text": LATE}).json()["id"]
    found = json.loads(walk.until("stop-it-and-start-it-again").stdout.splitlines()[-1])
    assert "An edit is served at once." in [match["text"] for match in found["matches"]]
    assert not before & {container["Id"] for container in started.containers()}
    assert sql(started, f"SELECT text FROM documents WHERE id = '{stored}'") == LATE


@pytest.mark.removes
def test_walkthrough_removes_everything(started: Boot, walk: Walkthrough) -> None:
    assert leftovers(started.project)
    walk.until("remove-it-with-all-its-data")
    assert leftovers(started.project) == []
