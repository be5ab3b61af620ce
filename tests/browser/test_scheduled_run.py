"""A cron schedule from the deployment to what its user sees: the scheduler makes the run, a worker runs it, the UI
shows it completed, with its tasks and its artifacts.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.browser import ARTIFACTS, CHROMIUM, open_page
from support.command_line import until
from support.prefect_commands import ENDED, Prefect, server

ROOT = Path(__file__).parents[2]
DEPLOYMENT = "nightly-tickets/nightly"

pytestmark = [
    pytest.mark.xdist_group("browser"),
    pytest.mark.timeout(400),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium found: apt-get install chromium"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture
def prefect(tmp_path, monkeypatch):
    """The flows deployed from a copy, due every minute, on a server of the test's own."""
    monkeypatch.delenv("CONDUIT_PROJECT")
    folder = tmp_path / "copy"
    shutil.copytree(ROOT / "flows", folder / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    text = (ROOT / "deployments" / "prefect.yaml").read_text()
    (folder / "prefect.yaml").write_text(text.replace("30 2 * * *", "* * * * *"))
    home = tmp_path / "home"
    home.mkdir()
    with server(home) as url:
        commands = Prefect(url, folder, tmp_path, PREFECT_HOME=str(home))
        with commands.api:
            commands.pool("conduit")
            commands("--no-prompt", "deploy", "--all")
            yield commands
    down = [sys.executable, "-m", "conduit", "down"]
    subprocess.run(down, cwd=folder, env=dict(os.environ), stdout=subprocess.DEVNULL, check=False)


def ended_run(prefect):
    """The first run of the schedule that has ended."""
    wanted = {
        "deployment_id": {"any_": [prefect.deployment(DEPLOYMENT)["id"]]},
        "state": {"type": {"any_": list(ENDED)}},
    }
    return next(iter(prefect.api.post("/flow_runs/filter", json={"flow_runs": wanted}).json()), None)


def totals_of(prefect, run):
    """The table of totals that Conduit leaves on a run."""
    wanted = {"flow_run_id": {"any_": [run["id"]]}, "key": {"any_": ["conduit-totals"]}}
    return prefect.api.post("/artifacts/filter", json={"artifacts": wanted}).json()


def test_a_scheduled_run_is_seen_in_the_ui_with_its_tasks_and_artifacts(prefect):
    with prefect.worker("conduit", "--limit", "1") as log:
        run = until(lambda: ended_run(prefect), "a scheduled run has ended", 200)
        # The table is written by the run's process once the run has ended.
        until(lambda: totals_of(prefect, run), "there is a table of totals", 60)
    assert run["state_type"] == "COMPLETED", log.read_text()[-6000:]
    assert run["auto_scheduled"], "it was not the scheduler that made the run"
    assert run["created_by"]["type"] == "SCHEDULE"

    with open_page() as page:
        page.goto(f"{prefect.api_url.removesuffix('/api')}/runs/flow-run/{run['id']}")
        page.get_by_text("Completed", exact=True).first.wait_for()
        page.get_by_text(run["name"]).first.wait_for()
        page.get_by_text("auto-scheduled", exact=True).first.wait_for()
        page.get_by_text("Task Runs", exact=True).click()
        page.get_by_text("Beginning flow run").first.wait_for(state="hidden")  # the log names the tasks, too
        for task in ("unread", "read_ticket[0:6]", "duckdb_insert"):
            page.get_by_text(task).first.wait_for()
        page.get_by_text("Artifacts", exact=True).last.click()
        page.get_by_text("conduit-totals").first.wait_for()
        ARTIFACTS.mkdir(exist_ok=True)
        page.screenshot(path=ARTIFACTS / "prefect-scheduled-run.png")
        page.get_by_role("link", name="conduit-totals").first.click()
        page.get_by_text("nightly_tickets:read_ticket").first.wait_for()  # its line in the table of totals
        page.screenshot(path=ARTIFACTS / "prefect-totals.png")
