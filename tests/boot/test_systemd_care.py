"""A serving machine: what its clients see, what happens when something dies, what is kept from whom, and its care."""

import json
import re
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from handbook.catalog import Catalog
from handbook.pytest_plugin import RESULTS, module_name
from handbook.stacks import find

from . import alarms, edge, jobs, probes, sandbox, streams
from . import machine as machines
from .alarms import Alarms
from .client import Client, wait_for
from .hands import TCP, children, does_all_its_work, edited, psql, serves, stopped
from .hurt import EATER
from .load import Load, Seen
from .machine import CREDENTIALS, Machine
from .probes import Logs
from .releases import changed
from .symptoms import Symptom

STACK = "systemd"

FIRST, SECOND = "assistant-api@1.service", "assistant-api@2.service"
WORKER, BEAT = "assistant-worker.service", "assistant-beat.service"
BACKUP, MIGRATIONS = "assistant-backup.service", "assistant-migrations@current.service"
DATABASE = "postgresql@17-main.service"
SETTINGS = "/etc/assistant/service.env"
# Of a stream of the load, in tenths of a second.
DROPS = 20

# What the story of installation and releases runs: test_systemd.py.
IN_THE_STORY = {"release-a-version", "roll-back", "take-new-processes"}


def inputs() -> str:
    """The digest of all that this module's result depends on."""
    return machines.digest(Path(__file__))


@pytest.fixture(scope="module")
def machine(boots: Any) -> Iterator[Machine]:
    """A machine with the first release, which serves; says in the proof what ran."""
    with machines.installed() as serving:
        machines.claim(boots, serving, serving.host.seconds)
        yield serving


@pytest.fixture(autouse=True)
def started_anew(machine: Machine) -> None:
    """Starts by hand count against StartLimitBurst=, and those of the tests before are not this one's."""
    active = "systemctl list-units --plain --no-legend --state=active 'assistant-*.service'"
    machine.run(f"systemctl reset-failed $({active} | cut --delimiter=' ' --fields=1)")


@pytest.fixture(scope="module")
def client(machine: Machine) -> Client:
    """A client with the operator's key."""
    return machine.client


@pytest.fixture(scope="module")
def logs(machine: Machine) -> Logs:
    return machine.lines


@pytest.fixture(scope="module")
def deep(machine: Machine) -> Callable[[], tuple[int, dict[str, Any]]]:
    return machine.deep_health


@pytest.fixture(scope="module")
def taken(machine: Machine) -> Iterator[Alarms]:
    """What the machine sends when a unit fails, to where the operator lets it go."""
    machine.operate("tell-where-alarms-go")
    told = machine.run(f"stat --format=%a {CREDENTIALS}/alert_url; cat {CREDENTIALS}/alert_url").stdout
    assert told == "400\nhttps://chat.example.com/hooks/assistant\n"
    with alarms.taken(machine) as arrived:
        yield arrived


@pytest.mark.parametrize("probe", edge.THROUGH_NGINX, ids=lambda probe: probe.__name__)
def test_through_nginx(probe: Callable[[Client], None], client: Client) -> None:
    probe(client)


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_an_answer_comes_token_by_token(version: str, client: Client) -> None:
    streams.comes_token_by_token(client, version)


def test_client_and_scheme_arrive(client: Client, logs: Logs) -> None:
    """Every line of both logs is JSON, and a request has the same id in both."""
    edge.client_and_scheme_arrive(client, logs)


def test_odd_requests_are_logged(client: Client, logs: Logs) -> None:
    edge.odd_requests_are_logged(client, logs)


def test_both_instances_answer(client: Client, logs: Logs) -> None:
    served = probes.who_answers(client, logs)
    assert served.statuses == {200}
    assert served.upstreams == {f"unix:/run/assistant/api-{instance}.sock" for instance in (1, 2)}


def test_deep_health_inside(client: Client, deep: Callable[[], tuple[int, dict[str, Any]]]) -> None:
    probes.all_is_well(client, deep)


# Keys and settings, which instances read when they start


@pytest.fixture(scope="module")
def loaded(machine: Machine, client: Client) -> tuple[Load, Client]:
    """The load while the operator adds a key and restarts, and that key's client; later loads have more keys."""
    machine.operate("add-an-api-key")
    key = machine.run("stat --format=%a api_key_of_another; cat api_key_of_another").stdout.split()
    assert key[0] == "600"
    machine.keys = machine.add_clients()
    with Load(client, [client.key], drops=DROPS) as load:
        machine.operate("restart-the-instances-one-after-another")
    return load, replace(client, key=key[1])


def test_a_restart_of_the_instances_is_not_noticed(loaded: tuple[Load, Client]) -> None:
    load, another = loaded
    assert (load.result.failed, load.result.cut) == ([], []), load.result
    assert {one.kind for one in load.result.seen} == {"version", "search", "store", "stream"}
    assert another.get("/v1/search", params={"q": "x"}).status_code == 200


