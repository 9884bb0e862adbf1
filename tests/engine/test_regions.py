"""An address means exactly the lines that a reader of the file would point at."""

from __future__ import annotations

from textwrap import dedent

import pytest

from handbook import regions
from handbook.regions import NoSuchRegion, Region, headed

COMPOSE = """\
# yaml-language-server: $schema=compose.json
name: assistant

x-logging: &logging
  driver: local
  options: {max-size: 10m, max-file: "3"}

services:
  # Only this one publishes a port.
  nginx:
    image: nginx:1.30.6
    ports:
      - "80:80"
      # HTTP/3 comes later.
      - target: 443
        published: "443"
        name: https
    logging: *logging  # shared

  service:
    <<: *logging
    command: |
      exec gunicorn \\
        -c gunicorn.conf.py

      # still the script

    healthcheck:
      test: ["CMD", "python", "-m",
             "assistant.healthcheck"]
      interval: 5s
    # about nothing

# The state.
volumes:
  data:
"""

WORKFLOW = """\
on:
  push: {branches: [main]}
jobs:
  test:
    steps:
      - uses: actions/checkout@v5
      -
        name: Run the tests
        id: tests
      - name: Publish
        run: publish a
      - name: Publish
        run: publish b
      - - nested
"""

MANIFESTS = """\
# The server.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: assistant
spec:
  replicas: 2
---
apiVersion: v1
kind: Service
metadata: {name: assistant}
spec:
  ports: [{port: 80}]
---
- a plain list
"""

POD = """\
---
apiVersion: v1
kind: Pod
metadata: {name: api}
spec:
  containers:
    - name: api
      image: api:1
"""

JSON = '{\n\t"services": {\n\t\t"api": {\n\t\t\t"port": 8000\n\t\t},\n\t\t"list": [1, 2]\n\t}\n}\n'

NGINX = """\
worker_processes auto;

http {
    log_format json escape=json
        '{"time":"$time_iso8601",'
        '"path":"$uri"}';  # one line each

    # Refuses unknown hosts.
    server {
        listen 80 default_server;
        listen [::]:80 default_server;
        server_name _;
        return 444;
    }

    server {
        listen 443 ssl;
        server_name api.example.com www.example.com;

        location = /health/live { access_log off; }
        location ~ ^/v1/(answers|search)$ {
            # Clients do not choose it.
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header Host $host;
            proxy_pass http://service:8000;
        }
        location / {
            return 404 "no } here; # nor a comment\\n";
            add_header X "}";
            add_header Y "# no comment";
        }
    }
    server { listen 127.0.0.1:8443 ssl; server_name api.example.com; }
}
"""

UNIT = """\
# /etc/systemd/system/assistant.service
[Unit]
Description=assistant
After=network-online.target

# The process.
[Service]
Environment=A=1
Environment=B=2
# Runs before it.
ExecStart=/opt/assistant/bin/gunicorn \\
    --config gunicorn.conf.py \\
# skipped by systemd
    assistant.app:app
Restart=on-failure

; the end
[Install]
WantedBy=multi-user.target
[Install]
WantedBy=default.target
"""

DROP_IN = """\
[Service]
# Its own.
LoadCredential=one:/etc/assistant/one
LoadCredential=two:/etc/assistant/two
ExecStart=
ExecStart=/opt/assistant/next/bin/gunicorn assistant.app:app
"""

TOML = """\
title = "x"

[project]
name = "assistant"
dependencies = [
    "fastapi",  # not [a section]
]
description = \"\"\"
[not.a.section]
\"\"\"

[tool.ruff.lint]
select = ["E"]

[[tool.uv.index]]
name = "a"
[[tool.uv.index]]
name = "b"
"""

INI = """\
[alembic]
  script_location = migrations
  keys = one
     two

[loggers]
keys: root
"""

DOCKERFILE = """\
# syntax=docker/dockerfile:1
ARG PYTHON=3.13

# Builds.
FROM python:${PYTHON}-slim AS builder
# Two
# lines.
RUN apt-get update && \\
    # inner
    apt-get install -y gcc
COPY <<EOF /etc/motd
FROM here
EOF

FROM builder
COPY a a
COPY b b

FROM python:${PYTHON}-slim AS runtime
HEALTHCHECK --interval=5s CMD ["python", "-m", "assistant.healthcheck"]
"""

