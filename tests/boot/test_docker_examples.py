"""The checks that need Docker: what they say of files that are wrong on purpose."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from handbook import images, tools
from handbook.catalog import ROOT, Catalog
from handbook.checks import load
from handbook.checks._docker import PREFIX
from tests.verdicts import (
    Example,
    Verdicts,
    believes_no_silence,
    judge_example,
    lacking,
    numbered,
    one,
    with_docker,
    write,
)

CATALOG = Catalog()


def inputs() -> str:
    return one(with_docker(__file__))


FIT = 'FROM nginx:1.30.6\nUSER 101:101\nHEALTHCHECK CMD ["true"]\n'
IGNORE = {".dockerignore": "*\n"}

NGINX = """\
pid /tmp/nginx.pid;
error_log stderr warn;
events {{}}
http {{
    client_body_temp_path /tmp/a;
    proxy_temp_path /tmp/b;
    fastcgi_temp_path /tmp/c;
    scgi_temp_path /tmp/d;
    uwsgi_temp_path /tmp/e;
    server {{
        listen 8443 ssl;
        ssl_certificate /run/secrets/pair;
        ssl_certificate_key /run/secrets/pair;
        {}
    }}
}}
"""
NGINX_STACK = {
    "compose.yaml": """\
services:
  nginx:
    image: nginx:1.30.6
    user: "101:101"
    read_only: true
    tmpfs: [/tmp]
    secrets: [pair]
    volumes:
      - ./nginx.conf:/etc/nginx/nginx.conf:ro
      - ./parts:/etc/nginx/parts:ro
  service:
    image: nginx:1.30.6
secrets:
  pair:
    file: secrets/pair
"""
}
FOLDERS = {
    "compose.yaml": NGINX_STACK["compose.yaml"]
    .replace("./nginx.conf:/etc/nginx/nginx.conf", "./conf:/etc/nginx")
    .replace("/etc/nginx/parts", "/etc/parts")
}
TLS = NGINX.replace("/run/secrets/pair", "/run/tls/pair.pem")
TLS_STACK = {
    "compose.yaml": NGINX_STACK["compose.yaml"].replace("      - ./parts", "      - ./tls:/run/tls:ro\n      - ./parts")
}
REDIS_STACK = {"compose.yaml": "services: {cache: {image: 'redis:8.2.10-bookworm'}}\n"}
POSTGRES_STACK = {"compose.yaml": "services: {db: {image: 'pgvector/pgvector:0.8.7-pg18-trixie'}}\n"}


def wrapper(text: str, line: int | None = None) -> Example:
    """A file for Debian's Redis, which is wrong at `line`."""
    beside = {"../redis/host.conf": "maxmemory 8mb\ndir /data\n", "../redis/bad.conf": "\n\nmaxmemory-policy lru\n"}
    return Example("host/redis/a.conf", text, "" if line is None else "config", line or 0, beside=beside)


def host(line: str, rule: str = "") -> Example:
    """The configuration of an nginx that a host has, with one more line."""
    text = NGINX.replace("/run/secrets/pair", "/etc/a/tls.crt").replace("pid /tmp", "user www-data; pid /tmp")
    beside = {"compose.yaml": "services: {a: {image: 'nginx:1.30.6'}}\n", "../nginx/a.conf": "etag on;\n"}
    return Example("host/nginx/nginx.conf", text.format(line), rule, 14 if rule else 0, beside=beside)


SERVICE = {
    file.removeprefix("snippets/"): (ROOT / file).read_text(encoding="utf-8")
    for file in CATALOG.snippets
    if file.startswith("snippets/service/") and "/tests/" not in file
} | POSTGRES_STACK
MIGRATION = """\
import sqlalchemy as sa
from alembic import op

revision = "example"
down_revision = "jobs"


def upgrade() -> None:
    {}


def downgrade() -> None:
    {}
"""


def migration(upgrade: str, downgrade: str, rule: str, line: int) -> Example:
    name = "service/migrations/versions/example.py"
    return Example(name, MIGRATION.format(upgrade, downgrade), rule, line, beside=SERVICE)