def test_use_changed_settings_and_revoke_a_key(machine: Machine, loaded: tuple[Load, Client]) -> None:
    """The instances, the worker and beat start anew with them; a key that was revoked is refused by both."""
    _, another = loaded
    units = (FIRST, SECOND, WORKER, BEAT)
    before = [machine.main_pid(unit) for unit in units]
    machine.operate("revoke-an-api-key")
    settings = (machine.folder / "service.env").read_text()
    with changed(machine.folder, {"service.env": settings.replace("LOG_LEVEL=info", "LOG_LEVEL=debug")}):
        said = machine.operate("use-changed-settings").stdout
        assert "made  /etc/assistant/service.env" in said
        assert "run ./release.sh --restart" in said
        assert not {*before} & {machine.main_pid(unit) for unit in units}
        for unit in units:
            assert "LOG_LEVEL=debug" in machine.run(f"cat /proc/{machine.main_pid(unit)}/environ").stdout, unit
        for _ in range(4):
            assert another.get("/v1/search", params={"q": "x"}).status_code == 401
    machine.operate("use-changed-settings")
    does_all_its_work(machine, machine.client)


# Something dies


def lost(load: Load, killed: float, died: float) -> list[Seen]:
    """What failed, but for a POST that was under way between two moments: nginx does not send such a one again.

    https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_next_upstream
    """
    return [
        one for one in load.result.failed if one.kind != "store" or one.began > died or one.began + one.seconds < killed
    ]


def test_a_killed_instance_is_back_and_hardly_missed(
    machine: Machine, client: Client, loaded: tuple[Load, Client]
) -> None:
    """What it was answering goes to the other one, but for a POST, and for streams that had begun."""
    before, restarts = machine.main_pid(FIRST), int(machine.show(FIRST, "NRestarts"))
    with Load(client, machine.keys, drops=DROPS) as load:
        time.sleep(2)
        killed = time.monotonic()
        machine.run(f"kill -KILL {before}")
        died = time.monotonic()
        wait_for(lambda: machine.main_pid(FIRST) not in (0, before) and serves(machine, 1), "it serves again", 15)
        time.sleep(1)
    assert int(machine.show(FIRST, "NRestarts")) == restarts + 1
    assert lost(load, killed, died) == [], load.result
    assert [cut for cut in load.result.cut if cut.began > died] == []
    assert len(load.result.between(died, died + 1).seen) > 20, load.result


CACHE, BROKER = "redis-server@cache.service", "redis-server@broker.service"


@pytest.mark.parametrize("unit", ["nginx.service", CACHE, BROKER, DATABASE])
def test_what_it_needs_is_back_when_it_was_killed(unit: str, machine: Machine, client: Client, taken: Alarms) -> None:
    """Whole, with all that had started it; and nobody is called for what has mended itself."""
    before = machine.main_pid(unit)
    machine.run(f"kill -KILL {before}")
    wait_for(lambda: machine.main_pid(unit) not in (0, before), "it is back", 30)
    wait_for(lambda: machine.show(unit, "ActiveState") == "active", "it is active", 30)
    does_all_its_work(machine, client)
    assert (taken.of(unit), taken.in_journal(unit)) == ([], [])


def test_what_is_written_together_outlives_the_broker(machine: Machine) -> None:
    """Redis reads its file as the user default, and leaves out a transaction that this user may not do."""
    ask = f"REDISCLI_AUTH=$(<{CREDENTIALS}/broker_password) redis-cli -e --no-auth-warning --user assistant -p 6380"
    machine.run(f"{ask} eval \"for _, key in ipairs(KEYS) do redis.call('set', key, 1) end\" 2 a b")
    machine.run(f"systemctl restart {BROKER}")
    assert machine.run(f"{ask} del a b").stdout == "2\n"


def test_a_killed_process_is_replaced(machine: Machine, client: Client, loaded: tuple[Load, Client]) -> None:
    main, restarts = machine.main_pid(FIRST), machine.show(FIRST, "NRestarts")
    (before,) = children(machine, FIRST)
    with Load(client, machine.keys, drops=DROPS) as load:
        time.sleep(1)
        killed = time.monotonic()
        machine.run(f"kill -KILL {before}")
        died = time.monotonic()
        wait_for(lambda: children(machine, FIRST) not in ([], [before]) and serves(machine, 1), "it serves again", 15)
        time.sleep(1)
    assert (machine.main_pid(FIRST), machine.show(FIRST, "NRestarts")) == (main, restarts)
    assert lost(load, killed, died) == [], load.result
    assert [cut for cut in load.result.cut if cut.began > died] == []


def test_a_killed_worker_is_back(machine: Machine, client: Client) -> None:
    before, restarts = machine.main_pid(WORKER), int(machine.show(WORKER, "NRestarts"))
    of_it = children(machine, WORKER)
    assert len(of_it) == 2
    machine.run(f"kill -KILL {before}")
    job = jobs.hand_in(client, jobs.texts(1))
    jobs.wait_until_done(client, job)
    assert machine.main_pid(WORKER) not in (0, before)
    assert int(machine.show(WORKER, "NRestarts")) == restarts + 1
    left = machine.run(f"ps --no-headers --format=pid --pid={','.join(map(str, of_it))}", check=False).stdout
    assert left == "", "its processes have outlived it"


