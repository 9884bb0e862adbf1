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
POSTGRES_STACK = {"compose.yaml": "services: {db: {image: 'pgvector/pgvector:0.8.6-pg18-trixie'}}\n"}

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
