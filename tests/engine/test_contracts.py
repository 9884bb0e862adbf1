"""Every rule of every contract is seen failing on files with one thing wrong."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from handbook import contracts
from handbook.catalog import ROOT
from handbook.facts import Fact, code, env, nginx, postgres, settings, shell
from handbook.facts.deployment import Database, Deployment, Facts, Proxy, Service
from handbook.facts.workload import Workload
from handbook.findings import Finding, HandbookError
from tests.mounts import mapped
from tests.tree import COMPOSE, MEASURED, PAGE, Case, Edit, Tree, case

ENV = "snippets/compose/production/service.env"
NGINX = "snippets/compose/production/proxy/nginx.conf"
PREPARE = "snippets/compose/production/prepare.sh"
WALKTHROUGH = "snippets/compose/production/walkthrough.sh"
DOCKERFILE = "snippets/service/Dockerfile"
GUNICORN = "snippets/service/gunicorn.conf.py"
SETTINGS = "snippets/service/assistant/settings.py"
HEALTHCHECK = "snippets/service/assistant/healthcheck.py"
INIT = "snippets/postgres/init/assistant.sh"
TIMEOUTS = "snippets/nginx/timeouts.conf"
FORWARDED = "snippets/nginx/forwarded.conf"
STREAM = "snippets/nginx/stream.conf"
LIMITS = "snippets/nginx/limits.conf"
GZIP = "snippets/nginx/gzip.conf"
CACHE = "snippets/redis/cache.conf"
BROKER = "snippets/redis/broker.conf"
PROVIDER = "snippets/provider/Dockerfile"
QUEUE = "snippets/service/assistant/queue.py"
EVENTS = "snippets/service/assistant/stream.py"


def below(service: str, more: str = "") -> tuple[str, str]:
    """The line of a service's name, or the one behind the | in `more`, which stands below the service's first line."""
    return (COMPOSE, f"  {service}:\n    <<: *hardened\n{more}")


PROXY_LINE, SERVICE_LINE, MIGRATIONS_LINE, WORKER_LINE, BEAT_LINE = map(
    below, ("nginx", "service", "migrations", "worker", "beat")
)
CACHE_LINE, BROKER_LINE, PROVIDER_LINE, POSTGRES_LINE = map(below, ("cache", "broker", "provider", "postgres"))
CODE_LINES = (SERVICE_LINE, MIGRATIONS_LINE, WORKER_LINE, BEAT_LINE)
IMAGE = "    image: assistant:${VERSION:-1.0.0}\n"
LIMIT = (COMPOSE, "--max_connections")
RATE = "            limit_req zone=requests burst=200 nodelay;\n"
CONNECTIONS = "            limit_conn connections 50;\n"
PASSED = (
    ("/", f"{CONNECTIONS}            |proxy"),
    ("/v1/", f"{RATE}{CONNECTIONS}            |proxy"),
    ("= /health/live", f"{CONNECTIONS}            |proxy"),
    ("= /health/ready", f"{CONNECTIONS}            |proxy"),
)
SERVICE_STOP = "a request or a stream that has begun may end.\n    stop_grace_period: 75s\n"
WORKER_STOP = "a job that has begun may end.\n    stop_grace_period: 40s\n"
LONGEST = (ENV, "JOB_TIMEOUT_SECONDS")
AT_ANSWERS = "nginx-shared/stream.conf;\n            |limit_req zone"
AFTER_POSTGRES = "    depends_on:\n      postgres:\n        condition: service_healthy\n"
JOB_SECRETS = "    secrets:\n      - database_password\n      - cache_password\n      - broker_password\n"
AT_JOB = (COMPOSE, f"{JOB_SECRETS}|      - api_keys\n    networks")
WORKER_MEMORY = "          memory: 512M\n          pids: 128\n    # Above JOB_TIMEOUT_SECONDS"

ALL_BUT_ONE = " ".join(
    f"`{setting.name.value}`" for setting in settings.read(ROOT, SETTINGS) if setting.field != "request_timeout_seconds"
)


def unset(field: str, rule: str, *found: tuple[str, str], more: str = "") -> Case:
    """A setting without a default and without a variable: its line gives way to `more`."""
    declared = next(setting for setting in settings.read(ROOT, SETTINGS) if setting.field == field)
    line = (ROOT / SETTINGS).read_text(encoding="utf-8").splitlines(keepends=True)[declared.name.line - 1]
    return case(rule, SETTINGS, line, more, *found, also=((ENV, f"\n{field.upper()}=", "\n# "),))


CASES = (
    case("connections.fit", COMPOSE, "--max_connections=100", "--max_connections=43"),
    case("connections.fit", COMPOSE, "replicas: 2", "replicas: 5", LIMIT),
    case("connections.fit", COMPOSE, "--concurrency=2", "--concurrency=20", LIMIT),
    case("connections.fit", ENV, "WEB_CONCURRENCY=1", "WEB_CONCURRENCY=3", LIMIT),
    case("connections.fit", ENV, "DATABASE_POOL_OVERFLOW=5", "DATABASE_POOL_OVERFLOW=20", LIMIT),
    unset("database_pool_size", "connections.fit", SERVICE_LINE),
    case("connections.memory", COMPOSE, "--shared_buffers=256MB", "--shared_buffers=512MB"),
    case("connections.memory", COMPOSE, "--effective_cache_size=768MB", "--effective_cache_size=2GB"),
    case("connections.memory", COMPOSE, "--maintenance_work_mem=128MB", "--maintenance_work_mem=512MB"),
    case("connections.memory", COMPOSE, "          memory: 1G\n", "", POSTGRES_LINE),
    case("environment.dead", ENV, "LOG_LEVEL=info", "LOG_LEVLE=info"),
    case("environment.dead", DOCKERFILE, "GUNICORN_BIND=", "GUNICORN_LISTEN="),
    case("environment.dead", COMPOSE, "POSTGRES_INITDB_ARGS:", "POSTGRES_INIT_ARGS:"),
    unset("log_format", "environment.required", *CODE_LINES, more='    log_format: Literal["json", "text"]\n'),
    # Only the service reads it.
    unset("provider_model", "environment.required", SERVICE_LINE, more="    provider_model: str\n"),
    case("environment.choices", ENV, "LOG_LEVEL=info", "LOG_LEVEL=loud"),
    case("environment.used", SETTINGS, "    database_name:", "    spare: int = 1\n    database_name:"),
    case(
        "environment.server",
        GUNICORN,
        "threads = settings.gunicorn_threads",
        "threads = 1",
        (SETTINGS, "gunicorn_threads"),
    ),
    case("environment.defaults", HEALTHCHECK, 'or "127.0.0.1:8000"', 'or "127.0.0.1:8001"'),
    case(
        "environment.documented",
        PAGE,
        "{{ settings_table() }}",
        ALL_BUT_ONE,
        (SETTINGS, "    request_timeout_seconds:"),
    ),
    case("environment.documented", PAGE, "{{ settings_table() }}", "{{ settings_table() }} `DATABASE_POOLSIZE`"),
    case("headers.forwarded", FORWARDED, "X-Forwarded-For $remote_addr", "X-Forwarded-For $proxy_add_x_forwarded_for"),
    case("headers.once", TIMEOUTS, "upstream error timeout;", "upstream error timeout non_idempotent;"),
    case("headers.forwarded", FORWARDED, "X-Real-IP $remote_addr", "X-Real-IP $http_x_real_ip"),
    case("headers.forwarded", FORWARDED, "X-Forwarded-Host $host", "X-Forwarded-Host $http_x_forwarded_host"),
    case(
        "headers.forwarded",
        NGINX,
        "location = /health/ready {\n",
        "location = /health/ready {\n            proxy_set_header X-Probe 1;\n",
    ),
    case("health.present", COMPOSE, "      timeout: 3s\n", "      timeout: 3s\n      disable: true\n", PROXY_LINE),
    case(
        "health.present",
        COMPOSE,
        '      test: ["CMD", "python", "-m", "assistant.healthcheck"]\n',
        "      disable: true\n",
        SERVICE_LINE,
    ),
    case("health.present", COMPOSE, "test:\n        - CMD", "disable: true\n      test:\n        - CMD", POSTGRES_LINE),
    # The check that its image brings asks for a server.
    case("health.present", COMPOSE, '["CMD", "python", "-m", "assistant.alive", "/tmp/beat", "60"]', "[]", BEAT_LINE),
    case("health.present", PROVIDER, "HEALTHCHECK --interval=10s", "HEALTHCHECK NONE\n# ", PROVIDER_LINE),
    case("health.paths", HEALTHCHECK, '"/health/ready"', '"/health/steady"'),
    case("health.paths", COMPOSE, "8081/health/live", "8081/health/alive"),
    case("health.paths", COMPOSE, '"assistant.healthcheck"', '"assistant.health"'),
    case("health.paths", WALKTHROUGH, "api.example.com/version", "api.example.com/versions"),
    case("health.paths", WALKTHROUGH, "8000/health/deep", "8000/health/deeper"),
    case(
        "health.paths",
        NGINX,
        "location = /health/ready {",
        "location = /health/soon {",
        (NGINX, "/health/soon"),
        (WALKTHROUGH, "/health/ready"),
    ),
    case(
        "health.inside",
        NGINX,
        "location /health {\n            return 404;",
        f"location /health {{\n{CONNECTIONS}            proxy_pass http://service;",
    ),
    case("health.inside", NGINX, "location /health {", "location = /health {", (NGINX, "location / {\n")),
    case("health.inside", NGINX, "location /metrics {", "location /metrix {", (NGINX, "location / {\n")),
    case(
        "health.inside",
        "snippets/service/assistant/health.py",
        '"/health/deep"',
        '"/health/details"',
        (GUNICORN, '"""gunicorn'),
        also=((WALKTHROUGH, "/health/deep", "/health/details"),),
    ),
    case("health.timing", COMPOSE, "      timeout: 3s", "      timeout: 10s"),
    case("health.timing", COMPOSE, "      timeout: 5s", "      timeout: 2s"),
    case("health.timing", DOCKERFILE, "--timeout=3s", "--timeout=1s", (DOCKERFILE, "HEALTHCHECK")),
    case("health.database", COMPOSE, "--host=127.0.0.1 ", "", (COMPOSE, "        - CMD-SHELL")),
    case("images.pinned", COMPOSE, "image: nginx:1.30.6", "image: nginx:latest"),
    case("images.pinned", COMPOSE, "image: nginx:1.30.6", "image: nginx\n"),
    case("images.pinned", COMPOSE, "image: assistant-provider:1.0.0", "image: assistant-provider:${TAG:-latest}"),
    case("images.pinned", PROVIDER, "FROM python:3.13-slim-trixie", "FROM debian"),
    case("images.same", DOCKERFILE, "\n\nFROM python:3.13-slim-trixie\n", "\n\nFROM python:3.14-slim-trixie\n"),
    case(
        "images.built",
        "snippets/service/assistant/__init__.py",
        '"1.0.0"',
        '"1.0.1"',
        (COMPOSE, f"|{IMAGE}    build: ../../service"),
        *(below(service, f"|{IMAGE}") for service in ("migrations", "worker", "beat")),
    ),
    case(
        "images.built",
        COMPOSE,
        f"  migrations:\n    <<: *hardened\n{IMAGE}",
        "  migrations:\n    <<: *hardened\n    image: jobs:1.0.0\n    build: ../../service\n",
        (COMPOSE, "    image: jobs"),
        (COMPOSE, "jobs:1.0.0\n|    build"),
    ),
    case(
        "images.built",
        COMPOSE,
        f"  migrations:\n    <<: *hardened\n{IMAGE}",
        "  migrations:\n    <<: *hardened\n    build: ../../service\n",
        MIGRATIONS_LINE,
        below("migrations", "|    build"),
    ),
    case("images.built", "snippets/service/assistant/__init__.py", "__version__", "number", (GUNICORN, '"""gunicorn')),
    case("images.user", COMPOSE, 'user: "10001:10001"', 'user: "10001:10002"'),
    case("images.user", COMPOSE, 'user: "10002:10002"', 'user: "10002:10001"'),
    case("images.user", DOCKERFILE, "USER 10001:10001", "USER assistant"),
    case("images.user", DOCKERFILE, "USER 10001:10001", "USER 0"),
    case("images.user", DOCKERFILE, "USER 10001:10001\n", "", (DOCKERFILE, "FROM")),
    case("jobs.longest", ENV, "JOB_TIMEOUT_SECONDS=30", "JOB_TIMEOUT_SECONDS=40"),
    case("jobs.longest", ENV, "VISIBILITY_TIMEOUT_SECONDS=45", "VISIBILITY_TIMEOUT_SECONDS=30", LONGEST),
    case("jobs.longest", COMPOSE, WORKER_STOP, WORKER_STOP.replace("40s", "30s"), LONGEST),
    case("jobs.longest", COMPOSE, WORKER_STOP, "", LONGEST),
    case("jobs.longest", QUEUE, "task_time_limit=", "task_reject=", WORKER_LINE),
    case("jobs.longest", QUEUE, '"visibility_timeout":', '"visibility":', WORKER_LINE),
    case("jobs.longest", QUEUE, "SOFT_SHARE = 5 / 6", "SOFT_SHARE = 6 / 6", LONGEST),
    case("limits.body", NGINX, "client_max_body_size 1m", "client_max_body_size 2m"),
    case(
        "limits.body", ENV, "MAX_BODY_BYTES=1048576", "MAX_BODY_BYTES=1000000", (NGINX, "        client_max_body_size")
    ),
    unset("max_body_bytes", "limits.body", SERVICE_LINE),
    case("limits.connections", NGINX, f"{RATE}{CONNECTIONS}", RATE, (NGINX, "        location /v1/ {")),
    case("limits.connections", NGINX, f"location / {{\n{CONNECTIONS}", "location / {\n", (NGINX, "location / {")),
    case(
        "limits.requests",
        NGINX,
        "nginx-shared/stream.conf;\n            limit_req zone=requests burst=200 nodelay;\n",
        "nginx-shared/stream.conf;\n",
        (NGINX, "        location = /v1/answers {"),
    ),
    case("limits.status", LIMITS, "limit_req_status 429", "limit_req_status 503"),
    case("limits.status", LIMITS, "limit_req_status 429;\n", "", (NGINX, "limit_req zone"), (NGINX, AT_ANSWERS)),
    case("memory.measured", MEASURED, '"worker": 1048576', '"worker": 536870912', (COMPOSE, WORKER_MEMORY)),
    case("memory.measured", MEASURED, '"beat": 1048576,', "", BEAT_LINE),
    case("memory.measured", MEASURED, '"beat": 1048576,', '"beat": 1048576, "gone": 1,'),
    case("memory.measured", COMPOSE, "          memory: 128M\n", "", PROVIDER_LINE),
    case("ports.upstream", NGINX, "server service:8000", "server service:8001"),
    case("ports.bind", ENV, "GUNICORN_BIND=0.0.0.0:8000", "GUNICORN_BIND=127.0.0.1:8000"),
    case("ports.exposed", DOCKERFILE, "EXPOSE 8000", "EXPOSE 8001"),
    case("ports.exposed", DOCKERFILE, "EXPOSE 8000\n", "", (DOCKERFILE, "FROM")),
    case("ports.published", COMPOSE, '"443:8443"', '"443:8444"'),
    case("ports.published", COMPOSE, '"443:8443"', '"443:8081"'),
    case(
        "ports.published",
        COMPOSE,
        "    env_file: service.env\n",
        '    ports: ["8001:8000"]\n    env_file: service.env\n',
    ),
    case("ports.published", COMPOSE, "    image: redis", '    ports: ["127.0.0.1:6379:6379"]\n    image: redis'),
    case("ports.asked", COMPOSE, "127.0.0.1:8081", "127.0.0.1:8082"),
    case("ports.asked", WALKTHROUGH, "api.example.com/version", "api.example.com:8443/version"),
    case("ports.asked", WALKTHROUGH, "127.0.0.1:8000", "127.0.0.1:8001"),
    unset("database_port", "ports.database", *CODE_LINES),
    case("ports.database", ENV, "DATABASE_PORT=5432", "DATABASE_PORT=5433"),
    case(
        "ports.database", COMPOSE, "      - --shared", "      - --port=5433\n      - --shared", (ENV, "DATABASE_PORT")
    ),
    case("redis.asked", ENV, "redis://cache:6379/0", "redis://redis:6379/0", (ENV, "CACHE_URL")),
    case("redis.asked", ENV, "redis://broker:6379/0", "redis://broker:6380/0", (ENV, "BROKER_URL")),
    case("redis.asked", BROKER, "aclfile ", "port 6380\naclfile ", (ENV, "BROKER_URL")),
    case(
        "redis.asked",
        COMPOSE,
        "      - cache_acl\n    networks:\n      - data\n",
        "      - cache_acl\n    networks:\n      - app\n",
        WORKER_LINE,
        BEAT_LINE,
    ),
    case("redis.apart", ENV, "redis://broker:6379/0", "redis://cache:6379/1", (ENV, "BROKER_URL")),
    case("redis.broker", BROKER, "maxmemory-policy noeviction", "maxmemory-policy allkeys-lru"),
    case("redis.broker", BROKER, "appendonly yes", "appendonly no"),
    case("redis.broker", COMPOSE, "      - broker:/data\n", "", BROKER_LINE),
    case("redis.broker", BROKER, 'save ""\n', 'save ""\ndir /tmp\n', BROKER_LINE),
    case("redis.cache", CACHE, "maxmemory-policy allkeys-lru", "maxmemory-policy noeviction"),
    case("redis.cache", CACHE, "maxmemory-policy allkeys-lru\n", "", CACHE_LINE),
    case("redis.cache", CACHE, "appendonly no", "appendonly yes"),
    case("redis.cache", CACHE, 'save ""\n', "", CACHE_LINE),
    case("redis.cache", COMPOSE, "      - &redis_folder\n", "      - spare:/data\n      - &redis_folder\n"),
    case("redis.memory", CACHE, "maxmemory <n>mb", "maxmemory 160mb"),
    case("redis.memory", BROKER, "maxmemory <n>mb", "maxmemory 140mb"),
    case("redis.memory", BROKER, "maxmemory <n>mb\n", "", BROKER_LINE),
    case("redis.memory", COMPOSE, "          memory: 192M\n          pids: 32\n", "", CACHE_LINE),
    case(
        "secrets.plain",
        COMPOSE,
        "      POSTGRES_INITDB_ARGS",
        "      POSTGRES_PASSWORD: fjf82nd1\n      POSTGRES_INITDB_ARGS",
    ),
    case("secrets.plain", COMPOSE, "      PGUSER: ", "      PGPASSWORD: fjf82nd1\n      PGUSER: "),
    case("secrets.plain", ENV, "SECRETS_DIR=", "DATABASE_PASSWORD=fjf82nd1\nSECRETS_DIR="),
    case(
        "secrets.mounted",
        COMPOSE,
        "      - database_password\n      - cache_password\n      - broker_password\n      - api_keys\n",
        "      - cache_password\n      - broker_password\n      - api_keys\n",
        SERVICE_LINE,
    ),
    case("secrets.mounted", NGINX, "/run/tls/tls.key", "/run/secrets/tls_key"),
    case("secrets.mounted", INIT, "/run/secrets/database_password", "/run/secrets/assistant_password"),
    case("secrets.mounted", COMPOSE, "/run/secrets/postgres_password", "/run/secrets/password"),
    case("secrets.mounted", CACHE, "/run/secrets/cache_acl", "/run/secrets/cache"),
    case("secrets.mounted", ENV, "SECRETS_DIR=/run/secrets", "SECRETS_DIR=/etc/secrets", *CODE_LINES),
    case(
        "secrets.used",
        COMPOSE,
        "      - postgres_password\n",
        "      - cache_acl\n      - postgres_password\n",
        (COMPOSE, "      - cache_acl\n      - postgres"),
    ),
    # Jobs need fewer than the service.
    case("secrets.used", COMPOSE, f"{JOB_SECRETS}    networks", f"{JOB_SECRETS}      - api_keys\n    networks", AT_JOB),
    case(
        "secrets.used",
        COMPOSE,
        "\nsecrets:\n",
        "\nsecrets:\n  spare:\n    file: secrets/api_key\n",
        (COMPOSE, "    file: secrets/api_key\n"),
    ),
    case("secrets.made", COMPOSE, "file: secrets/postgres_password", "file: secrets/postgres_passwd"),
    case("secrets.made", COMPOSE, "file: secrets/cache.acl", "file: secrets/cached.acl"),
    case("secrets.readable", PREPARE, "database_password 10001:999 0440", "database_password 10001:998 0440"),
    case("secrets.readable", PREPARE, 'give 999:999 0400 "$work', 'give 998:998 0400 "$work'),
    case("secrets.readable", PREPARE, 'give 101:101 0400 "$work/', 'give 101:101 0040 "$work/'),
    case("secrets.readable", PREPARE, 'chmod 0444 "$work/tls/tls.crt"', 'chmod 0440 "$work/tls/tls.crt"'),
    case(
        "secrets.renewable",
        COMPOSE,
        "    networks:\n      - edge\n",
        "      - ./secrets/tls/tls.key:/run/tls/tls.key:ro\n    networks:\n      - edge\n",
    ),
    Case("snippets.shown", (("snippets/nowhere/idea.sql", "", "SELECT 1;\n"),), (("snippets/nowhere/idea.sql", ""),)),
    case("streams.passed_on", STREAM, "proxy_buffering off;\n", "", (NGINX, "        location = /v1/answers {")),
    case(
        "streams.passed_on",
        GZIP,
        "gzip_types ",
        "gzip_types text/event-stream ",
        also=((STREAM, "gzip off;\n", ""),),
    ),
    case(
        "streams.passed_on",
        NGINX,
        "        location /v1/ {\n",
        "        location /v1/ {\n            proxy_buffering off;\n",
        (NGINX, "            proxy_buffering off;"),
    ),
    case("streams.passed_on", EVENTS, "(StreamingResponse)", "(Response)", (ENV, "ANSWER_TIMEOUT_SECONDS")),
    case("streams.alive", ENV, "HEARTBEAT_SECONDS=10", "HEARTBEAT_SECONDS=18"),
    case(
        "streams.alive",
        NGINX,
        "include ../nginx-shared/stream.conf;\n            limit_req",
        "proxy_buffering off;\n            proxy_read_timeout 20s;\n            limit_req",
        (ENV, "HEARTBEAT_SECONDS"),
    ),
    unset("heartbeat_seconds", "streams.alive", SERVICE_LINE),
    case("timeouts.ladder", ENV, "STATEMENT_TIMEOUT_SECONDS=10", "STATEMENT_TIMEOUT_SECONDS=20"),
    case("timeouts.ladder", ENV, "\nREQUEST_TIMEOUT_SECONDS=20", "\nREQUEST_TIMEOUT_SECONDS=60"),
    case("timeouts.ladder", ENV, "ANSWER_TIMEOUT_SECONDS=60", "ANSWER_TIMEOUT_SECONDS=65"),
    case("timeouts.ladder", ENV, "GRACEFUL_TIMEOUT=65", "GRACEFUL_TIMEOUT=60", (ENV, "ANSWER_TIMEOUT_SECONDS")),
    case("timeouts.ladder", ENV, "GUNICORN_TIMEOUT=30", "GUNICORN_TIMEOUT=35"),
    case("timeouts.ladder", TIMEOUTS, "proxy_read_timeout 35s", "proxy_read_timeout 30s", (ENV, "GUNICORN_TIMEOUT=30")),
    case(
        "timeouts.ladder",
        NGINX,
        "location / {\n",
        "location / {\n            proxy_read_timeout 20s;\n",
        (ENV, "GUNICORN_TIMEOUT=30"),
        (ENV, "REQUEST_TIMEOUT_SECONDS"),
    ),
    case(
        "timeouts.ladder",
        SETTINGS,
        "gunicorn_timeout: PositiveInt = 30",
        "gunicorn_timeout: PositiveInt = 36",
        also=((ENV, "GUNICORN_TIMEOUT=30\n", ""),),
    ),
    unset("request_timeout_seconds", "timeouts.ladder", SERVICE_LINE),
    case(
        "timeouts.stop", COMPOSE, SERVICE_STOP, SERVICE_STOP.replace("75s", "65s"), (ENV, "GUNICORN_GRACEFUL_TIMEOUT")
    ),
    case("timeouts.stop", COMPOSE, SERVICE_STOP, "", (ENV, "GUNICORN_GRACEFUL_TIMEOUT")),
    case("timeouts.stop", NGINX, "worker_shutdown_timeout 70s", "worker_shutdown_timeout 60s", (ENV, "ANSWER_TIMEOUT")),
    case("timeouts.stop", NGINX, "worker_shutdown_timeout 70s", "worker_shutdown_timeout 75s"),
    case(
        "timeouts.stop",
        TIMEOUTS,
        "proxy_read_timeout 35s;\n",
        "",
        (ENV, "ANSWER_TIMEOUT"),
        *((NGINX, f"location {path} {{\n{more}") for path, more in PASSED),
        also=((NGINX, "worker_shutdown_timeout 70s", "worker_shutdown_timeout 60s"),),
    ),
    case(
        "timeouts.stop",
        NGINX,
        "worker_shutdown_timeout 70s;\n",
        "",
        (TIMEOUTS, "proxy_read"),
        also=((TIMEOUTS, "proxy_read_timeout 35s", "proxy_read_timeout 76s"),),
    ),
    case("timeouts.waits", ENV, "POOL_TIMEOUT_SECONDS=3", "POOL_TIMEOUT_SECONDS=7", (ENV, "REQUEST_TIMEOUT")),
    case(
        "timeouts.waits", ENV, "STATEMENT_TIMEOUT_SECONDS=10", "STATEMENT_TIMEOUT_SECONDS=14", (ENV, "REQUEST_TIMEOUT")
    ),
    unset("database_connect_timeout_seconds", "timeouts.waits", SERVICE_LINE),
    case("timeouts.connect", TIMEOUTS, "proxy_connect_timeout <n>ms", "proxy_connect_timeout 35s"),
    case("timeouts.keepalive", NGINX, "        keepalive_timeout <n>s", "        keepalive_timeout 5s"),
    case("timeouts.keepalive", NGINX, "        keepalive_timeout <n>s;\n", "", (NGINX, "keepalive 32")),
    case("timeouts.keepalive", GUNICORN, "keepalive = <n>\n", "keepalive = 1\n", (NGINX, "        keepalive_timeout ")),
    case("wiring.host", WALKTHROUGH, "./prepare.sh api.example.com", "./prepare.sh www.example.com"),
    case("wiring.host", WALKTHROUGH, "--resolve api.example.com", "--resolve www.example.com"),
    case("wiring.host", WALKTHROUGH, "https://api.example.com/version", "https://api.example.org/version"),
    case("wiring.host", NGINX, "https://api.example.com$", "https://www.example.com$"),
    case("wiring.upstreams", NGINX, "server service:8000", "server backend:8000"),
    case("wiring.upstreams", NGINX, "server service:8000 resolve", "server 127.0.0.1:8000"),
    case("wiring.upstreams", COMPOSE, "      - app\n      - data\n", "      - data\n", SERVICE_LINE),
    case("wiring.resolve", NGINX, "service:8000 resolve", "service:8000"),
    case("wiring.resolve", NGINX, "        zone service 64k;\n", "", (NGINX, "server service:8000")),
    case("wiring.resolve", NGINX, "    resolver 127", "    # resolver 127", (NGINX, "server service:8000")),
    unset("database_host", "wiring.database", *CODE_LINES),
    case("wiring.database", ENV, "DATABASE_HOST=postgres", "DATABASE_HOST=db"),
    case(
        "wiring.database",
        COMPOSE,
        f"    networks:\n      - data\n{AFTER_POSTGRES}    healthcheck",
        f"    networks:\n      - app\n{AFTER_POSTGRES}    healthcheck",
        MIGRATIONS_LINE,
    ),
    case(
        "wiring.role",
        INIT,
        "CREATE ROLE assistant",
        "CREATE ROLE helper",
        (ENV, "DATABASE_USER"),
        (COMPOSE, "        - CMD-SHELL"),
    ),
    case("wiring.role", INIT, "CREATE DATABASE assistant", "-- nothing", POSTGRES_LINE),
    case("wiring.role", COMPOSE, "--dbname=assistant &&", "--dbname=postgres &&", (COMPOSE, "        - CMD-SHELL")),
    case(
        "wiring.files",
        COMPOSE,
        "    volumes:\n      # Folders",
        "    volumes:\n      - ./gone.conf:/etc/gone.conf:ro\n      # Folders",
        (COMPOSE, "gone.conf"),
    ),
    # A folder below secrets/ is there when a script makes something in it.
    case("wiring.files", COMPOSE, "        source: ./secrets/tls\n", "        source: ./secrets/ssl\n"),
    case(
        "wiring.reloadable",
        COMPOSE,
        "        source: ./proxy\n        target: /etc/nginx\n",
        "        source: ./proxy/nginx.conf\n        target: /etc/nginx/nginx.conf\n",
        (COMPOSE, "source: ./proxy"),
    ),
    case(
        "wiring.inside",
        COMPOSE,
        "      - cache_acl\n    networks:\n      - data\n",
        "      - cache_acl\n    networks:\n      - data\n      - models\n",
        (COMPOSE, "      - models\n    healthcheck"),
    ),
    case(
        "wiring.inside",
        COMPOSE,
        "      - app\n      - data\n      - models\n",
        "      - app\n      - data\n      - models\n      - edge\n",
        (COMPOSE, "      - edge\n    depends_on:\n      postgres"),
    ),
    case("wiring.provider", ENV, "http://provider:9000", "http://model:9000", (ENV, "PROVIDER_URL")),
    case("wiring.provider", ENV, "http://provider:9000", "http://provider:9001", (ENV, "PROVIDER_URL")),
    case("wiring.provider", COMPOSE, "      - data\n      - models\n", "      - data\n", SERVICE_LINE),
)

