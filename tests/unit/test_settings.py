"""Settings come from the environment, once, and say what does not parse."""

from pathlib import Path

import pytest

from conduit import settings
from conduit.errors import ConduitError


def test_a_variable_wins_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDUIT_REQUEST_TIMEOUT_S", "12.5")
    assert settings.load().request_timeout_s == 12.5
    monkeypatch.delenv("CONDUIT_REQUEST_TIMEOUT_S")
    assert settings.load().request_timeout_s == 300.0


def test_the_records_are_sqlite_in_the_data_folder_unless_a_url_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDUIT_DATA_DIR", str(tmp_path))
    assert settings.load().database_url == f"sqlite:///{tmp_path}/conduit.db"
    monkeypatch.setenv("CONDUIT_DB_URL", "postgresql+psycopg://me:secret@host/db")
    loaded = settings.load()
    assert loaded.database_url.endswith("me:secret@host/db")
    assert "secret" not in repr(loaded)


def test_a_certificate_and_its_key_go_together_and_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    monkeypatch.setenv("CONDUIT_TLS_CERTIFICATE", str(certificate))
    with pytest.raises(ConduitError, match="CONDUIT_TLS_KEY is not set"):
        settings.load()
    monkeypatch.setenv("CONDUIT_TLS_KEY", str(key))
    with pytest.raises(ConduitError, match=f"CONDUIT_TLS_CERTIFICATE: there is no file {certificate}"):
        settings.load()
    certificate.touch()
    key.touch()
    assert (settings.load().tls_certificate, settings.load().tls_key) == (certificate, key)


def test_the_project_is_the_enclosing_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONDUIT_PROJECT")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert settings.load().project == str(inner)
    (tmp_path / ".git").mkdir()
    assert settings.load().project == str(tmp_path)


def test_what_does_not_parse_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDUIT_REQUEST_TIMEOUT_S", "soon")
    monkeypatch.setenv("CONDUIT_STARTUP_TIMEOUT_S", "-1")
    with pytest.raises(ConduitError) as caught:
        settings.load()
    assert "CONDUIT_REQUEST_TIMEOUT_S" in caught.value.message
    assert "CONDUIT_STARTUP_TIMEOUT_S" in caught.value.message
    assert "soon" not in str(caught.value)
    assert "conduit doctor" in str(caught.value)
