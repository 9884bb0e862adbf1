import warnings
from pathlib import Path

import pytest

from assistant.settings import ServerSettings, Settings, SettingsError, load

REAL = "kW7uZr2-tQx9_bFhM4cV"


def test_a_missing_secret_is_named(secrets: Path) -> None:
    with pytest.raises(SettingsError, match=f"^DATABASE_PASSWORD: missing; .*{secrets}/database_password$"):
        load(Settings)


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
        load(Settings)


@pytest.mark.parametrize("value", [REAL, "9f86d081884c7d659a2feaa0c55ad015", "correct-horse-secret-battery"])
def test_a_real_secret_is_accepted(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", value)
    assert load(Settings).database_password.get_secret_value() == value


def test_a_refused_secret_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "kW7uZr2")
    with pytest.raises(SettingsError) as refusal:
        load(Settings)
    assert "kW7uZr2" not in str(refusal.value)


def test_a_secret_file_may_end_with_a_newline(secrets: Path) -> None:
    (secrets / "database_password").write_text(f"{REAL}\n")
    assert load(Settings).database_password.get_secret_value() == REAL


def test_an_empty_variable_leaves_the_file_in_force(monkeypatch: pytest.MonkeyPatch, secrets: Path) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "")
    (secrets / "database_password").write_text(REAL)
    assert load(Settings).database_password.get_secret_value() == REAL


def test_a_secret_that_cannot_be_read_is_named(secrets: Path) -> None:
    (secrets / "database_password").write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="database_password"):
        load(Settings)


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
        load(Settings)
