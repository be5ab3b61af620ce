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


def test_a_key_is_read_from_its_common_variable_too_and_conduits_own_wins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CONDUIT_RUNPOD_API_KEY", raising=False)
    monkeypatch.setenv("RUNPOD_API_KEY", "rpa-common\n")
    loaded = settings.load()
    assert loaded.runpod_api_key is not None
    assert loaded.runpod_api_key.get_secret_value() == "rpa-common"
    assert "rpa-common" not in repr(loaded)
    assert settings.variable_set("runpod_api_key") == "RUNPOD_API_KEY"
    monkeypatch.setenv("CONDUIT_RUNPOD_API_KEY", "")
    assert settings.variable_set("runpod_api_key") == "RUNPOD_API_KEY"
    assert settings.load().runpod_api_key == loaded.runpod_api_key
    monkeypatch.setenv("CONDUIT_RUNPOD_API_KEY", "rpa-own")
    assert settings.load().runpod_api_key.get_secret_value() == "rpa-own"
    assert settings.variable_set("runpod_api_key") == "CONDUIT_RUNPOD_API_KEY"


def test_aliases_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDUIT_MODEL_ALIASES", '{"big/model": "conduit/tiny"}')
    assert settings.load().model_aliases == {"big/model": "conduit/tiny"}
    monkeypatch.setenv("CONDUIT_MODEL_ALIASES", "big/model=conduit/tiny")
    with pytest.raises(ConduitError, match="CONDUIT_MODEL_ALIASES: this is no JSON"):
        settings.load()


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("RUNPOD_API_KEY", "sécret key", "printable ASCII"),
        ("RUNPOD_API_BASE_URL", "http://api.example.org", "plain http"),
        ("CONDUIT_RUNPOD_BASE_URL", "https://me:secret@api.example.org", "without user"),
        ("CONDUIT_RUNPOD_BASE_URL", "ftp://api.example.org", "an http"),
        ("CONDUIT_RUNPOD_BASE_URL", "https://api.example.org:8x", "an http"),
        ("CONDUIT_RUNPOD_PROXY_URL", "https://secret.example.org", "{pod_id} and {port}"),
        ("CONDUIT_RUNPOD_SERVERLESS_URL", "https://example.org/{pod_id}/secret", "{endpoint_id}"),
    ],
)
def test_what_could_not_be_asked_safely_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, problem: str
) -> None:
    for name in ("CONDUIT_RUNPOD_API_KEY", "CONDUIT_RUNPOD_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConduitError) as caught:
        settings.load()
    assert f"{variable}: " in caught.value.message
    assert problem in caught.value.message
    assert "secret" not in str(caught.value)


def test_an_address_on_this_machine_may_be_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDUIT_RUNPOD_BASE_URL", "http://127.0.0.1:8123/")
    monkeypatch.setenv("CONDUIT_RUNPOD_PROXY_URL", "http://127.0.0.1:8123/proxy/{pod_id}/{port}")
    loaded = settings.load()
    assert loaded.runpod_base_url == "http://127.0.0.1:8123"
    assert loaded.runpod_proxy_url.format(pod_id="p1", port=8000) == "http://127.0.0.1:8123/proxy/p1/8000"