SOURCE = "Types: deb\nURIs: https://a.example\nSuites: trixie\nComponents: stable\nSigned-By: /etc/apt/keyrings/a.asc\n"
RULES = "*filter\n:MORE - [0:0]\n-A MORE -p tcp -m conntrack --ctorigdstport 80 -j RETURN\n-A MORE -j DROP\nCOMMIT\n"
UNIT = "[Unit]\nDescription=x\nBefore=docker.service\n\n[Service]\nType=oneshot\nExecStart=/usr/bin/true\n"
UNITS = {
    "units/a.target": "[Unit]\nDescription=all\nWants=a-b@1.service a-b@2.service\n",
    "units/a-b@.service": """\
[Unit]
Description=instance %i
After=postgresql.service redis-server@cache.service
Requires=postgresql.service
PartOf=a.target
OnFailure=a-failed@%n.service

[Service]
User=made
LoadCredential=one:/etc/a/one
LoadCredential=two:/etc/a/two
ExecStart=/opt/a/current/venv/bin/gunicorn app

[Install]
WantedBy=a.target
""",
    "units/a-b@next.service.d/next.conf": "[Service]\nExecStart=\nExecStart=/opt/a/next/venv/bin/gunicorn app\n",
    "units/a-failed@.service": "[Service]\nType=oneshot\nExecStart=/usr/local/lib/a/failed %i\n",
    "units/a-c.service": "[Service]\nType=oneshot\nExecStart=/usr/bin/restic check\n",
    "units/a-c.timer": "[Timer]\nOnCalendar=daily\n\n[Install]\nWantedBy=timers.target\n",
    "units/a-.service.d/hardening.conf": """\
[Service]
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
ProtectClock=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectProc=invisible
ProcSubset=pid
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
LockPersonality=yes
MemoryDenyWriteExecute=yes
CapabilityBoundingSet=
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
UMask=0077
""",
    "sysusers.d/a.conf": 'u made - "A" /nonexistent\n',
}
CHOICES = UNITS | {
    "database-here.conf": "[Unit]\nAfter=postgresql.service\n",
    "database-elsewhere.conf": "[Service]\nLoadCredential=authority:/etc/a/authority\n",
}


def unit(name: str, old: str, new: str, rule: str = "", line: int = 0) -> Example:
    """The installation above, with one change in one file."""
    beside = UNITS if name in UNITS else CHOICES
    assert old in beside[name]
    return Example(name, beside[name].replace(old, new), rule, line, beside=beside)


USERS = {"sysusers.d/a.conf": 'u made - "A" /nonexistent\n'}
FOLDERS_OF_LOGS = {"tmpfiles.d/a.conf": "d /var/log/a 0750 made adm -\n", **USERS}
ROTATED = """\
/var/log/a/*.log {
    daily
    rotate 7
    missingok
    create 0640 made adm
    sharedscripts
    postrotate
        systemctl kill --signal USR1 nginx
    endscript
}
"""
TABLE = """\
flush ruleset

table inet a {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        tcp dport { 22, https } accept
    }
}
"""