# An instance that cannot start


@pytest.fixture(scope="class")
def crashed(machine: Machine, taken: Alarms) -> str:
    """A setting is wrong, and the first instance restarts: what the journal says when it stays down."""
    # Starts by hand count as well.
    machine.run(f"systemctl reset-failed {FIRST}")
    since = time.time()

    def said() -> str:
        return machine.journal(FIRST, f"--since=@{since:.3f}")

    with edited(machine, SETTINGS, "s/^LOG_LEVEL=.*/LOG_LEVEL=loud/"):
        machine.run(f"systemctl restart --no-block {FIRST}")
        wait_for(lambda: "repeated too quickly" in said(), "it stays down", 90, pause=0.5)
        wait_for(lambda: taken.of(FIRST) and taken.in_journal(FIRST), "the alarm", 10)
    return said()


class TestAnInstanceThatCannotStart:
    @pytest.mark.shows("Start request repeated too quickly.")
    def test_it_stays_down(self, machine: Machine, client: Client, crashed: str, symptom: Symptom) -> None:
        assert machine.show(FIRST, "ActiveState") == "failed"
        symptom.is_in(crashed)
        # As often as StartLimitBurst= says, and not for ever.
        assert crashed.count("LOG_LEVEL: Input should be") == int(machine.show(FIRST, "StartLimitBurst")), crashed
        assert {client.get("/version").status_code for _ in range(10)} == {200}

    def test_its_failure_is_told_once(self, taken: Alarms, crashed: str) -> None:
        text = f"{FIRST} has failed on host; see: journalctl --unit={FIRST} --lines=50"
        assert taken.of(FIRST) == [text]
        assert taken.in_journal(FIRST) == [text]

    def test_try_the_alarm(self, machine: Machine, taken: Alarms) -> None:
        machine.operate("try-the-alarm")
        assert len(taken.of("trial")) == len(taken.in_journal("trial")) == 1

    def test_see_what_has_failed(self, machine: Machine, crashed: str) -> None:
        said = machine.operate("see-what-has-failed").stdout
        assert re.search(rf"^\W*{re.escape(FIRST)} +loaded +failed", said, re.MULTILINE), said
        assert f"{FIRST} has failed on host" in said

    def test_start_what_has_failed_again(self, machine: Machine, crashed: str) -> None:
        """After the setting is mended."""
        machine.operate("start-what-has-failed-again")
        does_all_its_work(machine, machine.client)


# Limits


LIMITS = {
    FIRST: ("536870912", "128"),
    WORKER: ("536870912", "128"),
    BEAT: ("201326592", "64"),
    "assistant-provider.service": ("134217728", "128"),
    "nginx.service": ("268435456", "256"),
    "redis-server@cache.service": ("268435456", "32"),
    "redis-server@broker.service": ("268435456", "32"),
    DATABASE: ("1073741824", "256"),
}


@pytest.mark.parametrize("unit", LIMITS)
def test_the_kernel_holds_the_limits(unit: str, machine: Machine) -> None:
    """Not what the unit asks for, but what its control group has."""
    # In version 1 each controller has a hierarchy of its own.
    read = f"""cd /sys/fs/cgroup
    place={shlex.quote(machine.show(unit, "ControlGroup"))}
    cat "memory$place/memory.limit_in_bytes" || cat ".$place/memory.max"
    cat "pids$place/pids.max" || cat ".$place/pids.max"
    """
    assert tuple(machine.run(read).stdout.split()) == LIMITS[unit]


def in_the_group(machine: Machine, unit: str, controller: str) -> str:
    """The command that puts the shell into the control group of a unit."""
    place = shlex.quote(f"{machine.show(unit, 'ControlGroup')}/cgroup.procs")
    # Should that fail, nothing that is meant for it may run outside.
    return f"set -e; cd /sys/fs/cgroup; [[ ! -d {controller} ]] || cd {controller}; echo $$ >.{place}"


@pytest.mark.shows("Perhaps out of memory?")
def test_a_process_that_takes_too_much_memory_is_replaced(machine: Machine, client: Client, symptom: Symptom) -> None:
    main, restarts, since = machine.main_pid(FIRST), machine.show(FIRST, "NRestarts"), time.time()
    before = children(machine, FIRST)
    eat = f"exec timeout 30 python3 - <<'END'\nworkers = {before}\n{EATER}\nEND"
    machine.run(f"{in_the_group(machine, FIRST, 'memory')}\n{eat}", check=False)
    wait_for(lambda: children(machine, FIRST) not in ([], before) and serves(machine, 1), "it serves again", 15)
    symptom.is_in(machine.journal(FIRST, f"--since=@{since:.3f}"))
    # The instance itself went on.
    assert (machine.main_pid(FIRST), machine.show(FIRST, "NRestarts")) == (main, restarts)
    assert client.get("/version").status_code == 200


