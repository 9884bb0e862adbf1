"""The readers of systemd's files apply drop-ins in the order in which systemd does, and keep the lines."""

from __future__ import annotations

from math import inf
from pathlib import Path
from textwrap import dedent

import pytest

from handbook.facts import Fact, quantities, systemd
from handbook.facts.systemd import Kept, Unit, Units, User
from handbook.findings import HandbookError

FOLDER = "snippets/host/units"
FILES = {
    "app.target": """
        [Unit]
        Wants=app-api@1.service app-api@2.service
        Wants=app-worker.service other.service
        """,
    "app-api@.service": """
        # A comment.
        [Unit]
        After=database.service
        After=app-migrations@current.service
        OnFailure=app-failed@%n.service
        StartLimitIntervalSec=5min
        StartLimitBurst=5
        [Service]
        User=app
        Environment=FOLDER=%d "WORDS=one two"
        Environment=BIND=unix:/run/app/api-%i.sock
        EnvironmentFile=-/etc/app/service.env
        LoadCredential=password:/etc/app/credentials/password
        LoadCredential=plain
        ExecStart=-/opt/app/bin/server --name=%p \\
          # not this
          --quiet "two words"
        RuntimeDirectory=app-%i:link more
        StateDirectory=app
        ReadWritePaths=-/run/app
        MemoryMax=512M
        TimeoutSec=1min 30s
        [Install]
        WantedBy=multi-user.target
        """,
    "app-api@next.service.d/next.conf": """
        [Service]
        ExecStart=
        ExecStart=/opt/next/bin/server
        Environment=
        Environment=BIND=here
        MemoryMax=
        """,
    "app-api@.service.d/10-more.conf": "[Service]\nUser=ten\nGroup=ten\n",
    "app-api@.service.d/05-early.conf": "[Service]\nTasksMax=5\n",
    "app-.service.d/10-more.conf": "[Service]\nUser=never\n",
    "app-.service.d/20-all.conf": "[Service]\nPrivateTmp=yes\nGroup=twenty\nTasksMax=8\n",
    "service.d/00-every.conf": "[Service]\nTasksMax=4\nRestart=always\n",
    "app-worker.service": "[Service]\nType=oneshot\nTimeoutStopSec=40\n; another comment\nTimeoutStartSec=infinity\n",
    "app-failed@.service": "[Service]\nExecStart=/bin/tell %i\n",
    "nginx.service.d/app.conf": "[Service]\nMemoryMax=256M\n",
}


@pytest.fixture
def units(tmp_path: Path) -> Units:
    for name, text in FILES.items():
        write(tmp_path, f"{FOLDER}/{name}", text)
    write(tmp_path, "snippets/host/database.conf", "[Unit]\nWants=database.service\n")
    files = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    return systemd.read(tmp_path, FOLDER, files, {"app-.service.d/database.conf": "snippets/host/database.conf"})


def write(root: Path, path: str, text: str) -> str:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    return path


def unit(units: Units, name: str) -> Unit:
    found = units.unit(name)
    assert found
    return found


def at(line: int, value: object, file: str = "app-api@.service") -> Fact[object]:
    return Fact(value, f"{FOLDER}/{file}", line)


def test_a_unit_says_what_its_file_says(units: Units) -> None:
    api = unit(units, "app-api@1.service")
    assert api.at == at(1, "app-api@1.service")
    assert api.words("After") == [at(3, "database.service"), at(4, "app-migrations@current.service")]
    assert api.words("OnFailure") == [at(5, "app-failed@app-api@1.service.service")]
    assert api.seconds("StartLimitIntervalSec", "Unit") == at(6, 300)
    assert api.value("StartLimitBurst", "Unit") == at(7, "5")
    assert api.value("StartLimitBurst") is None
    assert api.environment == {
        "FOLDER": at(10, "/run/credentials/app-api@1.service"),
        "WORDS": at(10, "one two"),
        "BIND": at(11, "unix:/run/app/api-1.sock"),
    }
    assert api.environment_files == [at(12, "/etc/app/service.env")]
    assert api.credentials == {"password": at(13, "/etc/app/credentials/password"), "plain": at(14, "plain")}
    assert api.commands() == [at(15, ("/opt/app/bin/server", "--name=app-api", "--quiet", "two words"))]
    assert api.folders == {
        "/run/app-1": at(18, "/run/app-1"), "/run/more": at(18, "/run/more"), "/var/lib/app": at(19, "/var/lib/app")
    }  # fmt: skip
    writable = [fact.value for fact in api.writable]
    assert writable == ["/run/app", "/tmp", "/var/tmp", "/run/app-1", "/run/more", "/var/lib/app", "/dev/shm"]
    assert api.memory_bytes == at(21, 2**29)
    assert api.stop_seconds == api.seconds("TimeoutStartSec") == at(22, 90)
    assert api.words("WantedBy", "Install") == [at(24, "multi-user.target")]
    assert (api.type, api.runs_once, api.instance) == ("simple", False, "1")


