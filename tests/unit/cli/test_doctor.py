"""The doctor finds what is amiss and says what to do about it."""

import json
import tomllib
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from conduit import settings
from conduit.cli import doctor_checks as checks
from conduit.cli import versions
from conduit.cli.app import app
from conduit.cli.doctor_checks import Outcome
from conduit.compute.runpod import Api
from conduit.errors import FlowServerUnreachable
from support.runpod_account import KEY, Account

ROOT = Path(__file__).parents[3]


def test_the_versions_it_asks_for_are_the_package_s_own_requirements():
    required = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    assert {f"{name}{bounds}" for name, bounds in versions.NEEDED.items()} <= set(required)


@pytest.mark.parametrize(
    ("found", "fits"),
    [
        ("0.138.9", False),
        ("0.139", True),
        ("0.139.0", True),
        ("0.150.2", True),
        ("0.151.0", False),
        ("0.151.0rc1", False),
    ],
)
def test_bounds_compare_numbers_not_text(found, fits):
    assert versions.Bounds("0.139", "0.151").fit(found) is fits


@pytest.mark.parametrize("found", ["0.165.0", None])
def test_a_fastapi_that_breaks_prefect_is_named_with_the_remedy(monkeypatch, found):
    monkeypatch.setattr(checks, "found_version", lambda name: found if name == "fastapi" else "3.8.8")
    prefect, fastapi = checks.packages()
    assert prefect.outcome is Outcome.OK
    assert fastapi.outcome is Outcome.FAILED
    assert fastapi.remedy == "pip install 'fastapi>=0.139,<0.151'"


def test_a_missing_engine_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(checks, "found_version", lambda name: None if name == "mistralrs" else "1")
    check = checks.local_engine()
    assert check.outcome is Outcome.FAILED
    assert "mistralrs" in check.found
    assert check.remedy == "pip install 'conduit-dataflow[local]'"


def test_a_data_folder_that_cannot_be_written_fails(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CONDUIT_DATA_DIR", str(tmp_path / "file"))
    check = checks.data_folder(settings.load())
    assert check.outcome is Outcome.FAILED
    assert "CONDUIT_DATA_DIR" in check.remedy
    assert checks.records(settings.load()).outcome is Outcome.FAILED


def test_a_configured_prefect_server_that_does_not_answer_fails(monkeypatch):
    def dead():
        raise FlowServerUnreachable("It does not answer.", hint="Start it.", api_url="http://x/api")

    monkeypatch.setattr(checks, "configured_server", dead)
    check = checks.prefect_server()
    assert (check.outcome, check.found, check.remedy) == (Outcome.FAILED, "It does not answer.", "Start it.")


def test_no_prefect_server_is_a_note_not_a_failure(monkeypatch):
    monkeypatch.setattr(checks, "configured_server", lambda: None)
    assert checks.prefect_server().outcome is Outcome.NOTE


def test_little_memory_is_noted_with_the_numbers(monkeypatch):
    class Memory:
        available = 200 * 2**20

    monkeypatch.setattr(checks.psutil, "virtual_memory", Memory)
    check = checks.memory()
    assert check.outcome is Outcome.NOTE
    assert "0.2 GiB" in check.found


def test_without_a_runpod_key_nothing_is_asked_and_the_variable_is_named():
    check = checks.runpod(settings.load())
    assert (check.outcome, check.found) == (Outcome.NOTE, "no key is set")
    assert "CONDUIT_RUNPOD_API_KEY" in check.remedy


@pytest.mark.parametrize(("key", "outcome"), [(KEY, Outcome.OK), ("rpa_wrong", Outcome.FAILED)])
def test_a_runpod_key_is_tried_and_where_it_comes_from_is_said(monkeypatch, key, outcome):
    monkeypatch.setenv("RUNPOD_API_KEY", key)
    opened = partial(Api.from_settings, transport=Account().transport)
    monkeypatch.setattr(checks, "Api", SimpleNamespace(from_settings=opened))
    check = checks.runpod(settings.load())
    assert check.outcome is outcome
    assert "RUNPOD_API_KEY" in (check.found if outcome is Outcome.OK else check.remedy)
    values = {value.name: value for value in checks.setting_values(settings.load())}
    assert values["runpod_api_key"].source == "environment variable RUNPOD_API_KEY"
    assert key not in f"{check} {values}"


def test_every_setting_is_shown_with_its_source_and_no_secret(monkeypatch, tmp_path):
    monkeypatch.setenv("CONDUIT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CONDUIT_DB_URL", "postgresql://me:hunter2@host/db")
    monkeypatch.delenv("CONDUIT_PROJECT", raising=False)
    values = {value.name: value for value in checks.setting_values(settings.load())}
    assert set(values) == set(settings.Settings.model_fields)
    assert values["data_dir"].value == str(tmp_path)
    assert values["data_dir"].source == "environment variable CONDUIT_DATA_DIR"
    assert values["project"].source == "default"
    assert "hunter2" not in str(values)


def test_settings_that_do_not_parse_are_a_finding_and_exit_code_1(monkeypatch):
    monkeypatch.setenv("CONDUIT_STARTUP_TIMEOUT_S", "soon")
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["ok"] is False
    found = next(check for check in document["checks"] if check["name"] == "settings")
    assert "CONDUIT_STARTUP_TIMEOUT_S" in found["found"]
    assert {
        "name": "startup_timeout_s",
        "value": "soon",
        "source": "environment variable CONDUIT_STARTUP_TIMEOUT_S",
    } in (document["settings"])


def test_a_password_in_an_address_that_does_not_parse_is_not_shown(monkeypatch):
    monkeypatch.setenv("CONDUIT_RUNPOD_BASE_URL", "https://me:hunter2@example.org")
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 1
    assert "CONDUIT_RUNPOD_BASE_URL" in result.stdout
    assert "hunter2" not in result.output