PYTHON = '''\
"""The settings."""

import os

# Seconds.
TIMEOUT: float = 20
A = B = "x\\u2028y"


@dataclass(
    frozen=True,
)
class Settings:
    """All of them."""

    pool: int = Field(5)

    # Built, not read.
    @property
    def url(self) -> str:
        local = 1
        return f"{local}"

    @url.setter
    def url(self, value): ...


async def lifespan(app):
    def inner():
        return 1

    yield


if os.name == "posix":
    LIMIT = -1
else:
    LIMIT = 2

try:
    import uvloop
except ImportError:
    loop = None
'''

SCRIPT = """\
#!/usr/bin/env bash
# What this file is for.
set -euo pipefail

# Make the secrets
# They are made once.
./init.sh

# shellcheck disable=SC2016
echo '$HOME'

# Start it.


docker compose up -d --wait
# wait for it
for host in a b; do

    # not a heading
    curl "https://$host/"
done

cat > note <<'END'

# Not a heading
END

# Nothing below

# Start it.
echo $((1 <<bits))

# Last
true


"""

SQL = "-- Roles\nCREATE ROLE assistant;\n\n-- Extensions (pgvector)\nCREATE EXTENSION vector;  -- 0.8\n"

ENV = """\
# Where the database is
# Names of the Compose network.
DATABASE_HOST=database
DATABASE_PORT=5432

# Logs
# json or text
LOG_FORMAT=json
# empty on purpose
LOG_LEVEL=
"""

MERGED = """\
x-common: &common
  # Why.
  logging: &log
    driver: local
  restart: always
x-more: &more {user: "1"}
services:
  worker:
    <<: [*common, *more]
    restart: "no"
  beat:
    <<: *common
    logging: *log
    "<<": text
"""
OPTIONS = """\
# What fits
# Why.
maxmemory 96mb
save ""

appendonly yes
"""