# What is taken away whole: then there is nothing to compare, and that must not look like a contract that is kept.
NOTHING: tuple[tuple[str, Edit], ...] = (
    ("ports.upstream", (NGINX, "proxy_pass http://service;", "return 204;")),
    ("headers.forwarded", (NGINX, "proxy_pass http://service;", "return 204;")),
    ("ports.published", (COMPOSE, '    ports:\n      - "80:8080"\n      - "443:8443"\n', "")),
    ("wiring.host", (NGINX, "server_name api.example.com;", "")),
    ("secrets.made", (COMPOSE, "\nsecrets:\n", "\nx-secrets:\n")),
    ("secrets.mounted", (SETTINGS, ": Secret", ": str # ")),
    ("environment.required", (SETTINGS, "(BaseSettings)", "")),
)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return Tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture
def tree(copied: Tree) -> Iterator[Tree]:
    yield copied
    copied.mend()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_finds(case: Case, tree: Tree) -> None:
    for edit in case.edits:
        tree.edit(*edit)
    found = tree.new_findings()
    said = "\n" + "\n".join(map(str, found))
    assert {finding.rule for finding in found} == {case.rule}, said
    expected = {(path, tree.line(path, text)) for path, text in case.found}
    places = {(finding.path, finding.line) for finding in found}
    assert places == expected, said
    assert all(finding.message and finding.hint for finding in found)


