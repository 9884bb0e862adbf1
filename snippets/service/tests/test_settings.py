import warnings
from hashlib import sha256
from pathlib import Path

import pytest

from assistant.settings import DatabaseSettings, ServerSettings, Settings, SettingsError, WorkSettings, load

REAL = "kW7uZr2-tQx9_bFhM4cV"


def test_a_missing_secret_is_named(secrets: Path) -> None:
    with pytest.raises(SettingsError, match=f"^DATABASE_PASSWORD: missing; .*{secrets}/database_password$"):
        load(DatabaseSettings)


@pytest.mark.parametrize(
    "value",
    [
        "change-me",
        "CHANGEME123",
        "password",
        "secret",
        "your-strong-password-here",
        "example",
        "<database_password>",
        "${DATABASE_PASSWORD}",
        "supersecretpassword",
        "1234567890123456",
        "xxxxxxxxxxxxxxxxxxxx",
        "kW7uZr2",
        "abababababababababab",
    ],
)
def test_a_stand_in_for_a_secret_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", value)
    with pytest.raises(SettingsError, match=r"^DATABASE_PASSWORD: (a placeholder|too easy to guess); [^\n]+$"):
        load(DatabaseSettings)


@pytest.mark.parametrize("value", [REAL, "9f86d081884c7d659a2feaa0c55ad015", "correct-horse-secret-battery"])
def test_a_real_secret_is_accepted(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", value)
    assert load(DatabaseSettings).database_password.get_secret_value() == value


def test_a_refused_secret_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "kW7uZr2")
    with pytest.raises(SettingsError) as refusal:
        load(DatabaseSettings)
    assert "kW7uZr2" not in str(refusal.value)


def test_a_secret_file_may_end_with_a_newline(secrets: Path) -> None:
    (secrets / "database_password").write_text(f"{REAL}\n")
    assert load(DatabaseSettings).database_password.get_secret_value() == REAL


def test_an_empty_variable_leaves_the_file_in_force(monkeypatch: pytest.MonkeyPatch, secrets: Path) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "")
    (secrets / "database_password").write_text(REAL)
    assert load(DatabaseSettings).database_password.get_secret_value() == REAL


def test_a_secret_that_cannot_be_read_is_named(secrets: Path) -> None:
    (secrets / "database_password").write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="database_password"):
        load(DatabaseSettings)


def test_a_missing_secrets_directory_is_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRETS_DIR", "/nonexistent")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(ServerSettings)


@pytest.mark.parametrize("port", ["many", "0", "70000"])
def test_every_wrong_setting_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", REAL)
    monkeypatch.setenv("DATABASE_PORT", port)
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "nginx")
    with pytest.raises(SettingsError, match=r"^FORWARDED_ALLOW_IPS: [^\n]+; DATABASE_PORT: [^\n]+$"):
        load(DatabaseSettings)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (DatabaseSettings, {"DATABASE_PASSWORD"}),
        (WorkSettings, {"DATABASE_PASSWORD", "CACHE_PASSWORD", "BROKER_PASSWORD"}),
        (
            Settings,
            {"DATABASE_PASSWORD", "CACHE_PASSWORD", "BROKER_PASSWORD", "API_KEYS", "PROVIDER_API_KEY"},
        ),
    ],
)
def test_each_program_needs_the_secrets_that_it_uses(settings: type[DatabaseSettings], names: set[str]) -> None:
    with pytest.raises(SettingsError) as missing:
        load(settings)
    assert {reason.partition(":")[0] for reason in str(missing.value).split("; ") if "missing" in reason} == names


ONE, TWO = (f"name:{sha256(key).hexdigest()}" for key in (b"one", b"two"))


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (REAL, "entry 1 is not name:hash"),
        (f"{ONE}\n{TWO[5:]}", "entry 2 is not name:hash"),
        (ONE.upper(), "entry 1 is not name:hash"),
        (ONE[:-1], "entry 1 is not name:hash"),
        ("\n", "no key"),
        (f"name:{sha256(b'').hexdigest()}", "no key"),
        (f"{ONE}\nname:{sha256(bytes([10])).hexdigest()}", "no key"),
        (f"{ONE}\nother:{ONE[5:]}", "a key stands in it twice"),
    ],
)
@pytest.mark.usefixtures("required_settings")
def test_a_list_of_keys_that_is_none_is_refused_and_not_quoted(
    monkeypatch: pytest.MonkeyPatch, lines: str, reason: str
) -> None:
    monkeypatch.setenv("API_KEYS", lines)
    with pytest.raises(SettingsError, match=f"^API_KEYS: {reason}") as refusal:
        load(Settings)
    assert not [part for part in lines.split() if part in str(refusal.value)]


@pytest.mark.usefixtures("required_settings")
def test_keys_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, secrets: Path) -> None:
    monkeypatch.delenv("API_KEYS")
    (secrets / "api_keys").write_text(f"{ONE}\n{TWO}\n")
    assert load(Settings).api_keys.get_secret_value() == f"{ONE}\n{TWO}"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CACHE_URL", "http://cache:6379/0"),
        ("CACHE_URL", "redis://cache"),
        ("CACHE_URL", "redis://cache:6379"),
        ("CACHE_URL", "redis://cache:many/0"),
        ("BROKER_URL", "redis://assistant:kW7uZr2@broker:6379/0"),
        ("CORS_ALLOW_ORIGINS", "*"),
        ("CORS_ALLOW_ORIGINS", "www.example.com"),
        ("CORS_ALLOW_ORIGINS", "https://www.example.com/"),
        ("CORS_ALLOW_ORIGINS", "https://www.example.com,"),
        ("PROVIDER_URL", "provider:9000"),
        ("PROVIDER_URL", "https://key@provider:9000/v1"),
        ("RATE_LIMIT_PER_MINUTE", "0"),
    ],
)
@pytest.mark.usefixtures("required_settings")
def test_an_address_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    load(Settings)
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"^{variable}: ") as refusal:
        load(Settings)
    assert "kW7uZr2" not in str(refusal.value)


@pytest.mark.usefixtures("required_settings")
def test_by_default_who_waits_waits_longer_than_who_answers() -> None:
    settings, server = load(Settings), load(ServerSettings)
    waits = [
        settings.heartbeat_seconds,
        settings.request_timeout_seconds,
        settings.provider_timeout_seconds,
        settings.answer_timeout_seconds,
        server.gunicorn_graceful_timeout,
    ]
    assert waits == sorted(set(waits))
    assert settings.job_timeout_seconds < settings.visibility_timeout_seconds
