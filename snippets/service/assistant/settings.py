"""Settings from environment variables and from files in the secrets directory.

A variable has the name of the field in capitals; a file has the name of the field. The variable wins over the file,
and an empty variable counts as not set. TLS to the database needs no setting here: libpq reads PGSSLMODE and
PGSSLROOTCERT itself.
"""

import os
from ipaddress import ip_network
from typing import Annotated, Literal, TypeVar

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

from assistant.secret import Secret


class SettingsError(Exception):
    """A setting is missing or wrong. The text is one line that names it."""


def networks(value: str) -> str:
    """Return a comma-separated list of addresses and networks as it is. Raises ValueError when it is not one."""
    for part in value.split(","):
        if part.strip() != "*":
            ip_network(part.strip())
    return value


Networks = Annotated[str, AfterValidator(networks)]
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
    gunicorn_graceful_timeout: PositiveInt = 25
    gunicorn_max_requests: NonNegativeInt = 0
    gunicorn_max_requests_jitter: NonNegativeInt = 0
    gunicorn_log_level: LogLevel | None = None


class Settings(ProcessSettings):
    """What the application needs.

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