def test_no_unit_makes_more_processes_than_it_may(machine: Machine) -> None:
    fork = "for n in {1..200}; do sleep 5 & done; jobs -p | wc -l; kill $(jobs -p)"
    ran = machine.run(f"{in_the_group(machine, FIRST, 'pids')}\n{fork}", check=False)
    assert "Resource temporarily unavailable" in ran.stderr, ran
    wait_for(lambda: serves(machine, 1), "it serves", 10)


# What is kept from whom


@pytest.fixture(scope="module")
def tries(machine: Machine) -> Iterator[Machine]:
    sandbox.prepare(machine)
    yield machine
    sandbox.remove(machine)


KNOWS = {
    FIRST: ["api_keys", "broker_password", "cache_password", "database_password", "provider_api_key"],
    WORKER: ["broker_password", "cache_password", "database_password"],
    BEAT: ["broker_password", "cache_password", "database_password"],
    BACKUP: ["backup_password", "database_password"],
    "assistant-restore@x.service": ["backup_password", "database_password"],
    "assistant-migrations@current.service": ["database_password"],
    "assistant-provider.service": [],
    "assistant-certificate.service": ["tls.crt"],
    "assistant-failed@x.service": ["alert_url"],
}
PSEUDO = {"null", "zero", "full", "random", "urandom", "tty", "ptmx"}
WRITES = {FIRST: ["/run/assistant"], BACKUP: ["/var/lib/assistant-backup", "/var/cache/assistant-backup"]}


def test_no_unit_is_left_out() -> None:
    files = {path.rpartition("/")[2] for path in find(STACK, Catalog()).files if path.endswith(".service")}
    assert {re.sub(r"@[^.]+", "@", unit) for unit in KNOWS} == files


@pytest.mark.parametrize("unit", KNOWS)
def test_the_sandbox_holds(unit: str, tries: Machine) -> None:
    """Whatever runs in it: what it may not do is refused, and it knows the secrets that it needs and no others."""
    may_write = ["/tmp", *WRITES.get(unit, [])]
    found = sandbox.tried_in(tries, unit, " ".join(may_write))
    assert "done" not in found["tried"].values(), found["tried"]
    assert {how for what, how in found["tried"].items() if what.startswith("write into /")} <= {"EROFS", "EACCES"}
    assert found["status"] == {
        "NoNewPrivs": "1",
        **dict.fromkeys(("CapPrm", "CapEff", "CapBnd"), "0000000000000000"),
        "Seccomp": "2",
    }
    assert found["user of a setuid program"].strip() not in ("", "0")
    assert found["processes of others"] == []
    assert "marked" not in found["files of others in /tmp"]
    assert {*found["devices"]} <= PSEUDO
    assert found["credentials"] == KNOWS[unit]
    assert found["written"] == dict.fromkeys(may_write, "done")


@pytest.mark.negative
def test_without_a_sandbox_nothing_holds(tries: Machine) -> None:
    found = sandbox.tried_without(tries)
    assert {what for what, how in found["tried"].items() if how != "done"} == set()
    assert found["status"]["NoNewPrivs"] == found["status"]["Seccomp"] == "0"
    assert found["user of a setuid program"].strip() == "0"
    assert found["processes of others"]
    assert "marked" in found["files of others in /tmp"]
    assert {*found["devices"]} - PSEUDO


SECRETS = f"""
cd {CREDENTIALS}
for name in database_password cache_password broker_password provider_api_key backup_password api_key; do
  cat "$name"
done
sed --quiet '2p' /etc/assistant/tls/tls.key
sed --quiet '2p' /etc/assistant/ca/ca.key
"""


def shows_secrets(machine: Machine, command: str, also: str = "") -> str:
    """What a command prints, as far as it holds a secret, or `also`."""
    more = f"echo {also}" if also else ":"
    return machine.run(
        f"secrets=$(mktemp); {{ {SECRETS} {more}; }} >$secrets\n"
        f"{{ {command}; }} 2>&1 | grep --text --fixed-strings --file=$secrets || true\n"
        f"rm $secrets"
    ).stdout


NO_SECRET = {
    "environments": "cat /proc/[0-9]*/environ | tr '\\0' '\\n'",
    "arguments": "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'",
    "units": "systemctl show '*'; systemctl cat 'assistant*'",
    "journal": "journalctl --no-pager",
    "log of nginx": "cat /var/log/assistant/*",
    "files that others may read": (
        "find /etc /opt/assistant/releases/*/[!v]* /run /tmp /usr/local /var -xdev -type f -perm /o=r -exec cat {} +"
    ),
}


@pytest.mark.parametrize("where", NO_SECRET)
def test_no_secret_is_shown(where: str, machine: Machine) -> None:
    assert shows_secrets(machine, NO_SECRET[where]) == ""