def test_a_file_that_a_page_draws_is_shown() -> None:
    drawn, other = "snippets/measured/a.json", "snippets/measured/b.json"
    pages = {"docs/page.md": '{{ chart("measured/a.json#speed") }} `measured/b.json#speed`'}
    facts = Facts([], frozenset(), (drawn, other), set(), set(), pages)
    assert [finding.path for finding in contracts.load()["snippets.shown"](facts)] == [other]


def test_every_contract_is_seen_failing() -> None:
    """Those about units are seen failing in test_units.py, those about Kubernetes in test_contracts_kubernetes.py."""
    elsewhere = ("units.", "kubernetes")
    assert {name for name in contracts.names() if not name.startswith(elsewhere)} == {case.rule for case in CASES}


@pytest.mark.parametrize(("rule", "edit"), NOTHING, ids=lambda value: value if isinstance(value, str) else "")
def test_nothing_to_compare_is_found(rule: str, edit: Edit, tree: Tree) -> None:
    tree.edit(*edit, count=99)
    assert rule in {finding.rule for finding in tree.new_findings()}


def test_an_image_without_a_dockerfile_is_found(tree: Tree) -> None:
    facts = tree.facts()
    del facts.deployments[0].dockerfiles["service"]
    found = contracts.load()["images.user"](facts)
    assert [(finding.path, finding.line) for finding in found] == [
        (COMPOSE, tree.line(COMPOSE, "build: ../../service"))
    ]


