"""A host on which systemd runs everything is judged by the contracts of all targets, and by those about units."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import dedent

import pytest

from handbook import contracts
from handbook.findings import HandbookError
from tests.tree import Edit, Tree

FOLDER = "snippets/small"
LIMITED = "MemoryMax=512M\nTasksMax=64\n"
AGAIN = "Restart=on-failure\n"
KNOWN = "OnFailure=assistant-failed@%n.service\nStartLimitIntervalSec=5min\nStartLimitBurst=5\n"
CODE = "User=assistant\nWorkingDirectory=/opt/assistant/current\n"
GIVEN = "EnvironmentFile=/etc/assistant/service.env\nEnvironment=SECRETS_DIR=%d\n"


def loads(*names: str) -> str:
    return "".join(f"LoadCredential={name}:/etc/assistant/credentials/{name}\n" for name in names)


JOB = loads("database_password", "cache_password", "broker_password")
FILES = {
    "units/assistant.target": """
        [Unit]
        Wants=assistant-api@1.service assistant-api@2.service assistant-worker.service assistant-backup.timer
        """,
    "units/assistant-api@.service": f"""
        [Unit]
        PartOf=assistant.target
        Wants=assistant-migrations@current.service
        After=assistant-migrations@current.service
        {KNOWN}
        [Service]
        {CODE}{GIVEN}{LIMITED}{AGAIN}
        ExecStart=/opt/assistant/current/venv/bin/gunicorn
        Environment=GUNICORN_BIND=unix:/run/assistant/api-%i.sock
        {JOB}{loads("api_keys", "provider_api_key")}
        ReadWritePaths=/run/assistant
        TimeoutStopSec=75
        """,
    "units/assistant-api@next.service.d/next.conf": """
        [Service]
        WorkingDirectory=/opt/assistant/next
        ExecStart=
        ExecStart=/opt/assistant/next/venv/bin/gunicorn
        Restart=no
        """,
    "units/assistant-migrations@.service": f"""
        [Unit]
        {KNOWN}
        [Service]
        Type=oneshot
        User=assistant
        WorkingDirectory=/opt/assistant/%i
        {GIVEN}{LIMITED}
        ExecStart=/opt/assistant/%i/venv/bin/alembic upgrade head
        {loads("database_password")}
        """,
    "units/assistant-worker.service": f"""
        [Unit]
        {KNOWN}
        [Service]
        {CODE}{GIVEN}{LIMITED}{AGAIN}
        ExecStart=/opt/assistant/current/venv/bin/celery --app=assistant.tasks worker --concurrency=2
        Environment=TMPDIR=/run/assistant-worker
        RuntimeDirectory=assistant-worker
        {JOB}
        TimeoutStopSec=40
        """,
    "units/assistant-backup.service": f"""
        [Unit]
        OnFailure=assistant-failed@%n.service
        [Service]
        Type=oneshot
        User=assistant-backup
        ExecStart=/usr/local/lib/assistant/save.sh
        Environment=PGHOST=127.0.0.1
        EnvironmentFile=/etc/assistant/backup.env
        Environment=KEY_FILE=%d/backup_password
        {LIMITED}{loads("database_password", "backup_password")}
        StateDirectory=assistant-backup
        """,
    "units/assistant-backup.timer": "[Timer]\nOnCalendar=daily\n",
    "units/assistant-failed@.service": f"""
        [Service]
        Type=oneshot
        DynamicUser=yes
        ExecStart=/usr/local/lib/assistant/failed.sh %i
        {LIMITED}{loads("alert_url")}
        """,
    "units/assistant-.service.d/hardening.conf": "[Service]\nProtectSystem=strict\nPrivateTmp=yes\n",
    "units/nginx.service.d/assistant.conf": "[Service]\nTimeoutStopSec=80\n",
    "units/postgresql@.service.d/assistant.conf": "[Service]\nMemoryMax=1G\n",
    "units/redis-server@.service.d/assistant.conf": "[Service]\nMemoryMax=256M\n",
    "service.env": """
        DATABASE_HOST=127.0.0.1
        CACHE_URL=redis://127.0.0.1:6379/0
        BROKER_URL=redis://127.0.0.1:6380/0
        """,
    "backup.env": "BACKUP_DIR=/var/lib/assistant-backup\n",
    "database.conf": """
        [Unit]
        Wants=postgresql.service redis-server@cache.service
        After=postgresql.service redis-server@cache.service
        """,
    "sysusers.d/assistant.conf": 'u assistant - "The service"\nu assistant-backup - "Its backup"\n',
    "tmpfiles.d/assistant.conf": "d /run/assistant 0750 assistant www-data\nd /var/lib/broker 0750 redis redis\n",
    "postgres.conf": "listen_addresses = 'localhost'\nmax_connections = 90 # And more.\neffective_cache_size=768MB\n",
    "cache.conf": "include /etc/redis-shared/cache.conf\naclfile /etc/redis/cache.acl\n",
    "broker.conf": """
        include /etc/redis-shared/broker.conf
        port 6380
        dir /var/lib/broker
        aclfile /etc/redis/broker.acl
        """,
    "nginx.conf": """
        user www-data;
        worker_shutdown_timeout 70s;
        http {
            include shared/timeouts.conf;
            include shared/limits.conf;
            upstream service {
                server unix:/run/assistant/api-1.sock;
                server unix:/run/assistant/api-2.sock;
                keepalive 8;
                keepalive_timeout 2s;
            }
            server {
                listen 443 ssl;
                server_name api.example.com;
                ssl_certificate /etc/assistant/tls/tls.crt;
                ssl_certificate_key /etc/assistant/tls/tls.key;
                include shared/forwarded.conf;
                limit_req zone=requests burst=200 nodelay;
                limit_conn connections 100;
                location / { proxy_pass http://service; }
                location /health { return 404; }
                location /metrics { return 404; }
                location = /v1/answers { include shared/stream.conf; proxy_pass http://service; }
            }
        }
        """,
    "firewall.sh": "# By who wants it.\ninstall nftables.conf /etc/nftables.conf\n",
    "nftables.conf": "flush ruleset\n",
    "save.sh": 'cat "$SECRETS_DIR/database_password" "$KEY_FILE"\n',
    "failed.sh": 'cat "$CREDENTIALS_DIRECTORY/alert_url"\n',
    "install.sh": """
        put sysusers.d/assistant.conf /etc/sysusers.d/assistant.conf
        put tmpfiles.d/assistant.conf /etc/tmpfiles.d/assistant.conf
        for name in database_password cache_password broker_password provider_api_key backup_password; do
          make_secret "$name" openssl rand -hex 24
        done
        make_secret alert_url true
        make_secret api_keys true
        psql --command='CREATE ROLE assistant LOGIN' --command='CREATE DATABASE assistant OWNER assistant'
        put postgres.conf /etc/postgresql/17/main/conf.d/assistant.conf
        for name in cache broker; do
          put "../redis/$name.conf" "/etc/redis-shared/$name.conf"
          put "$name.conf" "/etc/redis/redis-$name.conf" 640 redis:redis
          make_acl "/etc/redis/$name.acl"
        done
        openssl req -keyout /etc/assistant/tls/tls.key -out /etc/assistant/tls/tls.crt
        for name in save failed; do
          put "$name.sh" "/usr/local/lib/assistant/$name.sh" 755
        done
        put service.env /etc/assistant/service.env
        put backup.env /etc/assistant/backup.env
        put database.conf /etc/systemd/system/assistant-.service.d/database.conf
        while read -r unit; do
          put "units/$unit" "/etc/systemd/system/$unit"
        done < <(cd units && find . -type f -printf '%P\\n')
        for file in ../nginx/*.conf; do
          put "$file" "/etc/nginx/shared/${file##*/}"
        done
        put nginx.conf /etc/nginx/nginx.conf
        cp ../service/alembic.ini ../service/gunicorn.conf.py "$release"
        cp --recursive ../service/assistant ../service/migrations "$release"
        """,
    "uninstall.sh": """
        rm --force /etc/nginx/nginx.conf /etc/redis/redis-{cache,broker}.conf
        rm --force /etc/postgresql/17/main/conf.d/assistant.conf
        rm --force /etc/{sysusers.d,tmpfiles.d}/assistant.conf
        rm --recursive --force /etc/assistant /etc/{nginx/shared,redis-shared} /usr/local/lib/assistant /run/assistant
        rm --recursive --force /var/lib/{broker,assistant-backup}
        while read -r unit; do
          rm --force "/etc/systemd/system/$unit"
        done < <(cd units && find . -type f -printf '%P\\n')
        rm --force /etc/systemd/system/assistant-.service.d/database.conf
        for user in assistant assistant-backup; do
          userdel "$user"
        done
        """,
}


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return Tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture
def tree(copied: Tree) -> Iterator[Tree]:
    for name, text in FILES.items():
        lines = [line.strip() if name.startswith("units/") else line for line in dedent(text).strip().splitlines()]
        copied.edit(f"{FOLDER}/{name}", "", "\n".join(lines) + "\n")
    yield copied
    copied.mend()


def test_a_host_is_a_deployment(tree: Tree) -> None:
    found = next(deployment for deployment in tree.facts().deployments if deployment.at.value == "small")
    assert [workload.name.value for workload in found.workloads] == [
        "nginx.service", "postgresql@17-main.service", "redis-server@cache.service", "redis-server@broker.service",
        "assistant-api@1.service", "assistant-api@2.service", "assistant-worker.service",
        "assistant-migrations@current.service", "assistant-backup.service", "assistant-failed@.service",
    ]  # fmt: skip
    assert [service.workload.name.value for service in found.serving] == [
        "assistant-api@1.service", "assistant-api@2.service"
    ]  # fmt: skip
    assert [service.workload.name.value for service in found.trials] == ["assistant-api@next.service"]
    assert found.worker
    assert found.worker.processes == 2
    assert found.worker.celery_number("task_time_limit")
    broker = found.redis_behind("broker_url")
    assert broker
    assert broker.workload.name.value == "redis-server@broker.service"
    assert broker.appends
    assert found.database
    assert found.database.flag("max_connections").line == 2
    assert found.networks is found.image is None


def test_it_keeps_every_contract(tree: Tree) -> None:
    found = tree.new_findings()
    assert not found, "\n" + "\n".join(map(str, found))
    silent = {finding.rule for finding in contracts.judge(tree.facts()) if "nothing to compare" in finding.message}
    assert not {name for name in silent if name.startswith("units.")}


API, WORKER, BACKUP, TARGET = (
    f"units/assistant{name}" for name in ("-api@.service", "-worker.service", "-backup.service", ".target")
)
NEXT, SANDBOX = "units/assistant-api@next.service.d/next.conf", "units/assistant-.service.d/hardening.conf"
FAILED, TMPFILES = "units/assistant-failed@.service", "tmpfiles.d/assistant.conf"
SYSUSERS = "sysusers.d/assistant.conf"
SOCKET = "Environment=GUNICORN_BIND="
THIRD = "unix:/run/assistant/api-3.sock;"
HEAD = ""
"""The first line of a file."""


CASES: tuple[tuple[str, str, str, str, tuple[str, str] | None], ...] = (
    # What every target keeps.
    ("timeouts.stop", API, "TimeoutStopSec=75", "TimeoutStopSec=65", ("gunicorn", "default")),
    ("timeouts.stop", "units/nginx.service.d/assistant.conf", "80", "60", ("nginx.conf", "worker_shutdown")),
    ("timeouts.stop", "units/nginx.service.d/assistant.conf", "TimeoutStopSec=80", "", ("nginx.conf", "worker_sh")),
    ("jobs.longest", WORKER, "TimeoutStopSec=40", "TimeoutStopSec=30", ("gunicorn", "default")),
    ("connections.fit", "postgres.conf", "= 90", "= 40", ("postgres.conf", "max_connections")),
    ("connections.memory", "units/postgresql@.service.d/assistant.conf", "MemoryMax=1G", "", None),
    ("redis.memory", "units/redis-server@.service.d/assistant.conf", "256M", "100M", None),
    ("redis.broker", "broker.conf", "dir /var/lib/broker", "dir /var/lib/other", None),
    ("redis.asked", "service.env", "6380", "6381", ("service.env", "BROKER_URL")),
    ("redis.apart", "service.env", "6380", "6379", ("service.env", "BROKER_URL")),
    ("ports.upstream", "nginx.conf", "api-2.sock;", f"api-2.sock; server {THIRD}", ("nginx.conf", f"{THIRD}")),
    ("ports.published", "postgres.conf", "'localhost'", "'*'", ("postgres.conf", "listen")),
    ("health.inside", "nginx.conf", "location /metrics", "location /other", ("nginx.conf", "location / ")),
    ("environment.dead", "service.env", "CACHE_URL", "LOG_LEVLE=info\nCACHE_URL", ("service.env", "LOG_LEVLE")),
    ("secrets.mounted", WORKER, "LoadCredential=cache_password", "# ", (WORKER, "[Unit]")),
    ("secrets.mounted", WORKER, "SECRETS_DIR=%d", "SECRETS_DIR=%t", (WORKER, "[Unit]")),
    ("secrets.mounted", "save.sh", "DIR/database_password", "DIR/password", ("save.sh", "cat")),
    (
        "secrets.used",
        WORKER,
        loads("cache_password"),
        loads("cache_password", "api_keys"),
        (WORKER, loads("api_keys")),
    ),
    (
        "secrets.used",
        BACKUP,
        loads("backup_password"),
        loads("backup_password", "alert_url"),
        (BACKUP, loads("alert_url")),
    ),
    ("secrets.plain", "service.env", "CACHE_URL", "CACHE_PASSWORD=x\nCACHE_URL", ("service.env", "CACHE_PASSWORD")),
    ("secrets.plain", BACKUP, "PGHOST", "PGPASSWORD=x PGHOST", (BACKUP, "Environment=PGPASSWORD")),
    (
        "secrets.mounted",
        "install.sh",
        "-keyout /etc/assistant/tls/tls.key",
        "",
        ("nginx.conf", "ssl_certificate_key"),
    ),
    ("wiring.database", "service.env", "HOST=127.0.0.1", "HOST=db", ("service.env", "DATABASE_HOST")),
    ("wiring.role", "install.sh", "ROLE assistant", "ROLE other", None),
    # What units keep.
    ("units.sockets", "nginx.conf", "server unix:/run/assistant/api-2.sock;", "", (API, SOCKET)),
    ("units.sockets", TMPFILES, "assistant www-data", "assistant assistant", (TMPFILES, "d /run/assistant")),
    ("units.sockets", TMPFILES, "0750", "0700", (TMPFILES, "d /run/assistant")),
    ("units.sockets", TMPFILES, "d /run/assistant ", "r /run/assistant ", (API, SOCKET)),
    ("units.sockets", "nginx.conf", "user www-data;", "", ("nginx.conf", HEAD)),
    ("units.users", API, "User=assistant", "User=asistant", (API, "User=")),
    ("units.users", API, "User=assistant", "User=assistant\nGroup=web", (API, "Group=")),
    ("units.users", API, "User=assistant\n", "", (API, HEAD)),
    ("units.users", API, "User=assistant", "User=root", (API, "User=")),
    ("units.users", FAILED, "DynamicUser=yes", "", (FAILED, HEAD)),
    ("units.users", SYSUSERS, 'u assistant-backup - "Its backup"\n', "", (BACKUP, "User=")),
    ("units.users", TMPFILES, "redis redis", "redis valkey", (TMPFILES, "d /var/lib/broker")),
    ("units.writable", API, "ReadWritePaths=/run/assistant", "", (API, SOCKET)),
    (
        "units.writable",
        WORKER,
        "TMPDIR=/run/assistant-worker",
        "TMPDIR=/run/assistant",
        (WORKER, "Environment=TMPDIR"),
    ),
    ("units.writable", WORKER, "RuntimeDirectory=assistant-worker", "", (WORKER, "Environment=TMPDIR")),
    (
        "units.writable",
        "backup.env",
        "assistant-backup",
        "elsewhere",
        ("backup.env", "BACKUP_DIR"),
    ),
    (
        "units.writable",
        "service.env",
        "CACHE_URL",
        "PROMETHEUS_MULTIPROC_DIR=/srv\nCACHE_URL",
        ("service.env", "PROM"),
    ),
    (
        "units.writable",
        WORKER,
        "--concurrency=2",
        "--concurrency=2 --pidfile=/run/worker.pid",
        (WORKER, "ExecStart"),
    ),
    ("units.writable", SANDBOX, "ProtectSystem=strict", "ProtectSystem=full", (SANDBOX, "ProtectSystem")),
    ("units.writable", SANDBOX, "ProtectSystem=strict", "", (API, HEAD)),
    ("units.credentials", "install.sh", "make_secret alert_url true", "", (FAILED, "LoadCredential")),
    ("units.credentials", FAILED, "/credentials/alert_url", "/credentials/alert", (FAILED, "LoadCredential")),
    ("units.credentials", NEXT, "Restart=no", "Environment=SECRETS_DIR=%t", (API, HEAD)),
    ("units.credentials", NEXT, "Restart=no", loads("backup_password"), (NEXT, "LoadCredential")),
    ("units.credentials", NEXT, "Restart=no", "Environment=CACHE_PASSWORD=x", (NEXT, "Environment=CACHE")),
    ("units.limits", BACKUP, "MemoryMax=512M", "", (BACKUP, HEAD)),
    ("units.limits", API, "MemoryMax=512M", "MemoryMax=infinity", (API, "MemoryMax")),
    ("units.limits", API, "TasksMax=64", "", (API, HEAD)),
    ("units.limits", WORKER, "Restart=on-failure", "Restart=no", (WORKER, "Restart")),
    ("units.limits", WORKER, "Restart=on-failure", "", (WORKER, HEAD)),
    ("units.limits", WORKER, "StartLimitBurst=5", "", (WORKER, "StartLimitInterval")),
    (
        "units.limits",
        WORKER,
        "StartLimitIntervalSec=5min",
        "StartLimitIntervalSec=0",
        (WORKER, "StartLimitInterval"),
    ),
    ("units.limits", BACKUP, "OnFailure=assistant-failed@%n.service", "", (BACKUP, HEAD)),
    ("units.named", API, "PartOf=assistant.target", "PartOf=assistant.targets", (API, "PartOf")),
    ("units.named", BACKUP, "OnFailure=assistant-failed@", "OnFailure=assistant-fails@", (BACKUP, "OnFailure")),
    ("units.named", API, "After=assistant-migrations@current.service", "", (API, "Wants=")),
    ("units.timers", "units/assistant.target", " assistant-backup.timer", "", ("units/assistant-backup.timer", HEAD)),
    ("units.installed", "install.sh", "put tmpfiles.d/assistant.conf", "put tmpfiles.d/assistant", (TMPFILES, "")),
    ("units.installed", API, "assistant/service.env", "assistant/services.env", (API, "EnvironmentFile")),
    ("units.installed", "install.sh", "for name in save failed", "for name in save", (FAILED, "ExecStart")),
    ("units.removed", "uninstall.sh", "in assistant assistant-backup", "in assistant", (SYSUSERS, "u assistant-b")),
    ("units.removed", "uninstall.sh", "{sysusers.d,tmpfiles.d}", "{sysusers.d,}", ("install.sh", "put tmpfiles")),
    ("units.removed", "uninstall.sh", "{broker,assistant-backup}", "broker", (BACKUP, "StateDirectory")),
    ("units.removed", "uninstall.sh", "{broker,assistant-backup}", "assistant-backup", (TMPFILES, "d /var/lib")),
)
"""The rule, the file, a text in it, what takes its place, and where that is found: a file, and a text in its line."""


@pytest.mark.parametrize(("rule", "path", "old", "new", "at"), CASES)
def test_a_host_can_be_wrong(rule: str, path: str, old: str, new: str, at: tuple[str, str] | None, tree: Tree) -> None:
    edit: Edit = (f"{FOLDER}/{path}", old, new)
    tree.edit(*edit)
    found = tree.new_findings()
    assert {finding.rule for finding in found} == {rule}, "\n" + "\n".join(map(str, found))
    if at and at[0] != "gunicorn":
        place = f"{FOLDER}/{at[0]}"
        expected = 0 if at == (TMPFILES, "") else 1 if at[1] == HEAD else tree.line(place, at[1])
        assert (place, expected) in {(finding.path, finding.line) for finding in found}, "\n".join(map(str, found))


def test_every_contract_about_units_is_seen_failing() -> None:
    assert {case[0] for case in CASES} >= {name for name in contracts.names() if name.startswith("units.")}


def test_without_a_script_that_removes_that_is_said(tree: Tree) -> None:
    tree.edit(f"{FOLDER}/uninstall.sh", FILES["uninstall.sh"].strip().splitlines()[0], "", count=1)
    host = next(found.host for found in tree.facts().deployments if found.host)
    host.removed = []
    facts = tree.facts()
    for deployment in facts.deployments:
        if deployment.host:
            deployment.host = host
    (found,) = contracts.load()["units.removed"](facts)
    assert (found.path, found.line) == (f"{FOLDER}/install.sh", 1)


@pytest.mark.parametrize(
    ("path", "old", "new", "message"),
    [
        ("cache.conf", "redis-shared/cache", "redis-shared/gone", "cache.conf:1: nothing of the repository stands at"),
        ("nginx.conf", "shared/limits", "shared/gone", "nginx.conf:5: nothing of the repository stands"),
        (API, "TimeoutStopSec=75", "TimeoutStopSec=soon", "assistant-api@.service:[0-9]+: 'soon' is not a duration"),
        (
            "install.sh",
            "../service/alembic.ini",
            "../service/$file",
            "install.sh:[0-9]+: ../service/.file depends on a",
        ),
    ],
)
def test_what_cannot_be_read_is_an_error(path: str, old: str, new: str, message: str, tree: Tree) -> None:
    tree.edit(f"{FOLDER}/{path}", old, new)
    with pytest.raises(HandbookError, match=message):
        tree.facts()