CARELESS = {
    "environments": "env SECRET=made-up-secret sleep 5 & sleep 0.2",
    "arguments": "sh -c 'sleep 5; true' made-up-secret & sleep 0.2",
    "units": "systemd-run --quiet --setenv=SECRET=made-up-secret sleep 5",
    "journal": "echo made-up-secret | systemd-cat; journalctl --sync",
    "log of nginx": "curl --silent localhost/made-up-secret --header Host:api.example.com; sleep 1.2",
    "files that others may read": "echo made-up-secret >/var/tmp/readable",
}


@pytest.mark.negative
@pytest.mark.parametrize("where", CARELESS)
def test_a_secret_that_is_shown_is_noticed(where: str, machine: Machine) -> None:
    found = shows_secrets(machine, f"{CARELESS[where]}; {NO_SECRET[where]}", "made-up-secret")
    machine.run("rm --force /var/tmp/readable")
    assert "made-up-secret" in found


def test_what_is_in_the_folder_of_the_settings(machine: Machine) -> None:
    found = machine.run("find /etc/assistant -printf '%m %u:%g %P\\n' | sort --key=3").stdout.splitlines()
    own = {line.split(" ")[2]: " ".join(line.split(" ")[:2]) for line in found}
    secrets = {path: mode for path, mode in own.items() if path.startswith("credentials/")}
    assert {*secrets.values()} <= {"400 root:root"}
    assert len(secrets) == 8
    assert {path: mode for path, mode in own.items() if path not in secrets} == {
        "": "755 root:root",
        "backup.env": "600 root:root",
        "ca": "755 root:root",
        "ca/ca.crt": "644 root:root",
        "ca/ca.key": "600 root:root",
        "credentials": "700 root:root",
        "postgres": "755 root:root",
        "postgres/pg_hba.conf": "640 root:postgres",
        "service.env": "644 root:root",
        "tls": "755 root:root",
        "tls/tls.crt": "644 root:root",
        "tls/tls.key": "600 root:root",
    }


# nginx and the database


def test_one_instance_is_enough(machine: Machine, client: Client, loaded: tuple[Load, Client]) -> None:
    with Load(client, machine.keys, drops=DROPS) as load:
        time.sleep(1)
        with stopped(machine, SECOND):
            began = time.monotonic()
            time.sleep(2)
            ended = time.monotonic()
        wait_for(lambda: serves(machine, 2), "it serves", 10)
    assert (load.result.failed, load.result.cut) == ([], []), load.result
    assert len(load.result.between(began, ended).seen) > 50, load.result


def test_no_instance_at_all(machine: Machine, client: Client) -> None:
    with stopped(machine, FIRST, SECOND):
        probes.nginx_answers_for_it(client)
    does_all_its_work(machine, client)


def test_nginx_takes_its_configuration(machine: Machine) -> None:
    tested = machine.run("nginx -t")
    assert [line for line in tested.stderr.splitlines() if "is ok" not in line and "is successful" not in line] == []


def test_the_owner_of_the_database_may_make_tables(machine: Machine) -> None:
    code, said = psql(machine, f"{TCP} --dbname=assistant", "CREATE TABLE made (); DROP TABLE made")
    assert code == 0, said
    rights = "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = 'assistant'"
    assert machine.sql(rights) == "f"


def test_indexes_are_built_without_parallel_workers(machine: Machine) -> None:
    """Debian's pgvector has the hole CVE-2026-3172, which needs them."""
    said = psql(machine, f"{TCP} --dbname=assistant --tuples-only --no-align", "SHOW max_parallel_maintenance_workers")
    assert said == (0, "0\n")


def test_over_the_socket_everybody_is_who_they_are(machine: Machine) -> None:
    code, said = psql(machine, "--username=assistant --dbname=assistant", "SELECT 1")
    assert (code, 'Peer authentication failed for user "assistant"' in said) == (2, True), said


def test_the_service_reaches_no_other_database(machine: Machine) -> None:
    code, said = psql(machine, f"{TCP} --dbname=postgres", "SELECT 1")
    assert (code, "no pg_hba.conf entry for host" in said) == (2, True), said


def test_nobody_else_may_make_tables(machine: Machine) -> None:
    """Not even a role that may connect: from PostgreSQL 15 on the schema is its owner's."""
    machine.sql("CREATE ROLE second LOGIN; GRANT ALL ON DATABASE assistant TO second")
    try:
        machine.run("useradd --system second")
        code, said = psql(machine, "--dbname=assistant", "CREATE TABLE made ()", user="second")
    finally:
        machine.run("userdel second", check=False)
        machine.sql("REVOKE ALL ON DATABASE assistant FROM second; DROP ROLE second")
    assert (code, "permission denied for schema public" in said) == (1, True), said