CASES = [
    # A comment above a key is the key's; the key of the next comment ends where its value ends.
    ("yaml", COMPOSE, "services.nginx", 9, 18),
    ("yaml", COMPOSE, "name", 1, 2),
    ("yaml", COMPOSE, "services.nginx.ports", 12, 17),
    ("yaml", COMPOSE, "services.nginx.ports.0", 13, 13),
    ("yaml", COMPOSE, "services.nginx.ports.1", 14, 17),
    ("yaml", COMPOSE, "services.nginx.ports.https.published", 16, 16),
    # An alias stands where it is written, not where its anchor is.
    ("yaml", COMPOSE, "services.nginx.logging", 18, 18),
    ("yaml", COMPOSE, "services.service.<<", 21, 21),
    ("yaml", COMPOSE, "x-logging", 4, 6),
    ("yaml", COMPOSE, "x-logging.options.max-file", 6, 6),
    ("yaml", COMPOSE, "services.service.command", 22, 26),
    ("yaml", COMPOSE, "services.service.healthcheck", 28, 31),
    ("yaml", COMPOSE, "services.service.healthcheck.test", 29, 30),
    ("yaml", COMPOSE, "services.service.healthcheck.test.3", 30, 30),
    ("yaml", COMPOSE, "services.service", 20, 31),
    ("yaml", COMPOSE, "volumes", 34, 36),
    ("yaml", COMPOSE, "volumes.data", 36, 36),
    ("yaml", WORKFLOW, "on", 1, 2),
    ("yaml", WORKFLOW, "jobs.test.steps.1", 7, 9),
    ("yaml", WORKFLOW, "jobs.test.steps.Run the tests", 7, 9),
    ("yaml", WORKFLOW, "jobs.test.steps.tests.id", 9, 9),
    ("yaml", WORKFLOW, "jobs.test.steps.3", 12, 13),
    ("yaml", WORKFLOW, "jobs.test.steps.4.0", 14, 14),
    ("yaml", MANIFESTS, "0", 1, 7),
    ("yaml", MANIFESTS, "Deployment/assistant.spec.replicas", 7, 7),
    ("yaml", MANIFESTS, "Service/assistant", 9, 13),
    ("yaml", MANIFESTS, "2.0", 15, 15),
    ("yaml", POD, "Pod/api", 2, 8),
    ("yaml", POD, "Pod/api.spec.containers.api.image", 8, 8),
    ("yaml", POD, "spec.containers.api.image", 8, 8),
    ("yaml", "text: >-\n  a\n  b", "text", 1, 3),
    ("yaml", "text: |+\n  a\n\nnext: 1\n", "text", 1, 2),
    ("yaml", "a:\n- b\n# c\n- d\n", "a", 1, 4),
    ("yaml", "? [a]\n: 1\nb: 2\n", "b", 3, 3),
    ("yaml", JSON, "services.api", 3, 5),
    ("yaml", JSON, "services.list", 6, 6),
    ("nginx", NGINX, "worker_processes", 1, 1),
    ("nginx", NGINX, "http.log_format", 4, 6),
    ("nginx", NGINX, "http.server[0]", 8, 14),
    ("nginx", NGINX, "http.server _", 8, 14),
    ("nginx", NGINX, "http.server[0].listen[1]", 11, 11),
    ("nginx", NGINX, "http.server www.example.com", 16, 32),
    ("nginx", NGINX, "http.server api.example.com:443", 16, 32),
    ("nginx", NGINX, "http.server api.example.com:8443", 33, 33),
    ("nginx", NGINX, "http.server[1].location = /health/live", 20, 20),
    ("nginx", NGINX, "http.server[1].location ~ ^/v1/(answers|search)$.proxy_set_header X-Forwarded-For", 22, 23),
    ("nginx", NGINX, "http.server[1].location /", 27, 31),
    ("nginx", NGINX, "http.server[1].location /.return", 28, 28),
    ("nginx", "events {}", "events", 1, 1),
    ("nginx", "a 1;\n# last", "a", 1, 1),
    ("ini", UNIT, "Unit", 1, 4),
    ("ini", UNIT, "Service", 6, 15),
    ("ini", UNIT, "Service.Environment[1]", 9, 9),
    ("ini", UNIT, "Service.ExecStart", 10, 14),
    ("ini", UNIT, "Install[0]", 17, 19),
    ("ini", UNIT, "Install[1].WantedBy", 21, 21),
    ("ini", DROP_IN, "Service.LoadCredential[0]", 2, 3),
    ("ini", DROP_IN, "Service.LoadCredential[1]", 4, 4),
    # The empty one takes back what the unit says.
    ("ini", DROP_IN, "Service.ExecStart[0]", 5, 5),
    ("ini", DROP_IN, "Service.ExecStart[1]", 6, 6),
    ("ini", TOML, "title", 1, 1),
    ("ini", TOML, "project", 3, 10),
    ("ini", TOML, "project.dependencies", 5, 7),
    ("ini", TOML, "project.description", 8, 10),
    ("ini", TOML, "tool.ruff.lint.select", 13, 13),
    ("ini", TOML, "tool.uv.index[1]", 17, 18),
    ("ini", INI, "alembic.keys", 3, 4),
    ("ini", INI, "loggers.keys", 7, 7),
    ("dockerfile", DOCKERFILE, "ARG", 2, 2),
    ("dockerfile", DOCKERFILE, "builder", 4, 13),
    ("dockerfile", DOCKERFILE, "0.RUN", 6, 10),
    ("dockerfile", DOCKERFILE, "builder.COPY", 11, 13),
    ("dockerfile", DOCKERFILE, "1.COPY[1]", 17, 17),
    ("dockerfile", DOCKERFILE, "runtime", 19, 20),
    ("dockerfile", DOCKERFILE, "runtime.HEALTHCHECK", 20, 20),
    ("python", PYTHON, "TIMEOUT", 5, 6),
    ("python", PYTHON, "B", 7, 7),
    ("python", PYTHON, "Settings", 10, 25),
    ("python", PYTHON, "Settings.pool", 16, 16),
    ("python", PYTHON, "Settings.url[0]", 18, 22),
    ("python", PYTHON, "Settings.url[1]", 24, 25),
    ("python", PYTHON, "lifespan", 28, 32),
    ("python", PYTHON, "lifespan.inner", 29, 30),
    ("python", PYTHON, "LIMIT[1]", 38, 38),
    ("python", PYTHON, "loop", 43, 43),
    ("headed", SCRIPT, "make-the-secrets", 6, 10),
    ("headed", SCRIPT, "start-it[0]", 15, 26),
    ("headed", SCRIPT, "start-it[1]", 31, 31),
    ("headed", SCRIPT, "last", 34, 34),
    ("headed", SQL, "roles", 2, 2),
    ("headed", SQL, "extensions-pgvector", 5, 5),
    ("yaml", MERGED, "services.worker", 8, 10),
    ("yaml", MERGED, "services.worker.logging", 2, 4),
    ("yaml", MERGED, "services.worker.logging.driver", 4, 4),
    ("yaml", MERGED, "services.worker.restart", 10, 10),
    ("yaml", MERGED, "services.worker.user", 6, 6),
    ("yaml", MERGED, "services.beat.logging", 13, 13),
    ("yaml", MERGED, "services.beat.logging.driver", 4, 4),
    ("yaml", MERGED, "services.beat.restart", 5, 5),
    ("options", OPTIONS, "what-fits", 2, 6),
    ("options", OPTIONS, "maxmemory", 2, 3),
    ("options", OPTIONS, "save", 4, 4),
    ("options", OPTIONS, "appendonly", 6, 6),
    ("env", ENV, "where-the-database-is", 2, 4),
    ("env", ENV, "DATABASE_HOST", 2, 3),
    ("env", ENV, "LOG_FORMAT", 7, 8),
    ("env", ENV, "LOG_LEVEL", 9, 10),
]


