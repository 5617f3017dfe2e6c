"""Settings: read from the environment, frozen, and never ignored when misspelt."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from server.settings import CHECKOUT, Settings, SettingsError, read_settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of this machine reaches the tests."""
    for name in [each for each in os.environ if each.startswith("LOUPE_")]:
        monkeypatch.delenv(name)


def test_nothing_needs_to_be_set() -> None:
    """The defaults serve the checkout on loopback."""
    settings = read_settings()
    assert settings.listen == "127.0.0.1:50051"
    assert settings.model_repository == CHECKOUT / "model_repository"


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """By their names in capitals, behind the prefix."""
    monkeypatch.setenv("LOUPE_LISTEN", "[::1]:7")
    monkeypatch.setenv("LOUPE_RUN_ROOT", "/somewhere")
    monkeypatch.setenv("LOUPE_ACCESS_LOG", "false")
    settings = read_settings()
    assert (settings.listen, settings.run_root, settings.access_log) == ("[::1]:7", Path("/somewhere"), False)


def test_every_finding_comes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt name with the right one, and values that cannot be."""
    monkeypatch.setenv("LOUPE_LISEN", "x")
    monkeypatch.setenv("LOUPE_INSTANCE_COUNT", "0")
    monkeypatch.setenv("LOUPE_LOG_LEVEL", "LOUD")
    with pytest.raises(SettingsError) as error:
        read_settings()
    assert "LOUPE_LISEN is no setting; did you mean LOUPE_LISTEN?" in str(error.value)
    assert "LOUPE_INSTANCE_COUNT: " in str(error.value)
    assert "LOUPE_LOG_LEVEL: " in str(error.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"TLS_KEY": "/key.pem"}, "come together"),
        ({"DEFAULT_DEADLINE_S": "70"}, "must not exceed"),
        ({"RECOMMEND_LIKELY": "0.95"}, "must fall"),
        ({"INSPECTION_KEY": "short"}, "16 to 64"),
    ],
)
def test_settings_must_agree(monkeypatch: pytest.MonkeyPatch, values: dict[str, str], message: str) -> None:
    """What only makes sense together is checked together."""
    for name, value in values.items():
        monkeypatch.setenv(f"LOUPE_{name}", value)
    with pytest.raises(SettingsError, match=message):
        read_settings()


def test_settings_do_not_change() -> None:
    """They are read once."""
    with pytest.raises(ValidationError):
        read_settings().listen = "elsewhere:1"  # type: ignore[misc]


def test_a_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the log nor in an error."""
    monkeypatch.setenv("LOUPE_INSPECTION_KEY", "correct horse battery staple")
    assert "horse" not in repr(read_settings())
    monkeypatch.setenv("LOUPE_INSPECTION_KEY", "horse")
    with pytest.raises(SettingsError) as error:
        read_settings()
    assert "horse" not in str(error.value)


def test_every_setting_is_described() -> None:
    """With its unit, where it is declared."""
    assert [name for name, each in Settings.model_fields.items() if not each.description] == []
