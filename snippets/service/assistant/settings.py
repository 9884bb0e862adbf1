"""Settings from environment variables and from files in the secrets directory.

A variable has the name of the field in capitals; a file has the name of the field. The variable wins over the file,
and an empty variable counts as not set. TLS to the database needs no setting here: libpq reads PGSSLMODE and
PGSSLROOTCERT itself.
"""

import os
import re
from ipaddress import ip_network
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from assistant.secret import Secret, SecretKeyHashes


class SettingsError(Exception):
    """A setting is missing or wrong. The text is one line that names it."""


def networks(value: str) -> str:
    """Return a comma-separated list of addresses and networks as it is. Raises ValueError when it is not one."""
    for part in value.split(","):
        if part.strip() != "*":
            ip_network(part.strip())
    return value


def origins(value: str) -> str:
    """Return a comma-separated list of origins as it is. Raises ValueError when it is not one, and for "*"."""
    for part in value.split(",") if value else []:
        if not re.fullmatch(r"https?://[a-z0-9.-]+(:\d+)?", part.strip()):
            raise ValueError("not a list of origins such as https://www.example.com")
    return value


def redis_url(value: str) -> str:
    """Return the address of a Redis database as it is. Raises ValueError when it is not one, or holds a login."""
    url = urlsplit(value)
    if url.scheme not in ("redis", "rediss") or not url.hostname or not url.port or not re.fullmatch(r"/\d+", url.path):
        raise ValueError("not an address such as redis://127.0.0.1:6379/0")
    if url.username or url.password:
        raise ValueError("no login belongs here; the password has a setting of its own")
    return value


Networks = Annotated[str, AfterValidator(networks)]
Origins = Annotated[str, AfterValidator(origins)]
RedisUrl = Annotated[str, AfterValidator(redis_url)]
HttpUrl = Annotated[str, Field(pattern=r"^https?://[^/@]+(/.*)?$")]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(str.upper)]


class ProcessSettings(BaseSettings):
    """What the server and the application must agree on."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore")

    log_format: Literal["json", "text"] = "json"
    log_level: LogLevel = "INFO"
    forwarded_allow_ips: Networks = "127.0.0.1,::1"


class ServerSettings(ProcessSettings):
    """What gunicorn.conf.py hands to gunicorn."""

    gunicorn_bind: Annotated[str, Field(pattern=r"^(unix:.+|.*:\d+)$")] = "127.0.0.1:8000"
    gunicorn_workers: PositiveInt | None = None
    web_concurrency: PositiveInt = 1
    gunicorn_threads: PositiveInt = 1
    gunicorn_timeout: PositiveInt = 30
    # Longer than the longest answer (ANSWER_TIMEOUT_SECONDS): a stop lets it end.
    gunicorn_graceful_timeout: PositiveInt = 65
    gunicorn_max_requests: NonNegativeInt = 0
    gunicorn_max_requests_jitter: NonNegativeInt = 0
    gunicorn_log_level: LogLevel | None = None
    # Where the processes put their counts, so that each can tell the sum. Unset: a new folder in memory.
    prometheus_multiproc_dir: str | None = None


class DatabaseSettings(ProcessSettings):
    """What everything that uses the database needs; the migrations need no more.

    A request may wait for a connection of the pool, for a new connection and for one statement: the sum of the three
    stays below the request's own deadline.
    """

    database_host: str = "127.0.0.1"
    database_port: Annotated[PositiveInt, Field(le=65535)] = 5432
    database_name: str = "assistant"
    database_user: str = "assistant"
    database_password: Secret
    database_pool_size: PositiveInt = 5
    database_pool_overflow: NonNegativeInt = 5
    database_pool_timeout_seconds: PositiveFloat = 3
    database_connect_timeout_seconds: PositiveInt = 3
    database_statement_timeout_seconds: PositiveInt = 10
    request_timeout_seconds: PositiveFloat = 20


class WorkSettings(DatabaseSettings):
    """What everything that stores documents needs: the worker and beat need no more.

    A stop waits for the longest job; only after VISIBILITY_TIMEOUT_SECONDS does the broker give a job whose worker
    vanished to another one, so no job may take that long.
    """

    # Both Redis servers know the user "assistant".
    cache_url: RedisUrl = "redis://127.0.0.1:6379/0"
    cache_password: Secret
    broker_url: RedisUrl = "redis://127.0.0.1:6380/0"
    broker_password: Secret
    job_timeout_seconds: PositiveInt = 30
    visibility_timeout_seconds: PositiveInt = 45


class Settings(WorkSettings):
    """What the application needs.

    An answer is a stream: PROVIDER_TIMEOUT_SECONDS is how long the provider may be silent, before the first token and
    between two, and ANSWER_TIMEOUT_SECONDS is how long the whole stream may take. Every HEARTBEAT_SECONDS something
    is sent, so that a proxy can tell a slow answer from a lost one.
    """

    # Lines of name:hash, the SHA-256 of the key in hexadecimal digits.
    api_keys: SecretKeyHashes
    rate_limit_per_minute: PositiveInt = 600
    # Whose pages may call the service from a browser, as in https://www.example.com,https://example.com
    cors_allow_origins: Origins = ""
    max_body_bytes: PositiveInt = 1_048_576
    # For how long an answer to a search is kept at most; see cache.py.
    cache_ttl_seconds: PositiveInt = 3600
    provider_url: HttpUrl = "http://127.0.0.1:9000/v1"
    provider_api_key: Secret
    provider_model: str = "stand-in"
    provider_timeout_seconds: PositiveFloat = 30
    provider_retries: NonNegativeInt = 2
    answer_timeout_seconds: PositiveFloat = 60
    heartbeat_seconds: PositiveFloat = 10


AnySettings = TypeVar("AnySettings", bound=BaseSettings)


def load(settings: type[AnySettings]) -> AnySettings:
    """Read the given settings. Raises SettingsError, without the values, when one is missing or wrong."""
    directory = os.environ.get("SECRETS_DIR") or "/run/secrets"
    try:
        return settings(_secrets_dir=directory if os.path.isdir(directory) else None)
    except SourceError as error:
        raise SettingsError(f"{error}: {error.__cause__}") from None
    except ValidationError as error:
        problems = []
        for problem in error.errors(include_input=False):
            name = str(problem["loc"][0])
            reason = problem["msg"]
            if problem["type"] == "missing":
                reason = f"missing; set the variable or write the file {directory}/{name.lower()}"
            problems.append(f"{name.upper()}: {reason}")
        raise SettingsError("; ".join(problems)) from None