def test_the_database_listens_here_only(machine: Machine) -> None:
    listening = machine.run("ss --no-header --listening --tcp --numeric").stdout
    addresses = {line.split()[3] for line in listening.splitlines()}
    outside = {address for address in addresses if not re.match(r"(127\.|\[::1\])", address)}
    assert outside == {"0.0.0.0:80", "0.0.0.0:443", "[::]:80", "[::]:443"}


# Logs


def test_the_journal_is_limited(machine: Machine) -> None:
    """In effect, which is what journald says when it opens its files."""
    opened = "journalctl --no-pager --output=cat --identifier=systemd-journald --grep='System Journal'"
    said = machine.run(opened).stdout
    assert re.search(r"\(/var/log/journal/\w+\) is \S+, max 1G,", said), said
    config = machine.run("systemd-analyze cat-config systemd/journald.conf").stdout
    assert "# /etc/systemd/journald.conf.d/assistant.conf" in config


def test_read_the_logs(machine: Machine, client: Client) -> None:
    identity = client.get("/version").headers["x-request-id"]
    machine.run("journalctl --sync")
    assert identity in machine.operate("read-the-log-of-the-api").stdout
    assert "Archived and active journals take up" in machine.operate("see-what-the-logs-take").stdout
    assert "/var/log/assistant" in machine.operate("see-what-the-logs-take").stdout


def test_see_what_takes_the_disk(machine: Machine) -> None:
    said = machine.operate("see-what-takes-the-disk").stdout
    assert re.search(r"^Filesystem .*\n.* /$", said, re.MULTILINE), said
    assert re.search(r"\t/opt/assistant\n", said), said


def test_read_errors_only(machine: Machine) -> None:
    """A process that was killed is one; see the tests before."""
    machine.run(f"kill -KILL {children(machine, FIRST)[0]}")
    wait_for(lambda: "was sent SIGKILL" in machine.operate("read-errors-only", check=False).stdout, "the error", 10)
    lines = machine.operate("read-errors-only").stdout.splitlines()
    assert {json.loads(line)["level"] for line in lines} <= {"ERROR", "CRITICAL"}
    wait_for(lambda: serves(machine, 1), "it serves", 10)


def test_follow_all_logs(machine: Machine, client: Client) -> None:
    machine.operated.add("follow-all-logs")
    with ThreadPoolExecutor() as pool:
        following = pool.submit(machine.run, f"timeout 6 {machine.paragraphs['follow-all-logs']}", check=False)
        time.sleep(1.5)
        identity = client.get("/version").headers["x-request-id"]
        assert identity in following.result().stdout


def test_rotation_loses_no_line(machine: Machine, client: Client, loaded: tuple[Load, Client]) -> None:
    """nginx writes on into a new file, and what was asked meanwhile is in one of the two, and in the journal."""
    log = "/var/log/assistant/access.log"
    machine.run(f"rm --force {log}.*")
    identities, over = set(), threading.Event()

    def ask() -> None:
        while not over.is_set():
            identities.add(client.get("/version").headers["x-request-id"])

    with ThreadPoolExecutor() as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        time.sleep(1)
        before = machine.run(f"stat --format='%i %a %U:%G' {log}").stdout.split()
        try:
            machine.operate("rotate-the-access-log-now")
            time.sleep(1)
        finally:
            over.set()
        for one in asking:
            one.result()
    after = machine.run(f"stat --format='%i %a %U:%G' {log} {log}.1").stdout.splitlines()
    assert [line.split() for line in after] == [[after[0].split()[0], "640", "www-data:adm"], before]
    assert after[0].split()[0] != before[0]
    assert len(identities) > 50

    def missed(of: str) -> set[str]:
        return identities - {line.get("request_id") for line in machine.lines(of)}

    for of in ("nginx", "service"):
        wait_for(lambda of=of: not missed(of), f"every line of {of}", 10)
    new = {line.get("request_id") for line in map(json.loads, machine.run(f"cat {log}").stdout.splitlines())}
    assert identities & new
    assert identities - new


# Its care


def test_see_what_it_uses(machine: Machine) -> None:
    said = machine.operate("see-what-it-uses").stdout
    shown = [dict(line.split("=", 1) for line in block.splitlines()) for block in said.split("\n\n")]
    used = {one["Id"]: one for one in shown}
    for unit in (FIRST, SECOND, WORKER, BEAT):
        assert 2**24 < int(used[unit]["MemoryCurrent"]) < int(used[unit]["MemoryMax"]), used[unit]
        assert int(used[unit]["TasksCurrent"]) > 0


def test_see_its_metrics(machine: Machine) -> None:
    assert "\n# TYPE http_requests_total counter\n" in machine.operate("see-its-metrics").stdout


def backups(machine: Machine) -> int:
    """How many there are, as the operator sees them."""
    return int(re.findall(r"^(\d+) snapshots$", machine.operate("see-the-backups").stdout, re.MULTILINE)[0])