def test_drop_ins_count_by_their_names_whichever_folder_holds_them(units: Units) -> None:
    """Of two with one name, the one of the more specific folder counts."""
    api = unit(units, "app-api@1.service")
    assert api.value("User") == at(2, "ten", "app-api@.service.d/10-more.conf")
    assert api.value("Group") == at(3, "twenty", "app-.service.d/20-all.conf")
    assert api.value("TasksMax") == at(4, "8", "app-.service.d/20-all.conf")
    assert api.value("Restart") == at(3, "always", "service.d/00-every.conf")
    assert api.words("Wants") == [Fact("database.service", "snippets/host/database.conf", 2)]


def test_an_empty_value_takes_away_all_before_it(units: Units) -> None:
    following = unit(units, "app-api@next.service")
    assert following.commands() == [at(3, ("/opt/next/bin/server",), "app-api@next.service.d/next.conf")]
    assert list(following.environment) == ["BIND"]
    assert following.memory_bytes is None
    assert following.credentials.keys() == {"password", "plain"}
    assert following.stop_seconds.value == 90


def test_a_unit_of_a_package_is_what_is_dropped_into_it(units: Units) -> None:
    nginx = unit(units, "nginx.service")
    assert nginx.at == at(1, "nginx.service", "service.d/00-every.conf")
    assert nginx.memory_bytes == at(2, 2**28, "nginx.service.d/app.conf")
    assert nginx.stop_seconds.value == 90
    assert units.unit("nobody.target") is None


def test_the_units_there_are_and_those_that_are_started(units: Units) -> None:
    assert units.targets == ["app.target"]
    assert [unit.name for unit in units.start("app.target")] == [
        "app.target", "app-api@1.service", "app-api@2.service", "app-worker.service", "other.service",
        "database.service",
    ]  # fmt: skip
    assert [unit.name for unit in units.all] == [
        "app-api@1.service", "app-api@2.service", "app-api@next.service", "app-failed@.service", "app-worker.service",
        "app.target",
    ]  # fmt: skip
    worker = unit(units, "app-worker.service")
    assert worker.runs_once
    assert worker.seconds("TimeoutStartSec") == at(5, inf, "app-worker.service")
    assert worker.stop_seconds == at(3, 40, "app-worker.service")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[Service]\nUser=%y\n", "app-worker.service:2: the specifier %y is not read here"),
        ("[Service]\nUser\n", "app-worker.service:2: 'User' is neither"),
        ("User=a\n", "app-worker.service:1: 'User=a' stands in no section"),
        ("[Service]\nUser=a\nTimeoutStopSec=soon\n", "app-worker.service:3: 'soon' is not a duration like 75"),
        ("[Service]\nUser=a\nEnvironment=A\n", "app-worker.service:3: 'A' is not NAME=value"),
        ("[Service]\nUser=a\nEnvironment='A=1\n", "app-worker.service:3: No closing quotation"),
    ],
)
def test_what_is_no_unit(units: Units, text: str, message: str) -> None:
    write(units.root, f"{FOLDER}/app-worker.service", text)
    with pytest.raises(HandbookError, match=message):
        _ = [(each.value("User"), each.stop_seconds, each.environment) for each in units.start("app-worker.service")]


@pytest.mark.parametrize(
    ("text", "value"),
    [("75", 75), ("5min", 300), ("1min 30s", 90), ("2h", 7200), ("500ms", 0.5), ("infinity", inf), ("1d", 86400)],
)
def test_spans_of_time(text: str, value: float) -> None:
    assert quantities.systemd_seconds(text) == value


@pytest.mark.parametrize("text", ["soon", "", "5x"])
def test_what_is_no_span_of_time(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration like 75 or 1min 30s"):
        quantities.systemd_seconds(text)


def test_users_and_groups(tmp_path: Path) -> None:
    text = '# Users\nu app - "The app"\nu! locked - -\ng people -\nm app people\n'
    path = write(tmp_path, "sysusers.conf", text)
    assert systemd.users(tmp_path, path) == [
        Fact(User("app", is_group=False), path, 2),
        Fact(User("locked", is_group=False), path, 3),
        Fact(User("people", is_group=True), path, 4),
    ]
    write(tmp_path, path, "x app\n")
    with pytest.raises(HandbookError, match=r"^sysusers.conf:1: 'x app' is not a line of sysusers.d"):
        systemd.users(tmp_path, path)


def test_folders_that_are_made(tmp_path: Path) -> None:
    text = "# Folders\nd /run/app/ 0750 app www-data\nf+ /run/app/file\nr /run/gone\nD! /var/cache/app - - staff 10d\n"
    path = write(tmp_path, "tmpfiles.conf", text)
    assert systemd.kept(tmp_path, path) == [
        Fact(Kept("/run/app", True, "0750", "app", "www-data"), path, 2),
        Fact(Kept("/run/app/file", False), path, 3),
        Fact(Kept("/var/cache/app", True, "", "root", "staff"), path, 5),
    ]
    write(tmp_path, path, "d run/app\n")
    with pytest.raises(HandbookError, match=r"^tmpfiles.conf:1: 'd run/app' is not a line of tmpfiles.d"):
        systemd.kept(tmp_path, path)