EXAMPLES: dict[str, list[Example]] = {
    "compose_config": [
        Example("compose.yaml", "services:\n  a:\n    image: x\n"),
        Example("compose.yaml", "services:\n  a:\n    image: x\nversion: '3'\n", "warning", 4),
        Example("compose.yaml", "services:\n  a:\n    image: ${NOT_SET_ANYWHERE}:1\n", "warning", 3),
        Example("compose.yaml", "services:\n  a:\n    image: x\n    prots: []\n", "config", 4),
        Example("compose.yaml", "services:\n  a:\n    image: x\n    depends_on: [b]\n", "config", 2),
        Example("compose.yaml", "services:\n  a: [\n  b\n", "config", 1),
        # Only with its profile does it count.
        Example("compose.yaml", "services:\n  a:\n    image: x\n    profiles: [b]\n    networks: [c]\n", "config", 2),
    ],
    "env_file": [
        Example("good.env", "# why\nA=1\nB=a#b\nC=\n\nD=1.2.3.4/8,::1\n"),
        Example("comment.env", "A=1\nB=3600  # 1 hour\n", "read-differently", 2),
        Example("quotes.env", 'A="x"\n', "read-differently", 1),
        Example("dollar.env", "A=x\nB=$A\n", "read-differently", 2),
        Example("dollars.env", "A=a$$b\n", "read-differently", 1),
        Example("space.env", "A= x\n", "read-differently", 1),
        Example("trailing.env", "A=x \n", "read-differently", 1),
        Example("export.env", "A=x\nexport B=y\n", "refused", 2),
        Example("open.env", 'A=x\nB="y\n', "refused", 2),
        Example("twice.env", "A=x\nA=y\n", "twice", 2),
        Example("nothing.env", "A=x\nNOT_SET_ANYWHERE\n", "no-value", 2),
    ],
    "docker_build": [
        Example("Dockerfile", FIT, beside=IGNORE),
        # The command that builds it names this folder.
        Example("Dockerfile", FIT + "COPY --from=pages . /srv\n", beside=IGNORE),
        Example("Dockerfile", FIT, "dockerignore", 0),
        Example("Dockerfile", FIT + "RUN false\n", "build", 4, beside=IGNORE),
        Example("Dockerfile", FIT + "COPY nothing /\n", "build", 4, beside=IGNORE),
        Example("Dockerfile", FIT + "RUN true \\\n\n  && true\n", "warning", 6, beside=IGNORE),
        Example("Dockerfile", FIT.replace("101:101", "nginx"), "user", 2, beside=IGNORE),
        Example("Dockerfile", FIT.replace("USER 101:101", "USER 0:0"), "user", 2, beside=IGNORE),
        Example("Dockerfile", FIT.replace("HEALTHCHECK CMD", "CMD"), "healthcheck", 0, beside=IGNORE),
        Example("Dockerfile", FIT.replace("nginx:1.30.6", "python:3.13-slim-trixie"), "tools", 1, beside=IGNORE),
    ],
    "docker_context": [
        Example(".dockerignore", "*\n!app\n**/__pycache__\n", beside={"Dockerfile": "COPY app /\n", "app/a.py": ""}),
        Example(".dockerignore", "*.log\n", "leak", 0),
        Example(".dockerignore", "*\n!app\n", "leak", 0, beside={"app/a.py": ""}),
        Example(".dockerignore", "*\n", "source", 0, beside={"Dockerfile": "COPY app /\n", "app/a.py": ""}),
    ],
    "nginx_t": [
        Example("nginx.conf", NGINX.format("return 204;"), beside=NGINX_STACK),
        # A folder that a script makes on the host stands in no repository.
        Example("nginx.conf", TLS.format("return 204;"), beside=TLS_STACK),
        Example("nginx.conf", TLS.format("listn 80;"), "emerg", 14, beside=TLS_STACK),
        Example("nginx.conf", NGINX.format("listen 8444 ssl http2;"), "warn", 14, beside=NGINX_STACK),
        Example("nginx.conf", NGINX.format("listn 80;"), "emerg", 14, beside=NGINX_STACK),
        Example("nginx.conf", NGINX.format("return 204"), "emerg", 15, beside=NGINX_STACK),
        Example(
            "nginx.conf",
            NGINX.format("location / { proxy_pass http://elsewhere; }"),
            "emerg",
            14,
            beside=NGINX_STACK,
        ),
        Example("nginx.conf", NGINX.format("location / { proxy_pass http://service; }"), beside=NGINX_STACK),
        # A warning about an included file is about that file, and a file that nothing includes is one too many.
        Example(
            "parts/a.conf",
            "listen 8444 ssl http2;\n",
            "warn",
            1,
            beside=NGINX_STACK | {"nginx.conf": NGINX.format("include parts/a.conf;")},
        ),
        Example(
            "parts/a.conf",
            "listen 8444 ssl http2;\n",
            "warn",
            1,
            beside=FOLDERS | {"conf/nginx.conf": NGINX.format("include ../parts/a.conf;")},
        ),
        # Debian's own nginx is older than that of the stacks.
        host("include ../nginx-shared/a.conf; access_log /var/log/a/b;"),
        host("listn 80;", "emerg"),
        host("keepalive_min_timeout 10s;", "emerg"),
        host("listen 8444 ssl http2;", "warn"),
        Example(
            "parts/b.conf",
            "return 204;\n",
            "unread",
            0,
            beside=NGINX_STACK | {"nginx.conf": NGINX.format("return 204;")},
        ),
    ],
    "redis_server": [
        Example("redis/good.conf", '# why\nmaxmemory 8mb\nsave ""\naclfile /run/secrets/acl\n', beside=REDIS_STACK),
        Example("redis/unknown.conf", "maxmemory 8mb\nmaxmemori 8mb\n", "config", 2),
        Example("redis/value.conf", "# why\nmaxmemory-policy lru\n", "config", 2),
        Example("redis/quotes.conf", 'save "\n', "config", 1),
    ],
    "redis_host": [
        wrapper("include /etc/redis-shared/host.conf\ndir /var/lib/redis/a\naclfile /etc/redis/a.acl\n"),
        wrapper("include /etc/redis-shared/none.conf\n", 1),
        wrapper("include /etc/redis-shared/host.conf\nmaxmemori 8mb\n", 2),
        wrapper("# why\n\nmaxmemory-policy lru\n", 3),
        # Redis counts the lines of the other file, and does not name it.
        wrapper("# why\n\n\ninclude /etc/redis-shared/bad.conf\n", 0),
    ],
    "postgres_host": [
        Example("postgres/a.conf", "# why\nmax_connections = 50\nssl = on\nssl_cert_file = '/etc/a/tls.crt'\n"),
        Example("postgres/a.conf", "work_mem = 4MB\nshared_bufers = 1MB\n", "postgres", 2),
        Example("postgres/a.conf", "work_mem = 4MB\nmax_connections = many\n", "postgres", 2),
        Example("postgres/a.conf", "work_mem = 4MB\nlog_statement = alll\n", "postgres", 2),
        Example("postgres/a.conf", "work_mem = 4MB\nmax_wal_size = 1Q\n", "postgres", 2),
        Example("postgres/a.conf", "# why\nwork_mem 4MB more\n", "postgres", 2),
        Example("postgres/a.conf", "work_mem = 4MB\nshared_preload_libraries = 'nothing'\n", "postgres", 2),
        # The last one counts, without a word.
        Example("postgres/a.conf", "work_mem = 4MB\nwork_mem = 5MB\n", "postgres", 1),
        Example("postgres/a.conf", "# why\n", "empty", 0),
        Example("postgres/pg_hba.conf", "# why\nlocal all all peer\nhostssl a b 192.0.2.0/24 scram-sha-256\n"),
        Example("postgres/pg_hba.conf", "local all all peer\nhost a b 127.0.0.1/33 scram-sha-256\n", "postgres", 2),
        Example("postgres/pg_hba.conf", "local all all pear\n", "postgres", 1),
        Example("postgres/pg_hba.conf", "hosts a b 127.0.0.1/32 scram-sha-256\n", "postgres", 1),
        Example("postgres/pg_hba.conf", "host a b 127.0.0.1/32\n", "postgres", 1),
        Example("postgres/pg_hba.conf", "# why\n", "empty", 0),
    ],
    "sql": [
        Example("good.sql", "CREATE TABLE a (b int);\nSELECT * FROM a;\n", beside=POSTGRES_STACK),
        Example("table.sql", "SELECT 1;\nSELECT * FROM nothing;\n", "error", 2),
        Example("syntax.sql", "SELEC 1;\n", "error", 1),
        Example("warning.sql", "SELECT 1;\nCOMMIT;\n", "warning", 2),
        Example("command.sql", "SELECT 1;\n\\nothing\n", "psql", 2),
    ],
    "migrations": [
        migration("op.execute('SELECT 1')", "pass", "", 0),
        migration("op.execute('SELECT nothing()')", "pass", "upgrade", 9),
        # Only a superuser may.
        migration("op.execute('CREATE EXTENSION file_fdw')", "pass", "upgrade", 9),
        migration(
            "op.add_column('documents', sa.Column('more', sa.String))",
            "op.drop_column('documents', 'more')",
            "models",
            0,
        ),
        migration("op.execute('SELECT 1')", "op.drop_table('nothing')", "downgrade", 13),
        migration("op.execute('CREATE SEQUENCE more')", "pass", "downgrade", 0),
        Example("service/migrations/versions/deep/example.py", MIGRATION, "unread", 0, beside=SERVICE),
        Example("service/migrations/script.py.mako", "${nothing.at.all}\n", "template", 0, beside=SERVICE),
    ],
    "apt_sources": [
        Example("a.sources", SOURCE),
        Example("a.sources", f"# why\n{SOURCE}\n{SOURCE.replace('trixie', 'bookworm')}"),
        Example("a.sources", SOURCE.replace("Types: deb", "Types: debb"), "apt", 0),
        Example("a.sources", SOURCE.replace("Suites: trixie\n", ""), "apt", 0),
        Example("a.sources", SOURCE.replace("/etc/apt/keyrings/a.asc", "a.asc"), "apt", 0),
        Example("a.sources", f"{SOURCE}Enabled: no\n", "empty", 0),
        # apt takes these without a word.
        Example("a.sources", SOURCE.replace("Signed-By", "Signd-By"), "signed-by", 1),
        Example("a.sources", SOURCE.replace("/etc/apt/keyrings/", "/etc/apt/trusted.gpg.d/"), "signed-by", 5),
        Example("a.sources", SOURCE.replace("https:", "http:"), "https", 2),
        Example("a.sources", f"{SOURCE}\n{SOURCE.replace('https:', 'http:')}", "https", 8),
    ],
    "sysctl": [
        Example("a.conf", "# why\nvm.overcommit_memory = 1\n"),
        Example("a.conf", "vm.overcomit_memory = 1\n", "sysctl", 0),
        Example("a.conf", "vm.overcommit_memory = 1\nvm.swappiness\n", "sysctl", 2),
        Example("a.conf", "# why\n", "empty", 0),
    ],
    "sysusers": [
        Example("sysusers.d/a.conf", f"# why\n{USERS['sysusers.d/a.conf']}m made adm\n"),
        Example("sysusers.d/a.conf", "u made -\nx made\n", "sysusers", 2),
        Example("sysusers.d/a.conf", "u 1made! -\n", "sysusers", 1),
        Example("sysusers.d/a.conf", "u made 99999999999\n", "sysusers", 1),
        Example("sysusers.d/a.conf", "# why\n", "empty", 0),
    ],
    "tmpfiles": [
        Example("tmpfiles.d/a.conf", FOLDERS_OF_LOGS["tmpfiles.d/a.conf"], beside=USERS),
        Example("tmpfiles.d/a.conf", "d /run/a 0755 root root -\nd /run/b 0755 maid root -\n", "tmpfiles", 2),
        Example("tmpfiles.d/a.conf", "d /run/a 0799 root root -\n", "tmpfiles", 1),
        Example("tmpfiles.d/a.conf", "d run/a 0755 root root -\n", "tmpfiles", 1),
        Example("tmpfiles.d/a.conf", "dd /run/a 0755 root root -\n", "tmpfiles", 1),
        Example("tmpfiles.d/a.conf", "d /run/a 0755 root root soon\n", "tmpfiles", 1),
        Example("tmpfiles.d/a.conf", "# why\n", "empty", 0),
    ],
    "logrotate": [
        Example("logrotate.d/a", ROTATED, beside=FOLDERS_OF_LOGS),
        Example("logrotate.d/a", ROTATED.replace("daily", "dayly"), "logrotate", 2, beside=FOLDERS_OF_LOGS),
        Example("logrotate.d/a", ROTATED.replace("rotate 7", "rotate x"), "logrotate", 3, beside=FOLDERS_OF_LOGS),
        Example("logrotate.d/a", ROTATED.replace("made", "maid"), "logrotate", 5, beside=FOLDERS_OF_LOGS),
        Example("logrotate.d/a", ROTATED.replace("endscript", ""), "logrotate", 0, beside=FOLDERS_OF_LOGS),
        # Not even an empty log is there on a new host, and logrotate then ends with 1.
        Example("logrotate.d/a", ROTATED.replace("missingok", ""), "logrotate", 0, beside=FOLDERS_OF_LOGS),
        Example("logrotate.d/a", "# why\n", "empty", 0),
    ],
    "journald": [
        Example("journald.conf.d/a.conf", "# why\n[Journal]\nSystemMaxUse=1G\nMaxRetentionSec=1month\n"),
        Example("journald.conf.d/a.conf", "[Journal]\nSystemMaxUsed=1G\n", "journald", 2),
        Example("journald.conf.d/a.conf", "[Journal]\nMaxRetentionSec=1moon\n", "journald", 2),
        Example("journald.conf.d/a.conf", "[Journal]\nStorage=persistant\n", "journald", 2),
        Example("journald.conf.d/a.conf", "[Journald]\nStorage=persistent\n", "journald", 1),
        Example("journald.conf.d/a.conf", "[Journal]\n", "empty", 0),
    ],
    "nftables": [
        Example("nftables.conf", TABLE),
        Example("a.nft", TABLE.replace("flush ruleset\n", "#!/usr/sbin/nft -f\n")),
        Example("nftables.conf", TABLE.replace("https", "htps"), "nftables", 7),
        Example("nftables.conf", TABLE.replace("policy", "polcy"), "nftables", 5),
        Example("nftables.conf", TABLE.replace("related accept", "related jump more"), "nftables", 6),
        Example("nftables.conf", TABLE.replace("type filter hook input priority filter; policy drop;", ""), "empty", 0),
        Example("nftables.conf", "# why\n", "empty", 0),
    ],
    "iptables": [
        Example("a.rules", RULES),
        Example("a.rules", RULES.replace("ctorig", "ctor1g"), "iptables", 3),
        Example("a.rules", RULES.replace("DROP", "DRPO"), "ip6tables", 5),
        Example("a.rules", RULES.replace("-A MORE -j", "-A MROE -j"), "iptables", 4),
        Example("a.rules", RULES.replace("COMMIT\n", ""), "iptables", 5),
        Example("a.rules", RULES.replace("-p tcp", "-p tcp -s 192.0.2.1"), "ip6tables", 3),
        Example("a.rules", "*filter\nCOMMIT\n", "empty", 0),
    ],
    "systemd": [
        Example("a.service", UNIT),
        Example("a.service", UNIT.replace("Before", "Befor"), "unit", 3),
        Example("a.service", UNIT.replace("bin/true", "bin/tru"), "unit", 0),
        Example("a.service", UNIT.replace("ExecStart=/usr/bin/true\n", ""), "unit", 0),
        Example("a.service", UNIT.replace("oneshot", "oneshoot"), "unit", 6),
        Example("a.service", UNIT.replace("docker.service", "dokcer.service"), "unknown-unit", 3),
        Example("a.service", UNIT.replace("[Service]", "[Service]\nUser=made"), "unknown-user", 6),
        Example("units/a-b@.service", UNITS["units/a-b@.service"], beside=UNITS),
        Example("database-here.conf", CHOICES["database-here.conf"], beside=CHOICES),
        unit("units/a-b@.service", "LoadCredential=two", "LoadCredental=two", "unit", 11),
        # What is only wrong of the instances that other files name.
        unit("units/a-b@.service", "venv/bin/gunicorn", "venv/%i/../../gunicorn\\x", "unit", 12),
        unit("units/a-b@next.service.d/next.conf", "ExecStart=\n", "ExecSart=\n", "unit", 2),
        unit("units/a-.service.d/hardening.conf", "PrivateTmp=yes", "PrivateTmp=perhaps", "unit", 5),
        unit("units/a-c.service", "/usr/bin/restic", "/usr/bin/restic2", "unit", 0),
        unit("units/a-c.timer", "OnCalendar=daily", "OnCalendar=dayly", "unit", 2),
        unit("units/a-c.timer", "daily", "daily\nUnit=a-d.service", "unknown-unit", 3),
        # systemd says nothing of these.
        unit("units/a-b@.service", "redis-server@cache", "redis-sever@cache", "unknown-unit", 3),
        unit("units/a-b@.service", "a-failed@%n", "a-faild@%n", "unknown-unit", 6),
        unit("units/a-b@.service", "WantedBy=a.target", "WantedBy=b.target", "unknown-unit", 15),
        unit("units/a-b@.service", "User=made", "User=maid", "unknown-user", 9),
        unit("units/a.target", "a-b@2", "b-b@2", "unknown-unit", 3),
        unit("database-here.conf", "After=postgresql", "After=postgres", "unknown-unit", 2),
        # Two choices stand in the same place in turn.
        unit("database-elsewhere.conf", "LoadCredential", "LoadCredentail", "unit", 2),
        Example("units/a-d@next.service.d/a.conf", "[Service]\nNice=1\n", "unread", 0, beside=UNITS),
        # Drop-ins for units of packages.
        Example("units/nginx.service.d/a.conf", "[Unit]\nWants=a-c.timer\n", beside=UNITS),
        Example("units/nginx.service.d/a.conf", "[Service]\nNicer=1\n", "unit", 2, beside=UNITS),
        Example("units/redis-server@.service.d/a.conf", "[Service]\nNice=x\n", "unit", 2, beside=UNITS),
    ],
    "systemd_security": [
        Example("units/a-b@.service", UNITS["units/a-b@.service"], beside=CHOICES),
        Example("units/a-c.service", UNITS["units/a-c.service"], beside=UNITS),
        *(
            # Of one instance, of all, and of a oneshot.
            Example(f"units/{name}", UNITS[f"units/{name}"], "exposure", 0, beside=UNITS | {f"units/{more}": text})
            for name, more, text in [
                ("a-b@.service", "a-b@next.service.d/hardening.conf", "[Service]\nUMask=0077\n"),
                ("a-b@.service", "a-.service.d/more.conf", "[Service]\nPrivateDevices=no\nCapabilityBoundingSet=~\n"),
                ("a-c.service", "a-c.service.d/more.conf", "[Service]\nPrivateUsers=no\nPrivateTmp=no\n"),
            ]
        ),
        unit("units/a-c.service", "ExecStart=", "ExecSart=", "unread", 0),
    ],
}


