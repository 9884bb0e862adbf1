"""The readers read what is written in its many ways, keep its line, and say what they can't read."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from handbook.facts import (
    Fact,
    celery,
    code,
    compose,
    dockerfiles,
    env,
    gunicorn,
    measured,
    nginx,
    postgres,
    python,
    quantities,
    redis,
    routes,
    settings,
    shell,
)
from handbook.facts.quantities import Address, Port
from handbook.facts.workload import Workload
from handbook.findings import HandbookError
from tests.mounts import mapped


def write(root: Path, path: str, text: str) -> str:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (quantities.seconds, "40s", 40),
        (quantities.seconds, "1m30s", 90),
        (quantities.seconds, "500ms", 0.5),
        (quantities.seconds, "1.5h", 5400),
        (quantities.seconds, "0", 0),
        (quantities.nginx_seconds, "35", 35),
        (quantities.nginx_seconds, "1h 30m", 5400),
        (quantities.nginx_seconds, "1M", 2592000),
        (quantities.nginx_seconds, "1m", 60),
        (quantities.size_bytes, "512m", 2**29),
        (quantities.size_bytes, "1G", 2**30),
        (quantities.size_bytes, "256MB", 2**28),
        (quantities.size_bytes, "1.5GiB", 3 * 2**29),
        (quantities.size_bytes, "8k", 2**13),
        (quantities.size_bytes, "0", 0),
        (quantities.redis_bytes, "128mb", 2**27),
        (quantities.redis_bytes, "2K", 2000),
        (quantities.redis_bytes, "5", 5),
        (quantities.address, "0.0.0.0:8000", Address("0.0.0.0", 8000)),
        (quantities.address, ":8000", Address("", 8000)),
        (quantities.address, "8443", Address("", 8443)),
        (quantities.address, "*:80", Address("", 80)),
        (quantities.address, "[::1]:80", Address("::1", 80)),
        (quantities.address, "unix:/run/service.sock", Address("", None, "/run/service.sock")),
        (quantities.address, "unix:///run/service.sock", Address("", None, "/run/service.sock")),
        (quantities.address, "unix:/run/service.sock:/uri", Address("", None, "/run/service.sock")),
        (quantities.published, "443", 443),
        (quantities.published, "8000-8010", 8000),
        (quantities.ports, "8000", [Port(None, 8000)]),
        (quantities.ports, "443:8443", [Port(443, 8443)]),
        (quantities.ports, "127.0.0.1:443:8443", [Port(443, 8443, "127.0.0.1")]),
        (quantities.ports, "[::1]:53:53/udp", [Port(53, 53, "::1", "udp")]),
        (quantities.ports, "127.0.0.1::80", [Port(None, 80, "127.0.0.1")]),
        (quantities.ports, "80-81:8080-8081", [Port(80, 8080), Port(81, 8081)]),
    ],
)
def test_quantities(read: Any, text: str, value: object) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (quantities.seconds, "40"),
        (quantities.seconds, "1d"),
        (quantities.seconds, ""),
        (quantities.seconds, "soon"),
        (quantities.nginx_seconds, "1x"),
        (quantities.size_bytes, "12q"),
        (quantities.size_bytes, "big"),
        (quantities.redis_bytes, "1.5mb"),
        (quantities.url, "cache:6379"),
        (quantities.whole, "1.5"),
        (quantities.number, "five"),
        (quantities.address, "service"),
        (quantities.address, "service:99999"),
        (quantities.address, "a:b:c"),
        (quantities.address, "unix:"),
        (quantities.published, "8010-8000"),
        (quantities.published, "http"),
        (quantities.ports, "80-82:8080-8081"),
        (quantities.ports, "81-80:81-80"),
        (quantities.ports, "http"),
        (quantities.ports, "70000"),
    ],
)
def test_quantities_that_are_none(read: Any, text: str) -> None:
    with pytest.raises(ValueError, match=r"(?s).+"):
        read(text)


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [("127.0.0.1", True), ("127.0.0.11", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("", False)],
)
def test_loopback(host: str, is_loopback: bool) -> None:
    assert Address(host, 80).is_loopback is is_loopback


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (Address("service", 8000), "service:8000"),
        (Address("::1", 80), "[::1]:80"),
        (Address("", 8000), "port 8000"),
        (Address("", None, "/run/a.sock"), "unix:/run/a.sock"),
    ],
)
def test_an_address_reads_well(address: Address, text: str) -> None:
    assert str(address) == text


def test_a_fact_that_cannot_be_read_names_its_place() -> None:
    with pytest.raises(HandbookError, match=r"^a\.env:3: 'x' is not a whole number$"):
        Fact("x", "a.env", 3).read(quantities.whole)


class TestEnv:
    def test_reads(self, tmp_path: Path) -> None:
        path = write(tmp_path, "a.env", "# note\n\nNAME=value\nQUOTED='a b'\nEMPTY=\nURL=a=b#c\n")
        found = env.read(tmp_path, path)
        assert {name: fact.value for name, fact in found.items()} == {
            "NAME": "value",
            "QUOTED": "a b",
            "EMPTY": "",
            "URL": "a=b#c",
        }
        assert found["QUOTED"].line == 4

    @pytest.mark.parametrize(
        ("text", "message"),
        [("A=1\nexport B=2\n", "a.env:2: 'export B=2' is not"), ("A\n", "a.env:1: "), ("A=1\nA=2\n", "line 1 already")],
    )
    def test_refuses(self, text: str, message: str, tmp_path: Path) -> None:
        with pytest.raises(HandbookError, match=message):
            env.read(tmp_path, write(tmp_path, "a.env", text))

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(HandbookError, match=r"gone\.env:0: the file can't be read"):
            env.read(tmp_path, "gone.env")


class TestCompose:
    def test_reads(self, tmp_path: Path) -> None:
        path = write(
            tmp_path,
            "snippets/stack/compose.yaml",
            """
            x-common: &common
              stop_grace_period: 1m
              networks: [front]
            services:
              api:
                <<: *common
                image: ${IMAGE:-api:1}
                build:
                  context: ../code
                command: serve --port 1
                env_file:
                  - path: api.env
                environment:
                  - B=2
                  - C=$$x
                ports:
                  - target: 1
                    published: "2"
                    host_ip: 127.0.0.1
                volumes:
                  - ./conf:/etc/api:ro
                  - data:/data
                  - /var/run:/var/run
                secrets:
                  - source: key
                    target: api.key
                configs:
                  - source: extra
                    target: /etc/extra
                healthcheck:
                  test: curl http://localhost:1/ok || exit 1
            networks:
              front: {internal: true}
            volumes: {data: {}}
            secrets: {key: {file: ./key}}
            configs: {extra: {file: extra.conf}}
            """,
        )
        write(tmp_path, "snippets/stack/api.env", "A=1\nB=1\n")
        stack = compose.read(tmp_path, path)
        api = stack.workloads["api"]
        assert api.name == Fact("api", path, 5)
        assert api.image == Fact("api:1", path, 7)
        assert api.build == Fact("snippets/code", path, 9)
        assert [word.value for word in api.command] == ["serve", "--port", "1"]
        assert {name: (f.value, f.path, f.line) for name, f in api.environment.items()} == {
            "A": ("1", "snippets/stack/api.env", 1),
            "B": ("2", path, 14),
            "C": ("$x", path, 15),
        }
        assert api.ports == [Fact(Port(2, 1, "127.0.0.1"), path, 17)]
        assert {(m.value.source, m.value.target) for m in api.mounts} == {
            ("snippets/stack/conf", "/etc/api"),
            ("snippets/stack/extra.conf", "/etc/extra"),
        }
        assert api.in_repository("/etc/api/a/b.conf") == "snippets/stack/conf/a/b.conf"
        assert api.in_repository("/etc/apis") is None
        assert api.volumes == {"/data": Fact("data", path, 22)}
        assert api.runs_once
        assert api.secrets == {"/run/secrets/api.key": Fact("snippets/stack/key", path, 25)}
        assert api.stop_grace_seconds == Fact(60, path, 2)
        assert api.networks["front"].value is True
        assert api.replicas
        assert api.replicas.value == 1
        assert api.health
        assert [request.value.path for request in api.health.requests] == ["/ok"]
        assert api.health.timeout_seconds.value == 30
        files = ["snippets/stack/a", "snippets/code/Dockerfile", "snippets/codes", "snippets/other"]
        assert compose.closure(stack, files) == {"snippets/stack/a", "snippets/code/Dockerfile"}

    def test_reads_who_reaches_whom(self, tmp_path: Path) -> None:
        path = write(
            tmp_path,
            "compose.yaml",
            """
            services:
              a: {container_name: first, networks: {front: {aliases: [one, two]}, default: }}
              b: {networks: [front]}
              c: {networks: []}
              d: {networks: [default]}
            networks: {front: {internal: true}}
            """,
        )
        a, b, c, d = compose.read(tmp_path, path).workloads.values()
        assert a.reachable_as == {"a", "first", "one", "two"}
        assert b.reachable_as == {"b"}
        assert {name: internal.value for name, internal in a.networks.items()} == {"front": True, "default": False}
        assert list(c.networks) == list(d.networks) == ["default"]
        assert a.meets(b)
        assert a.meets(c)
        assert c.meets(d)
        assert not b.meets(c)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("services:\n  a: [\n", "c.yaml:3: not YAML"),
            ("", "c.yaml:1: the file is empty"),
            ("services:\n  a: b\n", "c.yaml:2: a mapping is expected"),
            ("services:\n  a:\n    image: ${IMAGE}\n", r"c.yaml:3: .*\$\{IMAGE\}, which has no default"),
            ("services:\n  a:\n    image: ${IMAGE:?set it}\n", "c.yaml:3: "),
            ("services:\n  a:\n    image: a:${A:-${B:-1}}\n", "c.yaml:3: .* in the default of another is not read"),
            ("services:\n  a:\n    stop_grace_period: 40\n", "c.yaml:3: '40' is not a duration"),
            ("services:\n  a:\n    ports: [http]\n", "c.yaml:3: 'http' is not a port"),
            ("services:\n  a:\n    ports: 80\n", "c.yaml:3: a list is expected"),
            ("services:\n  a:\n    extends: b\n", "c.yaml:3: `extends` is not read"),
            ("include: [b.yaml]\n", "c.yaml:1: `include` is not read"),
            ("services:\n  a:\n    build: ../../b\n", "c.yaml:3: ../../b leads out"),
        ],
    )
    def test_refuses(self, text: str, message: str, tmp_path: Path) -> None:
        with pytest.raises(HandbookError, match=message):
            compose.read(tmp_path, write(tmp_path, "c.yaml", text))


MAPS = {"/etc/nginx/nginx.conf": "conf/nginx.conf", "/etc/nginx/shared": "shared"}


class TestNginx:
    def read(self, root: Path, text: str, **shared: str) -> nginx.Nginx:
        write(root, "conf/nginx.conf", text)
        files = [write(root, f"shared/{name}.conf", content) for name, content in shared.items()]
        return nginx.read(root, "conf/nginx.conf", "/etc/nginx/nginx.conf", mapped(MAPS), files)

    def test_follows_includes_and_inherits(self, tmp_path: Path) -> None:
        found = self.read(
            tmp_path,
            """
            http {
                include mime.types;
                include shared/t*.conf;
                proxy_set_header Host $host;
                upstream pool { server a; server unix:/run/a.sock; }
                server {
                    server_name one two;
                    location / { proxy_pass http://pool/x; }
                    location = /slow { proxy_read_timeout 1m 30s; proxy_set_header A b; proxy_pass http://b:81; }
                    location = /near { proxy_pass http://unix:/run/b.sock:/uri; }
                }
            }
            """,
            timeouts="# first\nproxy_read_timeout 7;\n",
        )
        root, slow, near = found.servers[0].locations
        assert root.timeouts["proxy_read_timeout"] == Fact(7, "shared/timeouts.conf", 2)
        assert root.timeouts["proxy_connect_timeout"] == Fact(60, "conf/nginx.conf", 8)
        assert slow.timeouts["proxy_read_timeout"] == Fact(90, "conf/nginx.conf", 9)
        assert set(root.request_headers) == {"host"}
        assert set(slow.request_headers) == {"a"}
        assert [target.value for target in found.targets(root)] == [
            Address("a", 80),
            Address("", None, "/run/a.sock"),
        ]
        assert [target.value for target in found.targets(near)] == [Address("", None, "/run/b.sock")]
        assert [target.value for target in found.targets(slow)] == [Address("b", 81)]
        assert [name.value for name in found.servers[0].names] == ["one", "two"]
        assert found.servers[0].listens[0].value == Address("", 80)

    def test_knows_what_holds_in_a_location(self, tmp_path: Path) -> None:
        found = self.read(
            tmp_path,
            """
            http {
                gzip on;
                gzip_types application/json;
                limit_req zone=a;
                limit_req_status 429;
                client_max_body_size 2m;
                server {
                    limit_conn b 1;
                    location / { proxy_pass http://a; }
                    location /x {
                        limit_req zone=c;
                        proxy_buffering off;
                        client_max_body_size 0;
                        gzip_types *;
                        proxy_pass http://a;
                    }
                }
            }
            """,
        )
        root, inner = found.servers[0].locations
        assert root.body_bytes == Fact(2**21, "conf/nginx.conf", 6)
        assert inner.body_bytes == Fact(0, "conf/nginx.conf", 13)
        assert root.is_buffered == Fact(True, "conf/nginx.conf", 9)
        assert inner.is_buffered == Fact(False, "conf/nginx.conf", 12)
        assert root.compresses("application/json") == Fact(True, "conf/nginx.conf", 3)
        assert root.compresses("text/html").value
        assert not root.compresses("text/event-stream").value
        assert inner.compresses("text/event-stream").value
        assert {name: fact.line for name, fact in root.limits.items()} == {"limit_req": 4, "limit_conn": 8}
        assert {name: fact.line for name, fact in inner.limits.items()} == {"limit_req": 11, "limit_conn": 8}
        assert inner.holding("limit_req_status").value == ("429",)
        assert inner.holding("limit_conn_status") == Fact(("503",), "conf/nginx.conf", 10)

    def test_picks_locations_as_nginx_does(self, tmp_path: Path) -> None:
        found = self.read(
            tmp_path,
            r"""
            http { server {
                location / { return 200; }
                location /health { return 404; }
                location = /health/live { return 204; }
                location ~ \.php$ { return 403; }
                location ^~ /static/ { return 206; }
                location @later { return 503; }
            } }
            """,
        )
        answers = {
            "/": 200,
            "/healthy": 404,
            "/health/live": 204,
            "/health/live/": 404,
            "/health/a.php": 403,
            "/static/a.php": 206,
        }
        for path, answer in answers.items():
            location = found.servers[0].location(path)
            assert location is not None
            assert location.answer is not None
            assert location.answer.value == answer, path

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("http {\n  server {\n}\n", "conf/nginx.conf:"),
            ("http {\n  include shared/gone.conf;\n}\n", "conf/nginx.conf:2: nothing of the repository stands at"),
            ("http {\n  include /opt/a.conf;\n}\n", "conf/nginx.conf:2: nothing of the repository stands at /opt/a"),
            ("include nginx.conf;\n", "conf/nginx.conf:1: the file includes itself"),
            ("http { server {\n location / { proxy_pass $where; } } }\n", "conf/nginx.conf:2: .* at run time"),
            ("http { upstream a {\n keepalive_timeout soon; } }\n", "conf/nginx.conf:2: 'soon' is not a duration"),
            ("http { server {\n listen a:b; } }\n", "conf/nginx.conf:2: 'a:b' is not an address"),
        ],
    )
    def test_refuses(self, text: str, message: str, tmp_path: Path) -> None:
        with pytest.raises(HandbookError, match=message):
            self.read(tmp_path, text)


class TestDockerfile:
    def test_reads_the_last_stage(self, tmp_path: Path) -> None:
        path = write(
            tmp_path,
            "Dockerfile",
            """
            ARG VERSION=3.13
            FROM python:${VERSION}-slim AS base
            ENV A=1 \\
                # in between
                B="two words"
            EXPOSE 8000/tcp
            FROM scratch AS none
            FROM base
            ENV C 3
            USER 10001
            HEALTHCHECK --timeout=1m CMD curl http://127.0.0.1:8000/ready || exit 1
            """,
        )
        found = dockerfiles.read(tmp_path, path)
        assert found.bases == [Fact("python:3.13-slim", path, 2)]
        assert {name: (f.value, f.line) for name, f in found.environment.items()} == {
            "A": ("1", 3),
            "B": ("two words", 5),
            "C": ("3", 9),
        }
        assert found.exposed == [Fact(8000, path, 6)]
        assert found.user == Fact("10001", path, 10)
        assert found.health
        assert found.health.timeout_seconds == Fact(60, path, 11)
        assert [request.value.path for request in found.health.requests] == ["/ready"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "Dockerfile:0: "),
            ("FROM\n", "Dockerfile:1: FROM names no image"),
            ("FROM a:$TAG\n", "Dockerfile:1: 'a:\\$TAG' needs ARG TAG"),
            ("FROM a\nEXPOSE http\n", "Dockerfile:2: 'http' is not a whole number"),
        ],
    )
    def test_refuses(self, text: str, message: str, tmp_path: Path) -> None:
        with pytest.raises(HandbookError, match=message):
            dockerfiles.read(tmp_path, write(tmp_path, "Dockerfile", text))


SETTINGS = """
from pydantic_settings import BaseSettings as Base, BaseSettings

Level = Annotated[Literal["LOW", "HIGH"], BeforeValidator(str.upper)]

class Other(BaseModel):
    nothing: int = 1

class Common(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="app_")
    # How loud
    # it is.
    level: Level = "LOW"

class Settings(Common):
    key: Secret
    size: Annotated[PositiveInt, Field(le=9)] = 5
    '''How many.'''
    port: int = Field(8000, validation_alias="PORT")
    must: str = Field(...)
    maybe: Level | None = None
    made: list[str] = Field(default_factory=list)
"""


class TestPython:
    def test_settings(self, tmp_path: Path) -> None:
        path = write(tmp_path, "settings.py", SETTINGS)
        found = {setting.field: setting for setting in settings.read(tmp_path, path)}
        assert [s.name.value for s in found.values()] == [
            "APP_LEVEL",
            "APP_KEY",
            "APP_SIZE",
            "PORT",
            "APP_MUST",
            "APP_MAYBE",
            "APP_MADE",
        ]
        assert found["level"].choices == found["maybe"].choices == ("LOW", "HIGH")
        assert found["level"].comment == "How loud it is."
        assert found["size"].comment == "How many."
        assert found["size"].type == "PositiveInt"
        assert found["size"].name.line == 16
        assert found["key"].secret
        assert {name for name, setting in found.items() if setting.required} == {"key", "must"}
        assert found["port"].default == Fact(8000, path, 18)
        assert found["maybe"].default == Fact(None, path, 20)

    def test_lookups(self, tmp_path: Path) -> None:
        path = write(tmp_path, "a.py", 'a = os.environ["A"]\nb = os.getenv("B", 2)\nc = os.environ.get("C") or "3"\n')
        found = [(f.value.name, f.value.default, f.line) for f in python.lookups(python.read(tmp_path, path))]
        assert {("A", None, 1), ("B", "2", 2), ("C", "3", 3)} <= set(found)

    def test_routes(self, tmp_path: Path) -> None:
        app = write(
            tmp_path,
            "app.py",
            """
            app = FastAPI()
            app.include_router(pages.router, prefix="/v1")
            @app.get("/version")
            async def version(): ...
            """,
        )
        pages = write(
            tmp_path,
            "pages.py",
            """
            class Events(responses.StreamingResponse): ...
            class Feed(Events): ...
            router = APIRouter(prefix="/pages")
            left_out = APIRouter()
            @router.post("/{name}")
            def store(): return Feed()
            @left_out.get("/never")
            def never(): ...
            """,
        )
        found = routes.read([python.read(tmp_path, app), python.read(tmp_path, pages)])
        assert [(route.path, route.streams) for route in found] == [
            (Fact("/version", app, 3), False),
            (Fact("/v1/pages/{name}", pages, 5), True),
        ]

    def test_gunicorn(self, tmp_path: Path) -> None:
        path = write(
            tmp_path,
            "gunicorn.conf.py",
            'timeout = settings.a or settings.b\nworkers = int(os.environ.get("W", "2"))\n'
            "keepalive = 5\nbacklog = settings.a ** 2\n"
            "SHARE = 5 / 6\nsoft = settings.a * SHARE - 1\ndouble = 2 * 3\n",
        )
        found = gunicorn.read(tmp_path, path)
        assert found["timeout"].value.fields == ("a", "b")
        assert [lookup.name for lookup in found["workers"].value.lookups] == ["W"]
        assert found["keepalive"].value.literal == 5
        assert found["backlog"].value.fields == ()
        assert found["backlog"].line == 4
        assert found["soft"].value.fields == ("a",)
        assert found["soft"].value.work_out("30") == 24
        assert found["double"].value.literal == 6
        assert found["timeout"].value.is_plain

    def test_not_python(self, tmp_path: Path) -> None:
        with pytest.raises(HandbookError, match=r"a\.py:2: not Python"):
            python.read(tmp_path, write(tmp_path, "a.py", "a = 1\nb = (\n"))

    def test_code_without_a_package(self, tmp_path: Path) -> None:
        write(tmp_path, "service/gunicorn.conf.py", "bind = ':1'\n")
        with pytest.raises(HandbookError, match=r"service/gunicorn\.conf\.py:1: the application is expected"):
            code.read(tmp_path, "service", [])


class TestShell:
    def test_requests(self, tmp_path: Path) -> None:
        path = write(
            tmp_path,
            "a.sh",
            r"""
            #!/usr/bin/env bash
            # curl https://commented.example.com/
            curl "https://api.example.com/a?q=1" \
              https://api.example.com:8443/b
            docker compose exec -T --user 0 service python -c \
              "urlopen('http://127.0.0.1:8000/deep').read()"
            curl "https://$host/c" http://127.0.0.1
            """,
        )
        found = shell.read(tmp_path, path)
        asked = [(r.value.address.port, r.value.path, r.value.inside, r.line) for r in found.requests]
        assert asked == [
            (443, "/a", None, 3),
            (8443, "/b", None, 4),
            (8000, "/deep", "service", 6),
            (80, "/", None, 7),
        ]
        assert [(host.value, host.line) for host in found.hosts] == [("api.example.com", 3), ("api.example.com", 4)]

    def test_made(self, tmp_path: Path) -> None:
        path = write(
            tmp_path,
            "a.sh",
            """
            give 10001:999 0440 "$work/password"
            chmod 644 ${work}/tls.crt
            chmod +x run
            for name in cache broker; do
              give 999:999 0400 "$work/${name}.acl"
            done
            give 1:1 0400 "$work/$name.acl"
            api_key $EUID 0600
            key 5:6 0400
            echo "it's 10:30 444 pm
            """,
        )
        made = [(f.value.file, f.value.owner, f.value.mode) for f in shell.read(tmp_path, path).made]
        assert made == [
            ("password", (10001, 999), 0o440),
            ("tls.crt", None, 0o644),
            ("cache.acl", (999, 999), 0o400),
            ("broker.acl", (999, 999), 0o400),
            ("$name.acl", (1, 1), 0o400),
            ("api_key", None, 0o600),
            ("key", (5, 6), 0o400),
        ]

    def test_makes(self, tmp_path: Path) -> None:
        script = shell.read(tmp_path, write(tmp_path, "a.sh", 'chmod 0444 "$work/tls/tls.crt"\n'))
        paths = ("secrets/tls", "secrets/tls/tls.crt", "tls.crt", "secrets/tls/tls.key", "secrets")
        assert [path for path in paths if shell.makes([script], path)] == ["secrets/tls", "secrets/tls/tls.crt"]

    def test_secrets(self, tmp_path: Path) -> None:
        path = write(tmp_path, "a.sh", "# /run/secrets/no\ncat /run/secrets/one.key.\nA=/run/secrets/two\n")
        assert shell.secrets(tmp_path, [path]) == [
            Fact("/run/secrets/one.key", path, 2),
            Fact("/run/secrets/two", path, 3),
        ]


class TestPostgres:
    def test_flags(self) -> None:
        words = ["postgres", "-c", "max_connections=60", "--shared-buffers=1GB", "-cwork_mem='4MB'", "-p", "5433"]
        command = [Fact(word, "c.yaml", line) for line, word in enumerate(words, 1)]
        assert postgres.flags(command) == {
            "max_connections": Fact("60", "c.yaml", 3),
            "shared_buffers": Fact("1GB", "c.yaml", 4),
            "work_mem": Fact("4MB", "c.yaml", 5),
            "port": Fact("5433", "c.yaml", 7),
        }

    def test_scripts(self, tmp_path: Path) -> None:
        text = '-- CREATE ROLE no;\ncreate user "web";\nCREATE DATABASE shop OWNER web;\n$(</run/secrets/pw)\n'
        made = postgres.scripts(tmp_path, [write(tmp_path, "a.sql", text)])
        assert [fact.value for fact in (*made.roles, *made.databases)] == ["web", "shop"]
        assert [fact.value for fact in made.secrets] == ["/run/secrets/pw"]
        assert made.databases[0].line == 3


class TestRedis:
    def test_reads_the_file_and_the_options_behind_it(self, tmp_path: Path) -> None:
        path = write(tmp_path, "conf/cache.conf", '# why\nmaxmemory 96mb\nappendonly no\nSAVE ""\nmaxmemory 128mb\n')
        words = [
            "redis-server",
            "/etc/redis/cache.conf",
            "--appendonly",
            "yes",
            "--save",
            "60 1",
            "300 5",
            "--port",
            "1",
        ]
        workload = Workload(Fact("cache", "c.yaml", 1), command=[Fact(word, "c.yaml", 2) for word in words])
        found = redis.read(tmp_path, workload, {"/etc/redis/cache.conf": path}.get)
        assert found.maxmemory_bytes == Fact(128 * 2**20, path, 5)
        assert found.appends
        assert found.option("save") == Fact("60 1 300 5", "c.yaml", 2)
        assert found.port.value == 1
        assert found.option("maxmemory-policy") == Fact("noeviction", "c.yaml", 1)

    @pytest.mark.parametrize(("save", "snapshots"), [('save ""', False), ("", True), ("save 60 1", True)])
    def test_knows_whether_it_keeps_its_data(self, save: str, snapshots: bool, tmp_path: Path) -> None:
        path = write(tmp_path, "a.conf", f"{save}\n")
        workload = Workload(Fact("cache", "c.yaml", 1), command=[Fact("/a.conf", "c.yaml", 2)])
        assert redis.read(tmp_path, workload, {"/a.conf": path}.get).snapshots is snapshots

    def test_follows_includes_where_they_stand(self, tmp_path: Path) -> None:
        shared = write(tmp_path, "shared.conf", "port 1\ndir /shared\n")
        path = write(tmp_path, "a.conf", "port 6380\ninclude /etc/redis-shared/a.conf\ndir /own\n")
        found = redis.of(tmp_path, path, {"/etc/redis-shared/a.conf": shared}.get)
        assert found == {"port": Fact("1", shared, 1), "dir": Fact("/own", path, 3)}

    def test_refuses(self, tmp_path: Path) -> None:
        with pytest.raises(HandbookError, match=r"a\.conf:2: No closing quotation"):
            redis.of(tmp_path, write(tmp_path, "a.conf", 'a 1\nsave "\n'))
        with pytest.raises(HandbookError, match=r"a\.conf:2: nothing of the repository stands at /gone\.conf"):
            redis.of(tmp_path, write(tmp_path, "a.conf", "a 1\ninclude /gone.conf\n"))


def test_postgres_settings(tmp_path: Path) -> None:
    text = "# port = 1\nlisten_addresses = 'a, b' # here\nPort 5433\nshared_buffers=256MB\nempty = ''\n"
    path = write(tmp_path, "postgres.conf", text)
    assert postgres.settings(tmp_path, path) == {
        "listen_addresses": Fact("a, b", path, 2),
        "port": Fact("5433", path, 3),
        "shared_buffers": Fact("256MB", path, 4),
        "empty": Fact("", path, 5),
    }


def test_a_host_that_a_script_only_prints_is_not_asked(tmp_path: Path) -> None:
    text = "printf 'https://chat.example.com/\\n' >file\necho https://a.example.com | xargs curl\n"
    hosts = shell.read(tmp_path, write(tmp_path, "a.sh", text)).hosts
    assert [host.value for host in hosts] == ["a.example.com"]


def test_what_is_told_apart_by_its_port() -> None:
    cache = Workload(Fact("cache", "c", 1), reachable_as={"localhost"}, listens={6379})
    anything = Workload(Fact("cache", "c", 1), reachable_as={"cache"})
    assert [cache.is_at("localhost", 6379), cache.is_at("localhost", 1), cache.is_at("cache", 6379)] == [
        True,
        False,
        False,
    ]
    assert anything.is_at("cache", None)


class TestCelery:
    def test_settings(self, tmp_path: Path) -> None:
        path = write(
            tmp_path,
            "queue.py",
            """
            app.conf.update(
                broker_transport_options={"visibility_timeout": settings.a, "other": 1},
                task_time_limit=self.settings.b,
            )
            app.conf.worker_concurrency = 3
            """,
        )
        found = celery.of(python.read(tmp_path, path))
        assert {name: fact.line for name, fact in found.items()} == {
            "visibility_timeout": 2,
            "task_time_limit": 3,
            "worker_concurrency": 5,
        }
        assert found["task_time_limit"].value.fields == ("b",)
        assert found["worker_concurrency"].value.literal == 3

    @pytest.mark.parametrize(
        ("command", "role", "processes"),
        [
            ("celery --app a worker --concurrency 4", "worker", 4),
            ("celery --app=a worker --concurrency=4", "worker", 4),
            ("celery -A a worker -c 4", "worker", 4),
            ("celery -A a worker", "worker", None),
            ("celery -A a beat", "beat", None),
            ("alembic upgrade head", None, None),
        ],
    )
    def test_commands(self, command: str, role: str | None, processes: int | None) -> None:
        words = [Fact(word, "c.yaml", 1) for word in command.split()]
        assert celery.role(words) == role
        told = celery.concurrency(words)
        assert (told.value if told else None) == processes


class TestMeasured:
    def test_reads(self, tmp_path: Path) -> None:
        path = write(tmp_path, "a.json", '{\n "memory": {\n  "bars": {\n   "nginx": 5\n  }\n }\n}\n')
        assert measured.memory(tmp_path, path) == {"nginx": Fact(5, path, 4)}

    @pytest.mark.parametrize("text", ["{}", '{"memory": {"bars": {}}}', '{"speed": {"bars": {"a": 1}}}'])
    def test_finds_nothing(self, text: str, tmp_path: Path) -> None:
        assert measured.memory(tmp_path, write(tmp_path, "a.json", text)) is None

    def test_refuses(self, tmp_path: Path) -> None:
        with pytest.raises(HandbookError, match=r"a\.json:1: 'much' is not a whole number"):
            measured.memory(tmp_path, write(tmp_path, "a.json", '{"memory": {"bars": {"a": "much"}}}'))
