"""A fresh Debian machine becomes one for the service, by the page's walkthrough; releases under load; and its end."""

import re
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from handbook.catalog import ROOT
from handbook.pytest_plugin import RESULTS, module_name

from . import machine as machines
from .client import wait_for
from .hands import built
from .load import Load, Result, stored_texts
from .machine import Machine
from .releases import Ran, changed, migration, version_file, write

STACK = "systemd"

REQUESTS = 10_000
LONGEST_SECONDS = 240
WARM_SECONDS = 4
# What a release may add to the slowest request: an instance listens before its application is loaded, and whoever is
# passed on to it then waits for that.
SLOWER_SECONDS = 5
# Of a stream, in tenths of a second: each instance waits for those that it has.
DROPS = 50
INSTANCES = ("assistant-api@1.service", "assistant-api@2.service")
UNITS = (*INSTANCES, "assistant-worker.service", "assistant-beat.service")
# Seconds for a version that never becomes ready. The good one, which is restarted after it, has no more.
PATIENCE = "15"
# Ends once systemd has been told to restart the first instance.
RESTARTS = "until [[ $(systemctl list-jobs --no-legend) == *assistant-api@1* ]]; do sleep 0.02; done"
OTHERS = ("nginx.service", "redis-server@cache.service", "redis-server@broker.service", "postgresql@17-main.service")

# What there is on the disks but what changes by itself, and who there is.
TRACES = r"""
find / -xdev \( -path /root -o -path /tmp -o -path /var/tmp -o -path /var/log -o -path /var/lib/systemd \
  -o -path /var/lib/postgresql -o -path /var/lib/redis -o -path '/var/lib/apt/*' -o -path /var/lib/private \
  -o -path /var/cache/ldconfig -o -path /var/cache/private \) -prune -o -printf '%p %m %u:%g\n' | sort
find /etc -type f ! -name '*-' ! -path '/etc/ssl/*' -exec sha256sum {} + | sort --key=2
getent passwd; getent group
dpkg-divert --list '*nginx*'
systemctl list-unit-files --no-legend --no-pager
runuser --user=postgres -- psql --no-psqlrc --tuples-only --command='SELECT datname FROM pg_database' \
  --command='SELECT rolname FROM pg_roles'
"""


def inputs() -> str:
    """The digest of all that this module's result depends on."""
    return machines.digest(Path(__file__))


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with machines.fresh() as fresh:
        yield fresh


def first_serves(machine: Machine, release: str) -> bool:
    """Whether the first instance has started, and runs a release."""
    first = INSTANCES[0]
    return machine.show(first, "ActiveState") == "active" and machine.release_of(first).endswith(f"/{release}")


def ended_at(machine: Machine, command: str, text: str, signal: str, after: str = ":") -> Ran:
    """Run a command to which a signal is sent, and to all that it has started itself.

    That is when it has printed a text, and the command `after`, which waits for something, has ended.
    """
    ran = Ran(time.monotonic())
    noted = shlex.quote(f"trap : INT; {command}; echo $? >/root/code")
    script = f"""
        env --default-signal=INT setsid bash -c {noted} >/root/log 2>&1 &
        until grep --quiet {shlex.quote(text)} /root/log; do sleep 0.02; done
        {after}
        kill -{signal} -- "-$!"
        wait "$!" || true
        cat /root/log
    """
    said = machine.run(f"rm --force /root/code\n{script}").stdout
    ran.ended, ran.code = time.monotonic(), int(machine.run("cat /root/code || echo -9", check=False).stdout)
    ran.lines.append((ran.ended, said))
    return ran


@pytest.fixture(scope="module")
def before(machine: Machine) -> list[str]:
    """The traces of a machine that has Debian's packages, all but one, and nothing of ours."""
    packages = re.search(r"^packages=\((.*?)\)", (machine.folder / "install.sh").read_text(), re.MULTILINE | re.DOTALL)
    assert packages
    most = [name for name in packages[1].split() if name != "restic"]
    machine.run(f"apt-get install --yes --no-install-recommends {' '.join(most)}")
    return machine.host.run(TRACES).stdout.splitlines()