def test_a_backup_that_was_missed_is_made_up_for(machine: Machine) -> None:
    """As on a machine that was off: the last one is two days old. What is added by chance is left out."""
    next_one = machine.show("assistant-backup.timer", "NextElapseUSecRealtime")
    when = datetime.strptime(next_one, "%a %Y-%m-%d %H:%M:%S %Z").replace(tzinfo=UTC)
    assert timedelta(0) < when - datetime.now(UTC) < timedelta(hours=24, minutes=31)
    assert timedelta(hours=2, minutes=30) <= when - when.replace(hour=0, minute=0, second=0) <= timedelta(hours=3)
    machine.run(
        "systemctl stop assistant-backup.timer\n"
        "mkdir --parents /run/systemd/system/assistant-backup.timer.d\n"
        "printf '[Timer]\\nRandomizedDelaySec=0\\n' >/run/systemd/system/assistant-backup.timer.d/now.conf\n"
        "systemctl daemon-reload\n"
        "touch --date='2 days ago' /var/lib/systemd/timers/stamp-assistant-backup.timer\n"
        "systemctl start assistant-backup.timer"
    )
    try:
        wait_for(lambda: "saved and restored" in machine.journal(BACKUP), "a backup is made", 120, pause=0.5)
        wait_for(lambda: machine.show(BACKUP, "ActiveState") == "inactive", "it ends", 10)
    finally:
        machine.run(
            "rm --recursive /run/systemd/system/assistant-backup.timer.d\n"
            "systemctl daemon-reload; systemctl restart assistant-backup.timer"
        )


def test_restore_the_newest_backup(machine: Machine, client: Client) -> None:
    kept = client.store("Kept by the backup, and deleted by mistake.")
    said = machine.operate("make-a-backup-now").stdout
    assert "backup.sh: saved and restored" in said
    assert backups(machine) >= 1
    machine.sql(f"DELETE FROM documents WHERE id = '{kept}'")

    # Somebody changes their mind: what was put aside comes back, and nothing is put aside twice.
    machine.operate("restore-the-newest-backup")
    machine.wait_until_it_serves()
    again = machine.operate("restore-the-newest-backup", check=False)
    assert (again.returncode, again.stderr) == (1, "there is a database of before already: put it back, or drop it\n")
    assert kept in client.find("Kept by the backup, and deleted by mistake.")
    machine.operate("put-the-database-of-before-back")
    machine.wait_until_it_serves()
    assert machine.sql(f"SELECT count(*) FROM documents WHERE id = '{kept}'") == "0"
    with ThreadPoolExecutor() as pool:
        # The database is left alone until the last request has ended.
        asked = pool.submit(streams.ask, client, "drip 40")
        time.sleep(1)
        machine.operate("restore-the-newest-backup")
        asked.result().is_whole()
    machine.wait_until_it_serves()
    assert kept in client.find("Kept by the backup, and deleted by mistake.")
    does_all_its_work(machine, client)
    machine.operate("drop-the-database-of-before")
    assert machine.sql("SELECT count(*) FROM pg_database WHERE datname LIKE 'assistant%'") == "1"


def test_a_backup_without_room_for_its_trial_is_refused(machine: Machine) -> None:
    """It would fill the disk of the database."""
    folder = "/var/cache/assistant-backup"
    machine.run(f"mount --types tmpfs --options size=4M,mode=0700,uid=assistant-backup tmpfs {folder}")
    try:
        assert machine.operate("make-a-backup-now", check=False).returncode
    finally:
        machine.run(f"umount {folder}; systemctl reset-failed {BACKUP}")
    assert f"bytes in {folder}, and there are" in machine.journal(BACKUP, "--lines=10")
    machine.operate("make-a-backup-now")


def test_change_the_password_of_the_database(machine: Machine, client: Client) -> None:
    old = machine.run(f"cat {CREDENTIALS}/database_password").stdout
    said = machine.operate("change-the-password-of-the-database").stdout
    assert "set   the password of the role assistant" in said
    assert machine.run(f"cat {CREDENTIALS}/database_password").stdout != old
    assert machine.run(f"stat --format=%a:%U {CREDENTIALS}/database_password").stdout == "400:root\n"
    does_all_its_work(machine, client)
    refused = machine.run(f"PGPASSWORD={old.strip()} psql {TCP} --dbname=assistant --command=''", check=False)
    assert 'password authentication failed for user "assistant"' in refused.stderr


def test_the_passwords_of_cache_and_broker(machine: Machine, client: Client) -> None:
    """As the page's table of credentials says: a new value, the installation, and a restart."""
    for name in ("cache", "broker"):
        machine.run(f"openssl rand -hex 24 >{CREDENTIALS}/{name}_password")
    machine.operate("use-changed-settings")
    does_all_its_work(machine, client)


# The database is away


