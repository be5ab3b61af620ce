"""``conduit demo`` as a user runs it: it shows real answers, and leaves no process behind, however it ends."""

import json
import shutil
import signal
from pathlib import Path

import httpx
import pytest

from conduit.cli.page import demo_page, messages_of
from support.command_line import CommandLine, until

MESSAGES = len(messages_of(demo_page()))
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Without a Prefect server; one data folder for the module, so that only its first server starts slowly."""
    line = CommandLine(tmp_path_factory.mktemp("bare"))
    yield line
    line.run("down")


@pytest.fixture
def beside(prefect_server, tmp_path):
    """With a Prefect server of the user's own."""
    line = CommandLine(tmp_path, PREFECT_API_URL=prefect_server)
    yield line
    line.run("down")


def said(process, text):
    """Reads progress until the text comes."""
    lines = []
    for line in process.stderr:
        lines.append(line)
        if text in line:
            return
    raise AssertionError(f"{text!r} did not come; exit code {process.wait()}:\n{''.join(lines)}")


def test_it_answers_every_message_on_both_replicas_and_leaves_nothing(bare):
    report = bare.json("demo")
    assert report["ok"] is True
    assert len(report["tickets"]) == len(report["messages"]) == MESSAGES
    assert {row["topic"] for row in report["tickets"]} <= {"billing", "delivery", "return", "cancel"}
    assert sum(row["messages"] for row in report["summary"]) == MESSAGES
    assert len(report["answers"]) == 2
    assert sum(report["answers"].values()) == MESSAGES
    assert min(report["tokens"].values()) > 0
    assert 0 < report["latency_s"]["p50"] <= report["latency_s"]["p95"]
    assert report["flow_run"]["state"] == "Completed"
    assert bare.living() == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(report["flow_run"]["url"])


def test_keep_leaves_ui_and_replicas_up_until_down(bare):
    report = bare.json("demo", "--keep")
    ui = report["flow_run"]["url"].split("/runs/")[0]
    assert httpx.get(ui).is_success
    status = bare.json("status")
    assert status["prefect_server"]["answers"] is True
    (deployment,) = status["deployments"]
    assert [node["alive"] for node in deployment["nodes"]] == [True, True]

    again = bare.json("demo")
    assert again["flow_run"]["url"].startswith(ui)
    assert set(again["answers"]) == set(report["answers"])
    assert httpx.get(ui).is_success, "what was kept was stopped by a later run"

    down = bare.json("down")
    assert len(down["removed"]) == 1
    assert down["prefect_server"]["ui_url"] == ui
    assert bare.living() == []
    assert bare.json("status")["deployments"] == []


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ended_while_its_server_starts_it_leaves_nothing(bare, sent, code):
    with bare.start("demo", "--json") as process:
        until(lambda: len(bare.living()) >= 3, "demo, server and flow process run")
        process.send_signal(sent)
        assert process.wait(60) == code
        assert process.stdout.read() == ""
        assert "Traceback" not in process.stderr.read()
    assert bare.living() == []


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ended_after_the_replicas_came_up_it_leaves_nothing(beside, sent):
    with beside.start("demo") as process:
        said(process, "2 replicas")
        process.send_signal(sent)
        assert process.wait(60) == 128 + sent
    assert beside.living() == []
    assert beside.json("status")["deployments"] == []


def test_killed_outright_it_leaves_nothing_either(bare):
    with bare.start("demo") as process:
        until(lambda: len(bare.living()) >= 5, "demo, server, flow process and replicas run")
        process.kill()
        process.wait()
        until(lambda: not bare.living(), "all of it ends by itself")


def test_a_configured_server_is_used_and_left_alone(beside, prefect_server):
    report = beside.json("demo")
    assert report["flow_run"]["url"].startswith(prefect_server.removesuffix("/api"))
    run = httpx.get(f"{prefect_server}/flow_runs/{report['flow_run']['id']}").json()
    assert run["state_type"] == "COMPLETED"
    assert not (beside.data_dir / "prefect" / "server.json").exists()
    assert beside.living() == []


def test_a_configured_server_out_of_reach_is_an_error_and_nothing_is_started(tmp_path):
    line = CommandLine(tmp_path, PREFECT_API_URL="http://127.0.0.1:9/api")
    error = line.json("demo", code=1)["error"]
    assert error["code"] == "block.flow_server"
    assert "http://127.0.0.1:9/api" in error["message"]
    assert "prefect server start" in error["hint"]
    assert line.living() == []


def test_a_model_that_does_not_load_ends_it_with_the_reason(beside, tmp_path):
    from conduit import lmlite

    broken = tmp_path / "broken"
    shutil.copytree(Path(lmlite.__file__).with_name("tiny"), broken)
    (broken / "model.safetensors").write_bytes(b"no weights")
    error = beside.json("demo", "--model", str(broken), code=1)["error"]
    assert error["code"] == "model.deployment_failed"
    assert error["hint"]
    assert beside.living() == []


def test_two_at_once_do_not_disturb_each_other(beside):
    with beside.start("demo", "--json") as first:
        until(lambda: len(beside.living()) >= 2, "the first has started its flow process")
        error = beside.json("demo", code=1)["error"]
        assert "Another `conduit demo`" in error["message"]
        report = json.loads(first.communicate(timeout=120)[0])
    assert report["ok"] is True


def test_its_tables_are_for_reading(beside):
    done = beside.run("demo")
    assert done.returncode == 0, done.stderr
    assert "order_id" in done.stdout
    assert "flow run" in done.stdout
    assert "conduit demo --keep" in done.stdout
    assert max(map(len, done.stdout.splitlines()[:10])) <= 120
    assert "Stopped what was started" in done.stderr


def test_the_flow_runs_on_its_own(prefect_server, tmp_path):
    from conduit.cli.page import served

    flow = Path(__file__).parents[3] / "flows" / "inbox.py"
    line = CommandLine(tmp_path, PREFECT_API_URL=prefect_server)
    with served("My parcel A-1 is late\n---\nPlease cancel order B-2") as url:
        done = line.run(str(flow), url, str(tmp_path / "own.duckdb"), module=())
    assert done.returncode == 0, done.stderr
    assert "'messages'" in done.stdout
    assert line.living() == []