def test_a_target_that_limits_no_stop_is_found(tree: Tree) -> None:
    facts = tree.facts()
    facts.deployments[0].service.workload.stop_grace_seconds = None
    found = contracts.load()["timeouts.stop"](facts)
    assert [(finding.path, finding.line) for finding in found] == [(ENV, tree.line(ENV, "GUNICORN_GRACEFUL_TIMEOUT"))]


@pytest.mark.parametrize(
    ("path", "old", "new", "message"),
    [
        (COMPOSE, "image: pgvector/pgvector:", "image: nginx:", "one proxy is expected, nginx and postgres have"),
        (COMPOSE, "image: nginx:", "image: postgres:", "one database is expected"),
        (COMPOSE, "build: ../../service", "build: ../../other", "no file deploys the service"),
        (COMPOSE, "target: /etc/nginx\n", "target: /etc/nginx-other\n", "mount one"),
        (NGINX, "nginx-shared/tls.conf", "nginx-shared/gone.conf", "nginx.conf:20: nothing of the repository"),
        (GUNICORN, "wsgi_app = ", "application = ", "the application is expected here"),
        (ENV, "GUNICORN_TIMEOUT=30", "GUNICORN_TIMEOUT=soon", "service.env:24: 'soon' is not a number"),
        (
            GUNICORN,
            "timeout = settings.gunicorn_timeout",
            "timeout = settings.gunicorn_timeout**2",
            "is not read here",
        ),
    ],
)
def test_what_cannot_be_read_is_an_error(path: str, old: str, new: str, message: str, tree: Tree) -> None:
    tree.edit(path, old, new, count=99 if "build" in old else 1)
    with pytest.raises(HandbookError, match=message):
        tree.new_findings()


