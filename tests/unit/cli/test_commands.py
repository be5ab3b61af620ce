"""The command line's manners: help is quick, errors have hints, ``--json`` is one document."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from conduit import lmlite
from conduit.cli.app import app
from conduit.errors import StoreUnavailable
from conduit.lmlite import DeploymentView, NodeSummary, Removed

COMMANDS = ["demo", "doctor", "status", "top", "gc", "down", "version"]


@pytest.fixture(autouse=True)
def own_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CONDUIT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("CONDUIT_PROJECT", "shop")


def run(*arguments):
    return CliRunner().invoke(app, list(arguments))


def test_help_names_every_command_and_loads_neither_prefect_nor_a_database():
    code = (
        "import sys\n"
        "sys.argv = ['conduit', '--help']\n"
        "from conduit.cli import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    heavy = {'prefect', 'sqlalchemy', 'duckdb', 'httpx', 'pydantic'} & set(sys.modules)\n"
        "    assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(command in done.stdout for command in COMMANDS)


def test_the_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "conduit", "version"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("conduit ")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_json(command):
    assert "--json" in run(command, "--help").stdout


def test_an_error_shows_message_and_hint_without_a_traceback(monkeypatch):
    def broken(settings, **_):
        raise StoreUnavailable("The disk [/mnt] is full.", hint="Free 10 MB.")

    monkeypatch.setattr(lmlite, "deployments", broken)
    result = run("status")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == ["Error: The disk [/mnt] is full.", "Hint: Free 10 MB."]


def test_an_error_with_json_is_one_document(monkeypatch):
    def broken(settings, **_):
        raise StoreUnavailable("The disk is full.", hint="Free 10 MB.")

    monkeypatch.setattr(lmlite, "deployments", broken)
    result = run("status", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "error": {"code": "store.unavailable", "message": "The disk is full.", "hint": "Free 10 MB."}
    }


def test_a_model_that_does_not_exist_ends_the_demo_before_anything_starts(tmp_path):
    result = run("demo", "--json", "--model", str(tmp_path / "nothing"))
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["code"] == "model.not_found"
    assert not (tmp_path / "data" / "prefect").exists()


def test_a_data_folder_that_cannot_be_made_ends_the_demo_before_anything_starts(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CONDUIT_DATA_DIR", str(tmp_path / "file" / "data"))
    result = run("demo", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["code"] == "store.unavailable"


def view(key, project):
    node = NodeSummary("n1", 0, "ready", True, "http://127.0.0.1:4", "/log", 0.0)
    return DeploymentView(
        key, "desk", project, "local", "ready", None, ("conduit/tiny",), 1, 0.0, (node,), ("host:7",)
    )


def test_status_lists_the_project_and_the_demo(monkeypatch):
    monkeypatch.setattr(
        lmlite, "deployments", lambda settings, **_: [view(f"d of {settings.project}", settings.project)]
    )
    document = json.loads(run("status", "--json").stdout)
    assert [found["key"] for found in document["deployments"]] == ["d of shop", "d of conduit demo"]
    assert document["prefect_server"] is None
    shown = run("status").stdout
    assert "wanted by host:7" in shown
    assert "http://127.0.0.1:4" in shown


def removed(*, done=False, error=None):
    return Removed("deployment", "d1", "shop", None, ("m",), ("n1",), "no live process wants it", done, error)


def test_gc_removes_nothing_unless_told(monkeypatch):
    asked = []

    def collect(settings, *, dry_run):
        asked.append((settings.project, dry_run))
        return [removed(done=not dry_run)]

    monkeypatch.setattr(lmlite, "collect", collect)
    first, second = run("gc"), run("gc", "--yes")
    assert asked == [("shop", True), ("shop", False)]
    assert "would remove deployment d1" in first.stdout
    assert "conduit gc --yes" in first.stdout
    assert second.stdout.startswith("removed deployment d1")


def test_gc_says_what_resisted_and_fails(monkeypatch):
    monkeypatch.setattr(lmlite, "collect", lambda *_, **__: [removed(error="it will not end")])
    result = run("gc", "--yes")
    assert result.exit_code == 1
    assert "could not remove deployment d1 (m, 1 replicas): it will not end" in result.stdout


def test_down_takes_the_project_and_the_demo(monkeypatch):
    asked = []

    def down(settings):
        asked.append(settings.project)
        return []

    monkeypatch.setattr(lmlite, "down", down)
    assert json.loads(run("down", "--json").stdout) == {"removed": [], "prefect_server": None}
    assert sorted(asked) == ["conduit demo", "shop"]