def test_a_database_that_cannot_start_gives_up_and_is_told(machine: Machine, client: Client, taken: Alarms) -> None:
    """Whoever starts it gets an answer, and one alarm tells of all tries."""
    wrong = "/etc/postgresql/17/main/conf.d/wrong.conf"
    machine.run(f"echo 'nonsense = 1' >{wrong}")
    try:
        assert machine.run(f"systemctl restart {DATABASE}", check=False, timeout=60).returncode
        wait_for(lambda: taken.of(DATABASE) and taken.in_journal(DATABASE), "the alarm", 10)
        assert machine.show(DATABASE, "ActiveState") == "failed"
        assert len(taken.of(DATABASE)) == 1
    finally:
        machine.run(f"rm {wrong}; systemctl reset-failed {DATABASE}; systemctl start {DATABASE}")
    does_all_its_work(machine, client)


@pytest.fixture(scope="class")
def away(machine: Machine, taken: Alarms) -> Iterator[Machine]:
    with stopped(machine, DATABASE):
        yield machine
    does_all_its_work(machine, machine.client)


class TestTheDatabaseIsAway:
    def test_a_backup_that_fails_is_told(self, away: Machine, taken: Alarms) -> None:
        assert away.run(f"systemctl start {BACKUP}", check=False).returncode == 1
        wait_for(lambda: taken.of(BACKUP) and taken.in_journal(BACKUP), "the alarm", 10)
        assert "backup.sh: Postgres does not answer" in away.journal(BACKUP)
        away.run(f"systemctl reset-failed {BACKUP}")

    def test_the_database_is_missed_where_it_is_needed(
        self, away: Machine, client: Client, deep: Callable[[], tuple[int, dict[str, Any]]]
    ) -> None:
        probes.database_is_missed_where_it_is_needed(client, deep)

    def test_a_start_of_the_machine(self, away: Machine, client: Client, taken: Alarms) -> None:
        """Migrations are tried again; meanwhile, and afterwards, the API tells its clients what is missing."""
        away.run("systemctl stop assistant.target 'assistant-*.service'; systemctl reset-failed")
        since = time.time()
        away.run("systemctl start --no-block assistant.target")
        missed = probes.database_is_missed_where_it_is_needed
        wait_for(lambda: missed(client, away.deep_health) is None, "it serves", 90)
        tries = int(away.show(MIGRATIONS, "StartLimitBurst"))

        def failed() -> str:
            return away.journal(MIGRATIONS, f"--since=@{since:.3f}")

        wait_for(lambda: away.show(MIGRATIONS, "ActiveState") == "failed", "the last try", 120, pause=0.5)
        assert failed().count("Main process exited") == tries, failed()
        wait_for(lambda: taken.of(MIGRATIONS), "the alarm", 10)
        assert len(taken.of(MIGRATIONS)) == 1
        away.run(f"systemctl start {DATABASE}; systemctl reset-failed {MIGRATIONS}; systemctl start {MIGRATIONS}")
        does_all_its_work(away, client)


def test_with_the_database_elsewhere_the_network_is_waited_for(machine: Machine) -> None:
    place = "/etc/systemd/system/assistant-.service.d/database.conf"
    waits = "systemctl list-dependencies --plain --no-pager --after assistant-worker.service"
    assert {"postgresql.service", "redis-server@broker.service"} <= {*machine.run(waits).stdout.split()}
    assert "network-online.target" not in machine.run(waits).stdout
    machine.run(f"install --mode=644 database-elsewhere.conf {place}; systemctl daemon-reload")
    try:
        said = machine.run(waits).stdout
        assert "network-online.target" in said
        assert "postgresql.service" not in said
        verified = machine.run("systemd-analyze verify assistant-api@1.service assistant-worker.service")
        assert verified.stderr == ""
    finally:
        machine.run(f"install --mode=644 database-here.conf {place}; systemctl daemon-reload")


def test_an_uninstallation_keeps_the_data(machine: Machine) -> None:
    """Unless it is told otherwise; what is installed again finds it."""
    kept = machine.client.store("Kept through an uninstallation.")
    documents = machine.sql("SELECT count(*) FROM documents")
    secrets = machine.run(f"sha256sum {CREDENTIALS}/*_password").stdout
    said = machine.run("./uninstall.sh").stdout
    assert "kept the database, /var/lib/assistant-backup" in said
    assert machine.run("ls -d /opt/assistant /etc/systemd/system/assistant*; id assistant", check=False).stdout == ""
    assert machine.run(f"sha256sum {CREDENTIALS}/*_password").stdout == secrets
    machine.run("./install.sh api.example.com && ./release.sh 1.0.0")
    assert machine.sql("SELECT count(*) FROM documents") == documents
    assert machine.sql(f"SELECT count(*) FROM documents WHERE id = '{kept}'") == "1"
    machine.operate("make-a-backup-now")


def test_every_paragraph_was_run(request: pytest.FixtureRequest, machine: Machine) -> None:
    """Those of `operate.sh`, by a test above or by the story of the releases."""
    assert machine.paragraphs.keys() >= IN_THE_STORY
    whole = not request.config.stash[RESULTS].modules[module_name(request.node.nodeid)].left_out
    left = machine.paragraphs.keys() - machine.operated - IN_THE_STORY
    assert not (whole and left), f"no test ran {', '.join(sorted(left))}"