@pytest.mark.parametrize(
    ("edits"),
    [
        pytest.param(((COMPOSE, "image: nginx:1.30.6", "image: nginx@sha256:" + "0" * 64),), id="a digest pins"),
        pytest.param(((ENV, "GUNICORN_TIMEOUT=30", "GUNICORN_TIMEOUT=21"),), id="no limit of requests"),
        pytest.param(((ENV, "LOG_LEVEL=info", "LOG_LEVEL=Warning"),), id="choices in any case"),
        pytest.param(((ENV, "WEB_CONCURRENCY=1", "GUNICORN_WORKERS=1"),), id="the other name of workers"),
        pytest.param(((COMPOSE, "stop_grace_period: 75s", "stop_grace_period: 1m15s"),), id="minutes"),
        pytest.param(
            ((COMPOSE, '- "443:8443"', '- target: 8443\n        published: "443"'),), id="the long form of a port"
        ),
        pytest.param(((COMPOSE, "image: nginx:1.30.6", "image: ${NGINX:-nginx:1.30.6}"),), id="a variable's default"),
        pytest.param(
            ((COMPOSE, "env_file: service.env", "env_file: [{path: ./service.env}]"),), id="env_file in a list"
        ),
        pytest.param(
            ((NGINX, "proxy_pass http://service;", "proxy_pass http://service/;"),), id="a path in proxy_pass"
        ),
        pytest.param(
            (
                (NGINX, "server service:8000", "server backend:8000"),
                (
                    COMPOSE,
                    "      - app\n      - data\n      - models\n",
                    "      app: {aliases: [backend]}\n      data:\n      models:\n",
                ),
            ),
            id="an alias",
        ),
    ],
)
def test_accepts(edits: tuple[Edit, ...], tree: Tree) -> None:
    for edit in edits:
        tree.edit(*edit)
    assert tree.new_findings() == []


