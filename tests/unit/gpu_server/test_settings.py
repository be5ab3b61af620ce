"""The configuration file and the token."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from gpu_server.access.auth import BearerAuth
from gpu_server.errors import ApiError
from gpu_server.settings import (
    EXPIRY_VARIABLE,
    ModelSettings,
    ServerSettings,
    SettingsError,
    expiry,
    load_settings,
    token_from_environment,
)

FULL: dict[str, Any] = {
    "host": "127.0.0.1",
    "port": 0,
    "announce": "/tmp/announce.json",
    "idle_timeout_s": 900,
    "max_lifetime_s": None,
    "max_body_bytes": 1000,
    "models": [
        {
            "model_id": "conduit/tiny",
            "path": "/folder",
            "engine": "mistralrs",
            "max_model_len": 1400,
            "max_model_concurrency": 50,
            "model_batch_execute_timeout_ms": 0,
            "max_queue": 256,
            "dtype": None,
            "revision": None,
            "quantization": None,
        }
    ],
}


def write(folder: Path, value: object) -> Path:
    file = folder / "config.json"
    file.write_text(value if isinstance(value, str) else json.dumps(value))
    return file


def test_reads_the_whole_form(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, FULL))
    assert settings.models[0].model_id == "conduit/tiny"
    assert settings.models[0].path == Path("/folder")
    assert settings.announce == Path("/tmp/announce.json")


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, {"models": [{"model_id": "a"}]}))
    assert (settings.host, settings.port, settings.idle_timeout_s) == ("127.0.0.1", 0, None)
    assert (settings.models[0].path, settings.models[0].max_model_concurrency) == (None, 1)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("{", "JSON"),
        ({**FULL, "prot": 1}, "prot"),
        ({**FULL, "port": 70000}, "port"),
        ({**FULL, "models": []}, "models"),
        ({**FULL, "models": [{"model_id": "a", "max_model_len": 0}]}, "max_model_len"),
        ({**FULL, "models": [{"model_id": "a", "engine": "abacus"}]}, "engine"),
        ({**FULL, "models": [{"model_id": "a"}, {"model_id": "a"}]}, "twice: a"),
        ({**FULL, "idle_timeout_s": 0}, "idle_timeout_s"),
        ({**FULL, "on_expiry": "end_host"}, "host_api"),
        ({**FULL, "host_api": {"kind": "other"}}, "kind"),
        ({**FULL, "models": [{"model_id": "a", "needs_driver": "new"}]}, "needs_driver"),
    ],
)
def test_a_wrong_file_is_refused_by_the_field(tmp_path: Path, value: object, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        load_settings(write(tmp_path, value))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.json"):
        load_settings(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    "token", ["", "short", "with a space in it", "tokené-not-ascii", "line\nbreak-token"]
)
def test_no_usable_token_is_refused_and_never_shown(token: str) -> None:
    with pytest.raises(SettingsError, match="GPU_SERVER_TOKEN") as refused:
        token_from_environment({"GPU_SERVER_TOKEN": token})
    assert not token or token not in str(refused.value)


def test_the_token_does_not_print() -> None:
    token = token_from_environment({"GPU_SERVER_TOKEN": "a-good-token"})
    assert "a-good-token" not in f"{token} {token!r}"


@pytest.mark.parametrize("header", [b"Bearer a-good-token", b"bearer a-good-token", b"Bearer  a-good-token "])
def test_the_right_token_passes(header: bytes) -> None:
    BearerAuth(SecretStr("a-good-token")).check("/v1/models", header)


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        b"Bearer",
        b"Bearer ",
        b"a-good-token",
        b"Basic a-good-token",
        b"Bearer a-good-tokem",
        b"Bearer \xff\xfe",
    ],
)
def test_any_other_is_401(header: bytes | None) -> None:
    with pytest.raises(ApiError) as refused:
        BearerAuth(SecretStr("a-good-token")).check("/v1/models", header)
    assert refused.value.status == 401
    assert refused.value.headers["www-authenticate"] == "Bearer"


def test_only_live_is_open() -> None:
    auth = BearerAuth(SecretStr("a-good-token"))
    auth.check("/live", None)
    for path in ("/ready", "/metrics", "/v1/models", "/live/", "//live"):
        with pytest.raises(ApiError):
            auth.check(path, None)


@pytest.mark.parametrize(
    ("configured", "given", "moment"),
    [(None, "", None), (50, "", 50), (None, "40.5", 40.5), (50, "40", 40), (30, "40", 30)],
)
def test_the_earlier_end_counts(configured: float | None, given: str, moment: float | None) -> None:
    settings = ServerSettings(models=[ModelSettings(model_id="a")], expires_at=configured)
    assert expiry(settings, {EXPIRY_VARIABLE: given}) == moment


def test_an_end_that_is_no_time_is_refused() -> None:
    with pytest.raises(SettingsError, match=EXPIRY_VARIABLE):
        expiry(ServerSettings(models=[ModelSettings(model_id="a")]), {EXPIRY_VARIABLE: "tomorrow"})