@pytest.mark.parametrize(("check", "number"), numbered(EXAMPLES))
def test_example(check: str, number: int, examples: dict[str, Verdicts]) -> None:
    judge_example(EXAMPLES[check][number], number, examples[check].get(check))


@pytest.mark.parametrize("check", EXAMPLES)
def test_a_docker_that_says_nothing_and_ends_with_0(
    check: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure, find = images.ensure, tools.find

    def really(references: Iterable[str]) -> dict[str, images.Image]:
        with monkeypatch.context() as aside:
            aside.setattr(tools, "find", find)
            return ensure(references)

    monkeypatch.setattr(images, "ensure", really)
    believes_no_silence(check, EXAMPLES[check], tmp_path, monkeypatch)


def test_no_file_is_called_unread_while_the_main_one_does_not_load(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    main = Example("nginx.conf", NGINX.format("include parts/a.conf; listn 80;"), beside=NGINX_STACK)
    (path,) = write(tmp_path, [main])
    folder = path.removesuffix("/nginx.conf")
    for name in ("parts/a.conf", "other.conf"):
        (tmp_path / folder / name).parent.mkdir(exist_ok=True)
        (tmp_path / folder / name).write_text("server_tokens off;\n", encoding="utf-8")
    found = load("nginx_t").run(tmp_path, [path, f"{folder}/parts/a.conf", f"{folder}/other.conf"])
    assert {finding.path: finding.rule for finding in found} == {
        path: "emerg",
        f"{folder}/parts/a.conf": "unjudged",
        f"{folder}/other.conf": "unread",
    }
    assert f"{path} does not load; see {path}:14" in "".join(map(str, found))


def test_every_check_has_a_good_and_a_bad_example() -> None:
    assert lacking(EXAMPLES, "docker") == []


def test_nothing_is_left_behind(examples: dict[str, Verdicts]) -> None:
    for found in examples.values():
        found.wait()
    for kind in (["ps", "--all"], ["images"], ["network", "ls"], ["volume", "ls"]):
        listed = subprocess.run(["docker", *kind], capture_output=True, text=True, check=True).stdout
        assert PREFIX not in listed