@pytest.mark.parametrize(("family", "text", "address", "first", "last"), CASES)
def test_region(family: str, text: str, address: str, first: int, last: int) -> None:
    assert regions.find(family, text, address) == Region(first, last)


@pytest.mark.parametrize(
    ("family", "text", "address"),
    [
        ("yaml", WORKFLOW, "jobs.test.steps.Publish"),
        ("yaml", WORKFLOW, "True"),
        ("yaml", COMPOSE, "services.service.gone"),
        ("nginx", NGINX, "http.server"),
        ("nginx", NGINX, "http.server api.example.com"),
        ("nginx", NGINX, "http.server[0].listen"),
        ("ini", UNIT, "Install"),
        ("ini", UNIT, "Service.Environment"),
        ("ini", TOML, "not.a.section"),
        ("dockerfile", DOCKERFILE, "1.COPY"),
        ("dockerfile", DOCKERFILE, "here"),
        ("python", PYTHON, "Settings.url[0].local"),
        ("headed", SCRIPT, "what-this-file-is-for"),
        ("headed", SCRIPT, "they-are-made-once"),
        ("headed", SCRIPT, "not-a-heading"),
        ("headed", SCRIPT, "nothing-below"),
        ("headed", SCRIPT, "wait-for-it"),
        ("headed", SCRIPT, "shellcheck-disable-sc2016"),
    ],
)
def test_no_region(family: str, text: str, address: str) -> None:
    with pytest.raises(NoSuchRegion):
        regions.find(family, text, address)


@pytest.mark.parametrize(("family", "text"), sorted({(family, text) for family, text, *_ in CASES}))
def test_regions_are_lines_of_the_text(family: str, text: str) -> None:
    last = text.count("\n") + (not text.endswith("\n"))
    found = regions.of(family, text)
    assert found
    for address, region in found.items():
        assert 1 <= region.first <= region.last <= last, address
        shown = regions.cut(text, region)
        assert shown in text
        assert shown.split("\n")[0].strip()
        assert shown.rstrip("\n").split("\n")[-1].strip()


def test_addresses_are_in_the_order_of_the_file() -> None:
    firsts = [region.first for address, region in regions.of("yaml", COMPOSE).items() if "." not in address]
    assert firsts == sorted(firsts)


def test_the_message_lists_what_stands_beside_the_wrong_part() -> None:
    with pytest.raises(NoSuchRegion) as caught:
        regions.find("yaml", COMPOSE, "services.servce.image")
    assert str(caught.value).endswith("services has: services.nginx, services.service")


def test_the_message_begins_with_what_was_meant() -> None:
    headings = ["Start it", *(f"Step {number} of many" for number in range(40)), "See what the health checks say"]
    text = "\n".join(f"# {heading}\ntrue\n" for heading in headings)
    with pytest.raises(NoSuchRegion) as caught:
        regions.find("headed", text, "see-what-the-checks-say")
    assert str(caught.value).startswith(
        "no region 'see-what-the-checks-say'; did you mean see-what-the-health-checks-say? "
        "the file has: start-it, step-0-of-many, "
    )


def test_the_message_means_each_part_by_one_name() -> None:
    with pytest.raises(NoSuchRegion, match=r"'steps\.build-image'; did you mean steps\.build-images\? steps has: "):
        regions.find("yaml", "steps:\n  - id: build-images\n    name: build-imag\n", "steps.build-image")


def test_the_message_means_nothing_where_nothing_is_like_it() -> None:
    with pytest.raises(NoSuchRegion, match=r"^no region 'elsewhere'; the file has: a$"):
        regions.find("yaml", "a: 1\n", "elsewhere")


def test_the_message_lists_each_block_once_by_its_best_name() -> None:
    with pytest.raises(NoSuchRegion) as caught:
        regions.find("nginx", NGINX, "http.servers")
    assert str(caught.value).endswith(
        "http has: http.log_format, http.server _, http.server www.example.com, http.server api.example.com:8443"
    )