def test_a_deployment_is_judged_without_a_repository(tree: Tree) -> None:
    """The same functions judge files from elsewhere: they know nothing but facts."""
    judge: Callable[[Facts], list[Finding]] = contracts.load()["timeouts.ladder"]
    only = Facts(tree.facts().deployments, frozenset(), (), set(), set(), {})
    assert judge(only) == []


SECRETS = ("api_keys", "broker_password", "cache_password", "database_password", "provider_api_key")
SMALL = {
    "compose.yaml": f"""
services:
  service:
    image: assistant:1.0.0
    build: ../../service
    ports: ["127.0.0.1:8000:8000"]
    env_file: service.env
    secrets: [{", ".join(SECRETS)}]
    stop_grace_period: 75s
  postgres:
    image: <database>
    command: postgres -c effective_cache_size=256MB
    environment: {{POSTGRES_PASSWORD_FILE: /run/secrets/database_password}}
    volumes: [../../postgres/init:/docker-entrypoint-initdb.d]
    secrets: [database_password]
    shm_size: 256m
    mem_limit: 512m
    healthcheck: {{test: pg_isready --host=127.0.0.1, timeout: 5s}}
secrets: {{{", ".join(f"{name}: {{file: secrets/{name}}}" for name in SECRETS)}}}
""",
    "service.env": "DATABASE_HOST=postgres\n",
    "prepare.sh": "".join(f"chmod 0444 secrets/{name}\n" for name in SECRETS),
    "walkthrough.sh": "curl http://127.0.0.1:8000/version\n",
}
FOLDER = "snippets/compose/small"