@pytest.fixture(scope="module")
def installed(machine: Machine, before: list[str]) -> Machine:
    """The machine after an installation that was killed between a file and who reads it, and one that went on."""
    begun = ended_at(machine, "./install.sh api.example.com", "made  /etc/nginx/nginx.conf", "KILL")
    assert "put the service on it" not in begun.said
    machine.until("install")
    return machine


@pytest.fixture(scope="module")
def serving(installed: Machine, boots: Any) -> Machine:
    """The machine with the first release; says in the proof what ran."""
    began = time.monotonic()
    installed.keys = installed.add_clients()
    installed.until("release-the-first-version")
    seconds = time.monotonic() - began + installed.host.seconds
    if not machines.is_kept():
        # For the other modules: they then need not make one.
        machines.keep(installed)
    machines.claim(boots, installed, seconds)
    return installed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "'' is not a host name"),
        ("10.0.0.1", "'10.0.0.1' is not a host name"),
        ("other.example.com", "has no 'server_name other.example.com;'"),
        ("api.example.com again", "is not a host name"),
    ],
)
def test_install_refuses(arguments: str, said: str, machine: Machine) -> None:
    refused = machine.run(f"./install.sh {arguments}", check=False)
    assert refused.returncode == 1
    assert said in refused.stderr
    assert machine.run("test ! -e /etc/assistant", check=False).returncode == 0


def test_release_wants_an_installation(machine: Machine) -> None:
    refused = machine.run("./release.sh 1.0.0", check=False)
    assert (refused.returncode, refused.stderr) == (
        1,
        "release.sh: there is no /opt/assistant/releases; run ./install.sh first\n",
    )


def test_an_installation_goes_on_after_it_was_killed(installed: Machine) -> None:
    """nginx has the file that was written before the kill: it serves the name, and refuses others."""
    assert "made  /etc/nginx/nginx.conf" not in installed.ran["install"].stdout
    assert installed.client.get("/", scheme="http").status_code == 308


def test_a_second_installation_changes_nothing(installed: Machine) -> None:
    since = [installed.show(unit, "ActiveEnterTimestampMonotonic") for unit in OTHERS]
    installed.run("touch /root/mark && sleep 0.01")
    again = installed.run("./install.sh api.example.com")
    assert again.stdout == "put the service on it with: ./release.sh 1.0.0\n"
    assert [installed.show(unit, "ActiveEnterTimestampMonotonic") for unit in OTHERS] == since
    newer = installed.run("find /etc /opt /usr /var/lib/assistant* -xdev -newer /root/mark ! -type d").stdout
    assert newer == "", newer


