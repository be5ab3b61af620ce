"""`prefect --no-prompt deploy --all` as it stands, from the repository and from a copy; and bad input."""

import shutil
import subprocess
import sys

import duckdb
import pytest
import yaml

from conduit.settings import load
from conduit.store import open_store
from support.command_line import until

from .conftest import ROOT

FLOWS = {path.stem for path in (ROOT / "flows").glob("*.py")}
pytestmark = pytest.mark.timeout(300)


def file(folder):
    return yaml.safe_load((folder / "deployments" / "prefect.yaml").read_text())


def full_name(entry):
    flow = entry["entrypoint"].rpartition(":")[2].replace("_", "-")
    return f"{flow}/{entry['name']}"


def test_every_flow_of_the_repository_is_deployed():
    entries = file(ROOT)["deployments"]
    assert {entry["entrypoint"].partition(":")[0] for entry in entries} == {
        f"flows/{name}.py" for name in FLOWS
    }
    assert any("cron" in schedule for entry in entries for schedule in entry.get("schedules", ()))


def test_all_deploy_from_a_copy_and_from_the_repository(prefect):
    prefect.pool("conduit")
    for folder in (prefect.cwd, ROOT):
        prefect.cwd = folder
        said = prefect("--no-prompt", "deploy", "--all")
        for entry in file(folder)["deployments"]:
            assert full_name(entry) in said
            made = prefect.deployment(full_name(entry))
            [step] = made["pull_steps"]
            assert step["prefect.deployments.steps.set_working_directory"] == {"directory": str(folder)}
            assert made["entrypoint"] == entry["entrypoint"]
            assert made["work_pool_name"] == "conduit"
            assert [s["schedule"].get("cron") for s in made["schedules"]] == [
                s["cron"] for s in entry.get("schedules", ())
            ]


def test_the_nightly_flow_keeps_each_message_once_and_asks_no_model_when_there_is_none(prefect):
    prefect.pool("conduit")
    prefect("--no-prompt", "deploy", "--all", "--prefect-file", "deployments/prefect.yaml")
    messages = sorted(path.name for path in (prefect.cwd / "flows" / "messages").iterdir())
    newcomer = prefect.cwd / "flows" / "messages" / "2999-01-01.txt"

    def run():
        ended = prefect.ended(prefect.trigger("nightly-tickets/nightly"), log)
        assert ended["state_type"] == "COMPLETED", log.read_text()[-4000:]
        with duckdb.connect(prefect.cwd / "nights.duckdb", read_only=True) as database:
            files = database.execute("SELECT file FROM tickets ORDER BY file").fetchall()
            nights = database.execute("SELECT messages, failed FROM nights ORDER BY ended_at").fetchall()
        return [name for (name,) in files], nights, len(open_store(load()).model_calls(limit=100))

    with prefect.worker("conduit") as log:
        assert run() == (messages, [(len(messages), 0)], len(messages))
        assert run() == (messages, [(len(messages), 0), (0, 0)], len(messages))
        shutil.copy(newcomer.with_name(messages[0]), newcomer)
        files, nights, calls = run()
        assert files == [*messages, newcomer.name]
        assert nights[-1] == (1, 0)
        assert calls == len(messages) + 1


@pytest.mark.parametrize("cron", ["every night", "30 25 * * *"])
def test_a_cron_line_that_does_not_parse_is_quoted_and_nothing_is_deployed(prefect, cron):
    prefect.pool("conduit")
    path = prefect.cwd / "deployments" / "prefect.yaml"
    content = file(prefect.cwd)
    content["deployments"] = [entry for entry in content["deployments"] if "schedules" in entry][:1]
    content["deployments"][0] |= {"name": f"bad-{len(cron)}"}
    content["deployments"][0]["schedules"][0]["cron"] = cron
    path.write_text(yaml.safe_dump(content))
    said = prefect("--no-prompt", "deploy", "--all", code=1)
    assert f'Invalid cron string: "{cron}"' in said
    answer = prefect.api.get(f"/deployments/name/{full_name(content['deployments'][0])}")
    assert answer.status_code == 404


def test_the_morning_flow_waits_for_a_person_and_settles_each_claim_once(prefect):
    prefect.pool("conduit")
    prefect("--no-prompt", "deploy", "--all")
    with duckdb.connect(prefect.cwd / "nights.duckdb") as database:
        database.execute("CREATE TABLE tickets (file TEXT, order_id TEXT, amount DOUBLE, topic TEXT)")
        claims = [("1.txt", "A", 20.0), ("2.txt", "B", 300.0)]
        database.executemany("INSERT INTO tickets VALUES (?, ?, ?, 'billing')", claims)
        database.execute("INSERT INTO tickets VALUES ('3.txt', 'C', 5.0, 'delivery')")

    def resume(run_id, **answer):
        def taken():
            given = prefect.api.post(f"/flow_runs/{run_id}/resume", json={"run_input": answer})
            assert given.status_code < 500 or given.status_code == 503, given.text  # 503: its SQLite is busy
            return given.json() if given.is_success else None

        return until(taken, "the server takes the answer")["status"]

    with prefect.worker("conduit") as log:
        run_id = prefect.trigger("refunds/mornings")
        until(lambda: prefect.flow_run(run_id)["state_type"] == "PAUSED", "the run waits", 90)
        assert resume(run_id, grant_up_to=-1) == "REJECT"
        assert resume(run_id, grant_up_to=100, remark="small ones") == "ACCEPT"
        assert prefect.ended(run_id, log)["state_type"] == "COMPLETED", log.read_text()[-4000:]
        with duckdb.connect(prefect.cwd / "nights.duckdb", read_only=True) as database:
            rows = database.execute("SELECT file, granted, remark FROM settled ORDER BY file").fetchall()
        assert rows == [("1.txt", True, "small ones"), ("2.txt", False, "small ones")]

        # Nothing is left to decide, so the next one asks nobody.
        again = prefect.ended(prefect.trigger("refunds/mornings"), log)
        assert again["state_type"] == "COMPLETED", log.read_text()[-4000:]


def test_a_flow_file_that_does_not_import_is_told_by_check_and_by_the_crashed_run(prefect):
    flow = prefect.cwd / "flows" / "inbox.py"
    flow.write_text(flow.read_text().replace("import os\n", "import no_such_module\n", 1))
    check = [sys.executable, "-m", "conduit", "check", "flows/inbox.py"]
    checked = subprocess.run(check, cwd=prefect.cwd, capture_output=True, text=True, timeout=100, check=False)
    assert checked.returncode == 1
    assert "flows/inbox.py" in checked.stdout
    assert "No module named 'no_such_module'" in checked.stdout

    prefect.pool("conduit")
    prefect("--no-prompt", "deploy", "--name", "inbox")
    with prefect.worker("conduit") as log:
        ended = prefect.ended(prefect.trigger("inbox/inbox", url="http://127.0.0.1:9/"), log)
    assert ended["state_type"] == "CRASHED"
    assert "No module named 'no_such_module'" in log.read_text()


def test_a_flow_file_with_a_syntax_error_is_not_deployed(prefect):
    prefect.pool("conduit")
    flow = prefect.cwd / "flows" / "inbox.py"
    flow.write_text(f"{flow.read_text()}\ndef broken(:\n")
    said = prefect("--no-prompt", "deploy", "--name", "inbox", code=1)
    assert "def broken(:" in said
    assert "SyntaxError" in said