def add_small(tree: Tree) -> None:
    """Add a stack without a proxy."""
    database = tree.facts().deployments[0].database
    assert database
    assert database.workload.image
    for name, text in SMALL.items():
        tree.edit(f"{FOLDER}/{name}", "", text.lstrip().replace("<database>", database.workload.image.value))


def test_a_stack_without_a_proxy_is_judged(tree: Tree) -> None:
    add_small(tree)
    assert tree.new_findings() == []


@pytest.mark.parametrize(
    ("rule", "name", "old", "new"),
    [
        ("wiring.database", "service.env", "DATABASE_HOST=postgres", "DATABASE_HOST=db"),
        (
            "timeouts.ladder",
            "service.env",
            "DATABASE_HOST=postgres",
            "REQUEST_TIMEOUT_SECONDS=60\nDATABASE_HOST=postgres",
        ),
        ("health.paths", "walkthrough.sh", "/version", "/versions"),
        ("ports.asked", "walkthrough.sh", "8000", "8001"),
        ("environment.dead", "service.env", "DATABASE_HOST=postgres", "DATABASE_HOST=postgres\nLOG_LEVLE=info"),
    ],
)
def test_a_stack_without_a_proxy_can_be_wrong(rule: str, name: str, old: str, new: str, tree: Tree) -> None:
    add_small(tree)
    tree.edit(f"{FOLDER}/{name}", old, new)
    assert {finding.rule for finding in tree.new_findings()} == {rule}


def about(part: str) -> set[str]:
    """The contracts that are only about deployments with a part."""
    return {name for name, rule in contracts.load().items() if part in inspect.signature(rule).parameters}


ONLY_ABOUT = {
    "proxy": {
        "headers.forwarded",
        "headers.once",
        "health.inside",
        "limits.body",
        "limits.connections",
        "limits.requests",
        "limits.status",
        "ports.bind",
        "ports.published",
        "ports.upstream",
        "secrets.renewable",
        "streams.alive",
        "streams.passed_on",
        "timeouts.connect",
        "timeouts.keepalive",
        "wiring.host",
        "wiring.inside",
        "wiring.reloadable",
        "wiring.resolve",
        "wiring.upstreams",
    },
    "redis": {"redis.apart", "redis.asked", "redis.broker", "redis.cache", "redis.memory"},
    "worker": {"jobs.longest"},
    "measured": {"memory.measured"},
    "database": {
        "connections.fit",
        "connections.memory",
        "health.database",
        "ports.database",
        "wiring.database",
        "wiring.role",
    },
}


@pytest.mark.parametrize(
    ("edit", "part"),
    [
        ((COMPOSE, "image: nginx:", "image: caddy:"), "proxy"),
        ((COMPOSE, "image: pgvector/", "image: x/x"), "database"),
        ((COMPOSE, "image: redis:", "image: keydb:"), "redis"),
        ((COMPOSE, "      - worker\n", "      - inspect\n"), "worker"),
        ((MEASURED, '"memory"', '"speed"'), "measured"),
    ],
)
def test_a_part_that_no_deployment_has_is_said(edit: Edit, part: str, tree: Tree) -> None:
    tree.edit(*edit, count=99)
    said = {finding.rule for finding in tree.new_findings() if f"no deployment has {part}" in finding.message}
    assert said == about(part) == ONLY_ABOUT[part]


def test_no_deployment_at_all_is_said() -> None:
    found = contracts.judge(Facts([], frozenset(), (), set(), set(), {}))
    per_deployment = {name for name, rule in contracts.load().items() if name not in OVER_ALL}
    assert {finding.rule for finding in found} == per_deployment


OVER_ALL = {"environment.documented", "images.same", "snippets.shown", "wiring.files"}

VM = {
    "nginx.conf": """
worker_shutdown_timeout 70s;
http {
    include shared/timeouts.conf;
    include shared/limits.conf;
    upstream service {
        server unix:/run/assistant/http.sock;
        keepalive 8;
        keepalive_timeout 2s;
    }
    server {
        listen 80;
        server_name api.example.com;
        return 308 https://api.example.com$request_uri;
    }
    server {
        listen 443 ssl;
        server_name api.example.com;
        ssl_certificate /etc/letsencrypt/live/api.example.com/fullchain.pem;
        ssl_certificate_key /etc/letsencrypt/live/api.example.com/privkey.pem;
        include shared/forwarded.conf;
        limit_req zone=requests burst=200 nodelay;
        limit_conn connections 100;
        location / { proxy_pass http://service; }
        location = /health/ready { proxy_pass http://unix:/run/assistant/http.sock:/health/ready; }
        location /health { return 404; }
        location /metrics { return 404; }
        location = /v1/answers { include shared/stream.conf; proxy_pass http://service; }
    }
}
""",
    "assistant.env": """
DATABASE_HOST=127.0.0.1
SECRETS_DIR=/etc/assistant/secrets
WEB_CONCURRENCY=2
GUNICORN_BIND=unix:/run/assistant/http.sock
""",
    "postgres": "postgres -c max_connections=60 -c effective_cache_size=768MB",
    "init.sql": "CREATE ROLE assistant LOGIN;\nCREATE DATABASE assistant OWNER assistant;\n",
    "walkthrough.sh": """
curl --fail https://api.example.com/version
curl --fail http://127.0.0.1:80/
""",
}