def test_the_message_says_that_a_file_has_no_regions() -> None:
    with pytest.raises(NoSuchRegion, match="the file has: no regions"):
        regions.find("headed", "echo 1\n", "start")


@pytest.mark.parametrize(
    ("family", "text", "line"),
    [
        ("yaml", "a: 1\nb: [1, 2\nc: 3\n", 3),
        ("yaml", "a: 1\n\tb: 2\n", 2),
        ("yaml", "a: 'open\n", 2),
        ("yaml", '{"a": 1,\n "b": }}\n', 2),
        ("nginx", "http {\n  server {\n}\n", 3),
        ("nginx", "a 1;\n}\n", 2),
        ("nginx", "http {\n  listen 80\n}\n", 2),
        ("nginx", "a 1;\nlisten 80\n", 2),
        ("nginx", "a 1;\n;\n", 2),
        ("ini", "[a]\nkey=1\nno key here\n", 3),
        ("env", "A=1\nexport B=2\n", 2),
        ("options", "a 1\n{\n", 2),
        ("dockerfile", "FROM scratch\nRUNN a\nRUN <<EOF\n", 0),
        ("dockerfile", "", 0),
        ("python", "a = 1\ndef f(:\n", 2),
    ],
)
def test_unreadable_text_is_a_syntax_error_with_its_line(family: str, text: str, line: int) -> None:
    with pytest.raises(SyntaxError) as caught:
        regions.of(family, text)
    assert caught.value.lineno == line
    assert caught.value.msg


@pytest.mark.parametrize(
    ("family", "text", "address", "value"),
    [
        ("yaml", COMPOSE, "services.nginx.ports.0", "80:80"),
        ("yaml", "mode: 0644\nversion: 1.10\non: yes\n", "mode", "0644"),
        ("yaml", "mode: 0644\nversion: 1.10\non: yes\n", "version", "1.10"),
        ("yaml", JSON, "services.api.port", "8000"),
        ("nginx", NGINX, "http.server[1].listen", "443 ssl"),
        ("nginx", NGINX, "http.server[1].location /.add_header Y", "Y # no comment"),
        ("ini", UNIT, "Service.Restart", "on-failure"),
        ("ini", UNIT, "Service.ExecStart", "/opt/assistant/bin/gunicorn --config gunicorn.conf.py assistant.app:app"),
        ("ini", TOML, "project.name", "assistant"),
        ("env", ENV, "DATABASE_PORT", "5432"),
        ("yaml", MERGED, "services.worker.restart", "no"),
        ("yaml", MERGED, "services.beat.restart", "always"),
        ("options", OPTIONS, "maxmemory", "96mb"),
        ("options", OPTIONS, "save", '""'),
        ("dockerfile", DOCKERFILE, "ARG", "PYTHON=3.13"),
        ("python", PYTHON, "TIMEOUT", "20"),
        ("python", PYTHON, "LIMIT[0]", "-1"),
    ],
)
def test_value(family: str, text: str, address: str, value: str) -> None:
    assert regions.value(family, text, address) == value


@pytest.mark.parametrize(
    ("family", "text", "address"),
    [
        ("yaml", COMPOSE, "services.nginx"),
        ("ini", TOML, "project.dependencies"),
        ("python", PYTHON, "Settings.pool"),
        ("headed", SQL, "roles"),
        ("env", ENV, "LOG_LEVEL"),
    ],
)
def test_what_is_not_one_value_is_an_error(family: str, text: str, address: str) -> None:
    with pytest.raises(ValueError, match="does not hold one value"):
        regions.value(family, text, address)


def test_only_a_newline_ends_a_line() -> None:
    text = "a = '\x0c\u2028\x85'\n# Why.\nb = 2\n"
    assert regions.cut(text, regions.find("python", text, "b")) == "# Why.\nb = 2\n"


def test_paragraphs_keep_their_titles() -> None:
    titles = [paragraph.title for paragraph in headed.paragraphs(SCRIPT)]
    assert titles == ["Make the secrets", "Start it.", "Start it.", "Last"]


def test_a_comment_belongs_to_what_is_below_it_only_at_its_indentation() -> None:
    text = dedent(
        """\
        a:
          b: 1
          # of nothing
        c: 3
        # of nobody

        # of d
        d: 2
        """
    )
    assert regions.of("yaml", text) == {"a": Region(1, 2), "a.b": Region(2, 2), "c": Region(4, 4), "d": Region(7, 8)}