@pytest.mark.parametrize("arguments", ["", "''", "1.0 1.1", "--again", "../1"])
def test_release_refuses(arguments: str, installed: Machine) -> None:
    refused = installed.run(f"./release.sh {arguments}", check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith("release.sh: run: ./release.sh VERSION, such as 1.1.0, or: ")


def test_a_first_release_that_fails_leaves_no_release(installed: Machine) -> None:
    """The next one then begins from nothing."""
    with changed(installed.service, {"assistant/tasks.py": "raise RuntimeError('broken')\n"}):
        ran = installed.release("1.0.0", env={"PATIENCE": PATIENCE})
    assert ran.code == 1
    assert "release.sh: the worker of 1.0.0 is not ready" in ran.said
    assert ran.said.endswith("release.sh: nothing serves yet; mend what is said above and run this again\n")
    assert installed.run("find /opt/assistant -mindepth 1").stdout == "/opt/assistant/releases\n"
    assert {installed.main_pid(unit) for unit in UNITS} == {0}
    refused = installed.run("./release.sh --restart", check=False)
    assert (refused.returncode, refused.stderr) == (
        1,
        "release.sh: nothing was released yet; run: ./release.sh 1.0.0\n",
    )


def test_nothing_to_roll_back_to(serving: Machine) -> None:
    refused = serving.run("./release.sh --rollback", check=False)
    assert refused.returncode == 1
    assert "no version before 1.0.0 is known" in refused.stderr


def test_another_version_than_the_source_has(serving: Machine) -> None:
    refused = serving.run("./release.sh 9.9.9", check=False)
    assert refused.returncode == 1
    assert "../service is not 9.9.9; write the version into" in refused.stderr
    assert refused.stderr.endswith("release.sh: 1.0.0 serves on; mend what is said above and run this again\n")


def test_check_it(serving: Machine) -> None:
    said = serving.until("check-it").stdout.splitlines()
    assert said[0] == '{"state":"up"}'
    assert '"version":"1.0.0"' in said[1]


def test_documents_and_answers(serving: Machine) -> None:
    assert "Backups are made every night" in serving.until("store-and-find-a-document").stdout.splitlines()[-1]
    assert "event: done" in serving.until("ask-a-question").stdout
    assert '"state":"done"' in serving.until("import-documents-in-the-background").stdout


def test_look_inside(serving: Machine) -> None:
    said = serving.until("look-inside").stdout
    for unit in UNITS:
        assert re.search(rf"^ +{re.escape(unit)} +loaded active running", said, re.MULTILINE), said
    assert '"pgvector":{"state":"up"' in said
    assert '"message"' in said.splitlines()[-1]


def test_the_sandbox_is_closed(serving: Machine) -> None:
    """Exposure as systemd rates it, of every unit that runs."""
    said = serving.until("see-that-the-sandbox-is-closed").stdout
    rated = {unit: float(exposure) for unit, exposure in re.findall(r"^(assistant-\S+) +([\d.]+)", said, re.MULTILINE)}
    assert {*UNITS, "assistant-provider.service"} <= rated.keys(), said
    assert max(rated.values()) <= 1.5, rated


def test_the_page_names_the_versions_that_ran(serving: Machine) -> None:
    asked = {
        "nginx": "nginx -v 2>&1",
        "PostgreSQL": "psql --version",
        "pgvector": "dpkg-query --show postgresql-17-pgvector",
        "Redis": "redis-server --version",
        "Python": "python3 --version",
        "systemd": "systemctl --version",
        "restic": "restic version",
        "certbot": "certbot --version",
    }
    named = yaml.safe_load((ROOT / "snippets/versions/debian.yaml").read_text(encoding="utf-8"))
    assert named.keys() == asked.keys()
    for product, version in named.items():
        said = serving.run(asked[product]).stdout
        assert re.search(rf"(?<![\d.]){re.escape(version)}\b", said), f"{product}: {said}"


@dataclass
class Story:
    """What was done under load, and how everything was after each part of it."""

    load: Load
    warm: tuple[float, float] = (0, 0)
    ran: dict[str, Ran] = field(default_factory=dict)
    version: dict[str, str] = field(default_factory=dict)
    releases: dict[str, set[str]] = field(default_factory=dict)
    pids: dict[str, list[int]] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    links: dict[str, tuple[str, str]] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    backups: dict[str, int] = field(default_factory=dict)

    def look(self, name: str, machine: Machine) -> None:
        self.version[name] = machine.client.get("/version").json()["version"]
        self.releases[name] = {machine.release_of(unit) for unit in UNITS}
        self.pids[name] = [machine.main_pid(unit) for unit in UNITS]
        columns = "SELECT string_agg(column_name, ' ') FROM information_schema.columns WHERE table_name = 'documents'"
        self.columns[name] = machine.sql(columns)
        links = machine.run("cd /opt/assistant; readlink current previous || true").stdout.split()
        self.links[name] = (links[0], links[1] if links[1:] else "")
        self.kept[name] = machine.run("ls /opt/assistant/releases").stdout
        self.backups[name] = machine.journal("assistant-backup.service").count("saved and restored")

    def during(self, name: str) -> Result:
        """What the load saw of one part, up to a second after its end."""
        return self.load.result.between(self.ran[name].began, self.ran[name].ended + 1)


def bad(machine: Machine) -> dict[str, dict[str, str]]:
    """For each way in which a version that is built is bad: the files of the service that make it so."""
    service = machine.service
    locked = (service / "requirements.txt").read_text()
    return {
        "packages": {"requirements.txt": re.sub(r"sha256:[0-9a-f]{8}", "sha256:00000000", locked)},
        "worker": {"assistant/tasks.py": "raise RuntimeError('broken')\n"},
    }


# The same for versions that are there already, so that not each of them has to be built: what changes its files.
BAD_AND_BUILT = {
    "migrations": "echo 'raise RuntimeError' >>migrations/env.py",
    "import": "echo 'raise RuntimeError' >>assistant/app.py",
    "readiness": "sed --in-place 's/lambda: not worker.alive/lambda: True/' gunicorn.conf.py",
}
BAD = {
    "packages": "THESE PACKAGES DO NOT MATCH THE HASHES",
    "migrations": "release.sh: the migrations failed",
    "import": "1.1.0 was tried out, and does not serve",
    "readiness": "1.1.0 was tried out, and does not serve",
    "worker": "release.sh: the worker of 1.1.0 is not ready",
}


@pytest.fixture(scope="module")
def story(serving: Machine) -> Story:
    """Bad versions; and, under load, one whose release is killed, the way on, and the way back."""
    serving.until("see-that-the-sandbox-is-closed")
    load = Load(serving.client, serving.keys, drops=DROPS)
    story = Story(load)
    story.look("before", serving)
    for name, change in BAD_AND_BUILT.items():
        with built(serving, "1.1.0", change):
            story.ran[name] = serving.release("1.1.0", env={"PATIENCE": PATIENCE})
        story.look(name, serving)
    for name, files in bad(serving).items():
        with changed(serving.service, {**files, **version_file("1.1.0")}):
            story.ran[name] = serving.release("1.1.0", env={"PATIENCE": PATIENCE})
        story.look(name, serving)

    with load:
        story.warm = (time.monotonic() + 1, time.monotonic() + WARM_SECONDS)
        time.sleep(WARM_SECONDS)
        write(serving.service, migration(serving.service, "added", "ALTER TABLE documents ADD COLUMN added varchar"))
        with changed(serving.service, version_file("1.1.0")):
            story.ran["killed"] = ended_at(serving, "./release.sh 1.1.0", "instance 1: 1.1.0", "KILL", RESTARTS)
            # What systemd was told, it does.
            wait_for(lambda: first_serves(serving, "1.1.0"), "the first instance is restarted")
            story.look("killed", serving)
            story.ran["release"] = serving.release("1.1.0")
        story.look("release", serving)

        began = time.monotonic()
        serving.operate("roll-back")
        story.ran["rollback"] = Ran(began, time.monotonic(), 0)
        story.look("rollback", serving)
        while len(load.result.seen) < REQUESTS and time.monotonic() < began + LONGEST_SECONDS:
            # To the newer one and back, by the same way.
            story.ran["back"] = serving.release("--rollback")
            story.ran["back"].ended = serving.release("--rollback").ended
    return story


PARTS = ("killed", "release", "rollback")


@pytest.mark.parametrize("part", PARTS)
def test_nobody_notices(part: str, story: Story) -> None:
    seen = story.during(part)
    assert seen.failed == [], seen
    assert seen.cut == [], seen


def test_many_were_there_to_notice(story: Story) -> None:
    assert len(story.load.result.seen) >= REQUESTS, story.load.result
    for part in PARTS:
        assert {one.kind for one in story.during(part).seen} == {"version", "search", "store", "stream"}, part


def test_nothing_failed_at_any_time(story: Story) -> None:
    result = story.load.result
    assert (result.failed, result.cut) == ([], []), result


@pytest.mark.parametrize("part", ["release", "rollback"])
def test_nobody_waits_long(part: str, story: Story) -> None:
    usual = story.load.result.between(*story.warm).slowest
    slowest = story.during(part).slowest
    assert slowest <= usual + SLOWER_SECONDS, f"{slowest:.2f} s, and {usual:.2f} s without a release"


def test_nothing_is_stored_twice(story: Story, serving: Machine) -> None:
    stored = story.load.result.stored
    assert len(stored) > 100, story.load.result
    assert stored_texts(partial(Machine.sql, serving), story.load) == sorted(stored)


@pytest.mark.parametrize("how", BAD)
def test_a_bad_version_does_not_become_the_current_one(how: str, story: Story) -> None:
    ran = story.ran[how]
    assert ran.code == 1, ran.said
    assert BAD[how] in ran.said, ran.said
    assert ran.said.endswith("release.sh: 1.0.0 serves on; mend what is said above and run this again\n")
    assert story.version[how] == "1.0.0"
    assert story.releases[how] == {"/opt/assistant/releases/1.0.0"}
    assert (story.links[how], story.kept[how]) == (story.links["before"], "1.0.0\n")
    if how != "worker":
        assert story.pids[how] == story.pids["before"]


def test_a_killed_release_goes_on(story: Story) -> None:
    """It was killed while it restarted the first instance; the next run does what is left, and no more."""
    assert story.releases["killed"] == {"/opt/assistant/releases/1.0.0", "/opt/assistant/releases/1.1.0"}
    ran = story.ran["release"]
    assert ran.code == 0, ran.said
    assert [line for _, line in ran.lines] == [
        "release.sh: instance 2: 1.1.0 in the place of 1.0.0\n",
        "release.sh: 1.1.0 serves\n",
    ]
    # The first instance, the worker and beat are those that the killed run has started.
    assert story.pids["release"][0] == story.pids["killed"][0]
    assert story.pids["release"][2:] == story.pids["killed"][2:]


def test_release(story: Story) -> None:
    assert story.version["release"] == "1.1.0"
    assert story.releases["release"] == {"/opt/assistant/releases/1.1.0"}
    assert story.links["release"] == ("releases/1.1.0", "releases/1.0.0")
    assert story.kept["release"] == "1.0.0\n1.1.0\n"
    assert "added" not in story.columns["before"].split()
    assert "added" in story.columns["release"].split()
    assert not {*story.pids["release"]} & {*story.pids["before"]}


def test_a_release_begins_with_a_backup(story: Story) -> None:
    assert story.backups["release"] > story.backups["before"]
    assert story.backups["rollback"] == story.backups["release"]


def test_rollback(story: Story) -> None:
    assert story.version["rollback"] == "1.0.0"
    assert story.releases["rollback"] == {"/opt/assistant/releases/1.0.0"}
    assert story.links["rollback"] == ("releases/1.0.0", "releases/1.1.0")
    # The database stays ahead.
    assert story.columns["rollback"] == story.columns["release"]


def test_a_second_release_changes_nothing(story: Story, serving: Machine) -> None:
    pids = [serving.main_pid(unit) for unit in UNITS]
    ran = serving.release("1.0.0")
    assert (ran.code, ran.said) == (0, "release.sh: 1.0.0 serves\n")
    assert [serving.main_pid(unit) for unit in UNITS] == pids


def test_a_restart_that_fails_leaves_the_instances_alone(story: Story, serving: Machine) -> None:
    serving.run("sed --in-place 's/^LOG_LEVEL=.*/LOG_LEVEL=loud/' /etc/assistant/service.env")
    pids = [serving.main_pid(unit) for unit in UNITS]
    try:
        ran = serving.release("--restart", env={"PATIENCE": PATIENCE})
        assert ran.code == 1
        assert "1.0.0 does not start; its log stands above" in ran.said
        assert ran.said.endswith("release.sh: 1.0.0 serves on; mend what is said above and run this again\n")
        assert [serving.main_pid(unit) for unit in UNITS] == pids
        assert serving.client.get("/health/ready").status_code == 200
    finally:
        serving.run("./install.sh api.example.com")
    again = serving.release("--restart")
    assert again.code == 0, again.said
    assert not {serving.main_pid(unit) for unit in UNITS} & {*pids}


def test_a_killed_rollback_goes_on(story: Story, serving: Machine) -> None:
    """To where it was going, and not back to the release that it came from; killed at any point of it."""
    ended_at(serving, "./release.sh --rollback", "instance 1: 1.1.0", "KILL", RESTARTS)
    wait_for(lambda: first_serves(serving, "1.1.0"), "the first instance is restarted")
    ran = serving.release("--rollback")
    assert (ran.code, [line for _, line in ran.lines][-1]) == (0, "release.sh: 1.1.0 serves\n"), ran.said
    # Between the two links, both of which then show where it came from.
    serving.run("cd /opt/assistant; ln -sfn releases/1.0.0 rollback; ln -sfn releases/1.1.0 previous")
    ran = serving.release("--rollback")
    assert (ran.code, [line for _, line in ran.lines][-1]) == (0, "release.sh: 1.0.0 serves\n"), ran.said
    assert {serving.release_of(unit) for unit in UNITS} == {"/opt/assistant/releases/1.0.0"}
    links = serving.run("cd /opt/assistant; readlink current previous; ls").stdout.split()
    assert links == ["releases/1.0.0", "releases/1.1.0", "current", "previous", "releases"]


def test_a_reload_keeps_the_release(story: Story, serving: Machine) -> None:
    """After the link was switched, new processes still come out of the release that the main one was started in."""
    serving.run("ln --symbolic --force --no-dereference releases/1.1.0 /opt/assistant/current")
    try:
        children = f"pgrep --parent {serving.main_pid(INSTANCES[0])}"
        worker = serving.run(children).stdout.strip()
        serving.operate("take-new-processes")
        serving.run(f"until [[ $({children}) != {worker} && $({children} --count) == 1 ]]; do sleep 0.1; done")
        ask = "curl --fail --silent --unix-socket /run/assistant/api-1.sock http://localhost/version"
        assert '"version":"1.0.0"' in serving.run(ask).stdout
    finally:
        serving.run("ln --symbolic --force --no-dereference releases/1.0.0 /opt/assistant/current")


def test_an_interrupted_release_is_taken_back(story: Story, serving: Machine) -> None:
    with changed(serving.service, version_file("1.2.0")):
        ran = ended_at(serving, "./release.sh 1.2.0", "trying 1.2.0 out", "INT")
    assert ran.code == 130
    assert "1.0.0 serves on" in ran.said
    assert {serving.release_of(unit) for unit in UNITS} == {"/opt/assistant/releases/1.0.0"}
    assert "1.2.0" not in serving.run("ls /opt/assistant /opt/assistant/releases").stdout
    assert serving.show("assistant-api@next.service", "ActiveState") in ("inactive", "failed")


def test_a_restart_of_the_machine_brings_everything_back(story: Story, serving: Machine) -> None:
    kept = serving.client.store("A restart of the machine loses nothing.")
    serving.host.restart()
    serving.wait_until_it_serves()
    assert kept in serving.client.find("A restart of the machine loses nothing.")
    assert {serving.show(unit, "ActiveState") for unit in (*UNITS, *OTHERS)} == {"active"}
    assert {serving.show(f"assistant-{name}.timer", "ActiveState") for name in ("backup", "certificate")} == {"active"}
    assert serving.host.run("systemctl --failed --no-legend").stdout == ""


@pytest.mark.removes
def test_it_leaves_nothing_behind(
    request: pytest.FixtureRequest, story: Story, serving: Machine, before: list[str]
) -> None:
    # As after a restore that nobody has cleaned up.
    serving.sql("CREATE DATABASE assistant_before OWNER assistant")
    serving.until("remove-it-with-all-its-data")
    after = serving.host.run(TRACES).stdout.splitlines()
    packages = serving.host.run("dpkg-query --listfiles restic").stdout.splitlines()
    new = [line for line in after if line not in {*before} and line.split()[0] not in packages]
    gone = [line for line in before if line not in {*after}]
    assert ignoring(new) == [], new
    assert ignoring(gone) == [], gone
    whole = not request.config.stash[RESULTS].modules[module_name(request.node.nodeid)].left_out
    assert not (whole and serving.left), f"no test ran {', '.join(serving.left)}"


def ignoring(traces: list[str]) -> list[str]:
    """The traces without those of Debian's own tools: caches, and lists of what is installed."""
    own = r"^(/var/(cache|lib/(dpkg|apt|logrotate|ucf))/|([0-9a-f]{64}  )?/etc/(ld\.so\.cache|mtab)\b)"
    return [line for line in traces if not re.search(own, line)]
