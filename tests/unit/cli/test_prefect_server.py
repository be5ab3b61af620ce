"""The demo's own Prefect server is told from other processes, and the user's configuration is respected."""

import json
import os

import psutil
import pytest

from conduit import settings
from conduit.cli import prefect_server
from conduit.cli.prefect_server import OwnServer, client_environment, configured_server, server_environment
from conduit.errors import FlowServerUnreachable


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.setenv("CONDUIT_DATA_DIR", str(tmp_path))
    (tmp_path / "prefect").mkdir()
    return OwnServer(settings.load())


def record(own, *, pid, started_at):
    text = json.dumps({"pid": pid, "started_at": started_at, "port": 4, "kept": True})
    (own.home / "server.json").write_text(text)


def test_a_recorded_server_is_found_by_another_object(own):
    me = psutil.Process()
    record(own, pid=me.pid, started_at=me.create_time())
    server = own.running()
    assert server.pid == os.getpid()
    assert server.kept
    assert server.api_url == "http://127.0.0.1:4/api"


def test_a_process_that_only_has_the_same_number_is_neither_taken_nor_ended(own):
    record(own, pid=os.getpid(), started_at=psutil.Process().create_time() - 100)
    assert own.running() is None
    assert own.stop() is None  # this test goes on, so this process was not ended


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"pid": "x"}'])
def test_a_broken_record_counts_as_none(own, text):
    (own.home / "server.json").write_text(text)
    assert own.running() is None


def test_own_processes_get_none_of_the_user_s_prefect_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", "postgresql://production")
    monkeypatch.setenv("PREFECT_API_KEY", "secret")
    monkeypatch.setenv("PATH", "/bin")
    server, client = (
        server_environment(tmp_path, 4711),
        client_environment(tmp_path, "http://127.0.0.1:4711/api"),
    )
    for environment in (server, client):
        assert "PREFECT_API_DATABASE_CONNECTION_URL" not in environment
        assert "PREFECT_API_KEY" not in environment
        assert environment["PATH"] == "/bin"
        assert environment["PREFECT_HOME"] == str(tmp_path)
    assert server["PREFECT_SERVER_UI_API_URL"] == "http://127.0.0.1:4711/api"
    assert server["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert client["PREFECT_API_URL"] == "http://127.0.0.1:4711/api"


class TestConfiguredServer:
    @pytest.fixture(autouse=True)
    def bare(self, tmp_path, monkeypatch):
        for name in list(os.environ):
            if name.startswith("PREFECT_"):
                monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.chdir(tmp_path)

    def never(self):
        raise AssertionError("Prefect is asked")

    def test_prefect_is_not_asked_where_nothing_is_configured(self, monkeypatch, tmp_path):
        monkeypatch.setattr(prefect_server, "require_server", self.never)
        (tmp_path / "pyproject.toml").write_text("[project]\n")
        assert configured_server() is None

    @pytest.mark.parametrize(
        ("file", "text"),
        [
            (".env", "PREFECT_API_URL=http://x/api\n"),
            ("prefect.toml", '[api]\nurl = "http://x/api"\n'),
            ("pyproject.toml", '[tool.prefect.api]\nurl = "http://x/api"\n'),
            (".prefect/profiles.toml", '[profiles.mine]\nPREFECT_API_URL = "http://x/api"\n'),
        ],
    )
    def test_every_place_of_prefect_s_settings_counts(self, monkeypatch, tmp_path, file, text):
        monkeypatch.setattr(prefect_server, "require_server", lambda: "http://x/api")
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
        assert configured_server() == "http://x/api"

    def test_a_configured_server_that_does_not_answer_is_an_error_not_a_reason_for_another(self, monkeypatch):
        def dead():
            raise FlowServerUnreachable("no answer", api_url="http://x/api")

        monkeypatch.setenv("PREFECT_API_URL", "http://x/api")
        monkeypatch.setattr(prefect_server, "require_server", dead)
        with pytest.raises(FlowServerUnreachable):
            configured_server()

    def test_settings_of_prefect_without_an_address_mean_none(self, monkeypatch):
        def none():
            raise FlowServerUnreachable("none is configured")

        monkeypatch.setenv("PREFECT_API_URL", "")
        monkeypatch.setattr(prefect_server, "require_server", none)
        assert configured_server() is None