def on_one_host(tree: Tree, edits: tuple[Edit, ...] = ()) -> Facts:
    """Add a host where systemd runs everything to the deployments: no image, no network, no published port."""
    texts = {name: text.lstrip() for name, text in VM.items()}
    for name, old, new in edits:
        assert old in texts[name], f"{name} does not say {old!r}"
        texts[name] = texts[name].replace(old, new)
    (tree.root / "vm").mkdir(exist_ok=True)
    for name, text in texts.items():
        (tree.root / "vm" / name).write_text(text, encoding="utf-8")
    maps = {"/etc/nginx/nginx.conf": "vm/nginx.conf", "/etc/nginx/shared": "snippets/nginx"}
    conf = nginx.read(tree.root, "vm/nginx.conf", "/etc/nginx/nginx.conf", mapped(maps), tree.files)
    words = [Fact(word, "vm/postgres", 1) for word in texts["postgres"].split()]
    source = code.read(tree.root, "snippets/service", tree.files)

    def unit(name: str, *reachable_as: str, **more: Any) -> Workload:
        grace = Fact(75.0, f"vm/{name}.service", 2)
        at = Fact(name, f"vm/{name}.service", 1)
        return Workload(at, reachable_as={*reachable_as}, stop_grace_seconds=grace, **more)

    environment = env.read(tree.root, "vm/assistant.env")
    given = (f"/etc/assistant/secrets/{name}" for name in SECRETS)
    own = {"environment": environment, "secrets": {path: Fact(path, "vm/assistant.service", 3) for path in given}}
    local = ("127.0.0.1", "localhost")
    proxy = unit("nginx", *local, secrets={file.value: file for file in conf.files})
    alembic = [Fact(word, "vm/migrations.service", 4) for word in ("alembic", "upgrade", "head")]
    service = unit("assistant", *local, **own)
    password = {path: fact for path, fact in own["secrets"].items() if path.endswith("/database_password")}
    migrations = unit("migrations", command=alembic, runs_once=True, environment=environment, secrets=password)
    memory = Fact(2**30, "vm/postgresql.service", 3)
    database = unit("postgresql", *local, "/var/run/postgresql", memory_bytes=memory)
    facts = tree.facts()
    facts.deployments.append(
        Deployment(
            at=Fact("vm", "vm/assistant.service", 1),
            proxy=Proxy(proxy, conf),
            service=Service(service, source),
            database=Database(database, postgres.flags(words), postgres.scripts(tree.root, ["vm/init.sql"])),
            workloads=[proxy, service, migrations, database],
            jobs=[Service(migrations, source)],
            scripts=[shell.read(tree.root, "vm/walkthrough.sh")],
            secrets=None,
        )
    )
    return facts


TCP: tuple[Edit, ...] = (
    ("nginx.conf", "unix:/run/assistant/http.sock;", "127.0.0.1:8000;"),
    ("nginx.conf", "unix:/run/assistant/http.sock:", "127.0.0.1:8000"),
    ("assistant.env", "unix:/run/assistant/http.sock", "127.0.0.1:8000"),
)


@pytest.mark.parametrize(
    "edits",
    [
        pytest.param((), id="a socket"),
        pytest.param(TCP, id="a port"),
        pytest.param((*TCP, ("nginx.conf", "server 127.0.0.1", "server localhost")), id="localhost"),
        pytest.param((("assistant.env", "HOST=127.0.0.1", "HOST=/var/run/postgresql"),), id="the database's socket"),
        pytest.param((("postgres", "postgres -c", "postgres -c listen_addresses=localhost,::1 -c"),), id="listens"),
    ],
)
def test_one_host_is_judged(edits: tuple[Edit, ...], tree: Tree) -> None:
    assert set(contracts.judge(on_one_host(tree, edits))) - tree.before == set()


@pytest.mark.parametrize(
    ("edits", "found"),
    [
        (
            (("assistant.env", "http.sock", "other.sock"),),
            {("ports.upstream", "nginx.conf", 6), ("ports.upstream", "nginx.conf", 24)},
        ),
        ((("nginx.conf", "http.sock:/", "other.sock:/"),), {("ports.upstream", "nginx.conf", 24)}),
        (
            (("assistant.env", "GUNICORN_BIND=unix:/run/assistant/http.sock\n", ""),),
            {("ports.upstream", "nginx.conf", 6), ("ports.upstream", "nginx.conf", 24)},
        ),
        ((*TCP, ("assistant.env", "127.0.0.1:8000", "0.0.0.0:8000")), {("ports.published", "assistant.env", 4)}),
        ((("postgres", "postgres -c", "postgres -c listen_addresses=* -c"),), {("ports.published", "postgres", 1)}),
        (
            (("nginx.conf", "listen ", "listen 127.0.0.1:"), ("walkthrough.sh", "curl --fail https", "# https")),
            {("ports.published", "nginx.service", 1), ("wiring.host", "nginx.conf", 1)},
        ),
        (
            (*TCP, ("nginx.conf", "server 127.0.0.1:8000", "server backend:8000")),
            {
                ("wiring.upstreams", "nginx.conf", 6),
                ("wiring.resolve", "nginx.conf", 6),
                ("ports.bind", "assistant.env", 4),
            },
        ),
        ((("assistant.env", "HOST=127.0.0.1", "HOST=10.0.0.9"),), {("wiring.database", "assistant.env", 1)}),
        ((("walkthrough.sh", "127.0.0.1:80/", "127.0.0.1:9000/"),), {("ports.asked", "walkthrough.sh", 2)}),
        ((("walkthrough.sh", "example.com/", "example.com:5432/"),), {("ports.asked", "walkthrough.sh", 1)}),
        ((("nginx.conf", "location /health {", "location /healthy {"),), {("health.inside", "nginx.conf", 23)}),
        ((("postgres", "=60", "=30"),), {("connections.fit", "postgres", 1)}),
        ((("nginx.conf", "timeout 70s", "timeout 76s"),), {("timeouts.stop", "nginx.conf", 1)}),
    ],
)
def test_one_host_can_be_wrong(edits: tuple[Edit, ...], found: set[tuple[str, str, int]], tree: Tree) -> None:
    findings = set(contracts.judge(on_one_host(tree, edits))) - tree.before
    assert {(finding.rule, finding.path.removeprefix("vm/"), finding.line) for finding in findings} == found


def test_a_target_with_no_image_no_network_and_no_secret_files_keeps_nothing_in_silence(tree: Tree) -> None:
    facts = on_one_host(tree)
    facts.deployments = facts.deployments[-1:]
    said = {finding.rule for finding in contracts.judge(facts) if "nothing to compare" in finding.message}
    absent = ("image", "networks", "secrets", "redis", "worker", "measured", "host")
    assert said == {"images.pinned"}.union(*map(about, absent))
    assert {"images.built", "wiring.inside", "secrets.made", "health.present"} <= said
