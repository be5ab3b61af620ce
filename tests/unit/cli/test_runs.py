"""``conduit runs`` shows what the records hold, says which run may be meant, and forgets nothing by a slip."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace

import duckdb
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from conduit.cli.app import app
from conduit.settings import load
from conduit.store import BlockCall, CallState, FlowRun, LedgerRow, ModelCall, open_store

URL = "http://127.0.0.1:4200/runs/flow-run/"
RUN = FlowRun("3f2b9f0e-1111", "inbox", "wise-owl", 0.0, url=f"{URL}3f2b9f0e-1111")
OTHER = FlowRun("3f2c0000-2222", "inbox", "blue-fox", 0.0)
CALL = BlockCall("c0", "flows.inbox:triage", 0.0, 0.25, CallState.DONE, RUN.id)
ROW = LedgerRow(
    ledger="tickets",
    key="k:0",
    item=4,
    state="failed",
    result=None,
    error="block.output",
    error_text="no [bold]list[/bold]",
    block="flows.inbox:triage",
    version="v",
    schema_hash=None,
    model_id=None,
    revision=None,
    engine=None,
    sampling={"temperature": 0.0},
    attempts=3,
    flow_run_id=RUN.id,
    finished_at=0.0,
)


@pytest.fixture
def store(monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    store = open_store(load())
    yield store
    store.close()


@pytest.fixture
def filled(store):
    now = time.time() - 1500
    store.put_flow_run(replace(RUN, started_at=now, state="failed", ended_at=now + 30))
    store.put_flow_run(replace(OTHER, started_at=now + 5))
    for number in range(4):
        call = replace(CALL, id=f"c{number}", started_at=now + number, item=number, task_run_id="t1")
        store.log_block_call(replace(call, duration_s=number))
    bad = replace(CALL, id="bad", started_at=now + 9, item=4, map_id="m", attempts=3, state=CallState.FAILED)
    store.log_block_call(replace(bad, error="block.output"))
    store.log_block_call(
        replace(bad, id="x", item=None, started_at=now + 8, flow_run_id=OTHER.id, error="file")
    )
    model = ModelCall(
        now, "m", flow_run_id=RUN.id, block_call_id="c0", prompt_tokens=1200, completion_tokens=34
    )
    store.log_call(replace(model, latency_s=0.5, cost_usd=0.25, first_token_s=0.125))
    done = replace(
        ROW, key="k:1", item=1, state="done", result=b'{"a":"\xc3\xa4"}', error=None, error_text=None
    )
    store.ledger_put([replace(each, finished_at=now + 10) for each in (ROW, done)])
    store.ledger_put([replace(ROW, ledger="older", item=7, flow_run_id=None, finished_at=now - 99)])
    return store


def run(*arguments, code=0, **options):
    result = CliRunner().invoke(app, ["runs", *arguments], **options)
    assert result.exit_code == code, result.output
    return result


def document(*arguments, code=0):
    return json.loads(run(*arguments, "--json", code=code).stdout)


def test_without_runs_it_says_so(store):
    assert "No flow run" in run().stdout
    assert document()["runs"] == []
    assert "Nothing failed" in run("failed").stdout
    assert "no ledger" in run("ledgers").stdout


def test_runs_are_listed_newest_first_with_their_sums(filled):
    first, second = document()["runs"]
    assert (first["name"], second["name"]) == ("blue-fox", "wise-owl")
    assert {
        name: second["totals"][name] for name in ("block_calls", "failed", "prompt_tokens", "cost_usd")
    } == {
        "block_calls": 5,
        "failed": 1,
        "prompt_tokens": 1200,
        "cost_usd": 0.25,
    }
    line = next(line for line in run().stdout.splitlines() if "wise-owl" in line)
    assert line.split() == "wise-owl 3f2b9f0e inbox failed 25 min ago 5 1 0 1,234 0.2500".split()
    assert len(document("--limit", "1")["runs"]) == 1


@pytest.mark.parametrize("name", [RUN.id, "3f2b", "wise-owl"])
def test_a_run_is_shown_by_id_its_beginning_and_name(filled, name):
    shown = document("show", name)
    assert shown["id"] == RUN.id
    assert [call["item"] for call in shown["slowest"]] == [3, 2, 1, 4, 0]
    assert [call["id"] for call in shown["failed"]] == ["bad"]
    assert [(each["block"], each["calls"], each["model_calls"]) for each in shown["by_block"]] == [
        ("flows.inbox:triage", 5, 1)
    ]
    text = run("show", name).stdout
    assert "1,200 + 34 tokens, p50 500 ms" in text
    assert f"{URL}{RUN.id}" in text
    assert "http://127.0.0.1:4200/runs/task-run/t1" in text
    assert "item 4 block.output" in text


def test_without_a_name_the_newest_run_is_shown(filled):
    assert document("show")["name"] == "blue-fox"


def test_without_a_run_there_is_none_to_show():
    assert document("show", code=1)["error"]["code"] == "store.not_found"


def test_an_unknown_run_is_an_error_that_names_the_nearest(filled):
    error = document("show", "wise-fowl", code=1)["error"]
    assert error["code"] == "store.not_found"
    assert "wise-owl" in error["hint"]
    assert "wise-owl" in run("show", "wise-fowl", code=1).stderr
    assert "3f2c0000-2222, 3f2b9f0e-1111" in document("show", "3f2", code=1)["error"]["message"]
    assert document("show", "", code=1)["error"]["code"] == "store.not_found"


def test_what_failed_is_listed_once_with_the_message_where_it_was_kept(filled):
    found = document("failed")
    assert [(each["item"], each["ledger"], each["message"]) for each in found["failed"]] == [
        (4, "tickets", "no [bold]list[/bold]"),
        (None, None, None),
        (7, "older", "no [bold]list[/bold]"),
    ]
    assert [each["attempts"] for each in found["failed"]] == [3, 3, 3]
    assert [each["item"] for each in document("failed", "--run", "wise-owl")["failed"]] == [4]
    assert len(document("failed", "--limit", "1")["failed"]) == 1
    text = run("failed").stdout
    assert "no [bold]list[/bold]" in text
    assert "CONDUIT_RUN_LOG_VALUES" in text
    assert "CONDUIT_RUN_LOG_VALUES" not in run("failed", "--run", "wise-owl").stdout


def test_two_maps_of_one_run_may_fail_at_the_same_item(filled):
    at = time.time()
    filled.ledger_put([replace(ROW, ledger="second", finished_at=at)])
    found = [each["ledger"] for each in document("failed", "--run", "wise-owl")["failed"]]
    assert sorted(found) == ["second", "tickets"]


def test_ledgers_are_listed(filled):
    first, second = document("ledgers")["ledgers"]
    assert (first["name"], first["done"], first["failed"], first["bytes"]) == ("tickets", 1, 1, 10)
    assert second["name"] == "older"
    assert "tickets" in run("ledgers").stdout


@pytest.mark.parametrize(
    ("arguments", "count", "column", "values"),
    [
        ([], 6, "item", {0, 1, 2, 3, 4, None}),
        (["--table", "model_calls"], 1, "first_token_s", {0.125}),
        (["--table", "flow_runs"], 2, "name", {"wise-owl", "blue-fox"}),
        (["--ledger", "tickets"], 2, "result", {None, '{"a":"ä"}'}),
    ],
)
def test_rows_are_exported_to_parquet_that_duckdb_and_arrow_read(
    filled, tmp_path, arguments, count, column, values
):
    file = tmp_path / "it's.parquet"
    assert document("export", str(file), *arguments)["rows"] == count
    arrow = pyarrow.parquet.read_table(file)
    assert arrow.num_rows == count
    assert set(arrow.column(column).to_pylist()) == values
    with duckdb.connect() as connection:
        read = connection.read_parquet(str(file))
        assert {value for (value,) in read.project(column).fetchall()} == values
        times = [
            name for name, kind in zip(read.columns, read.types, strict=True) if "TIMESTAMP" in str(kind)
        ]
    assert times == [name for name in arrow.column_names if name.endswith("_at")]
    assert abs(arrow.column(times[0])[0].as_py().timestamp() - time.time()) < 7200
    assert [each.name for each in tmp_path.iterdir()] == [file.name]


def test_only_rows_since_a_time_are_exported(filled, tmp_path):
    filled.log_block_call(replace(CALL, id="old", started_at=time.time() - 7200))
    assert document("export", str(tmp_path / "a.parquet"))["rows"] == 7
    assert document("export", str(tmp_path / "b.parquet"), "--since", "1h")["rows"] == 6
    assert (
        document("export", str(tmp_path / "c.parquet"), "--since", "x", code=1)["error"]["code"]
        == "model.argument"
    )


def test_values_are_exported_as_json(filled, tmp_path):
    filled.log_block_call(
        BlockCall("v", "m:v", time.time(), 0.1, CallState.DONE, inputs={"a": "ä" * 100}, output="text")
    )
    document("export", str(tmp_path / "a.parquet"))
    rows = pyarrow.parquet.read_table(tmp_path / "a.parquet").to_pylist()
    (row,) = [row for row in rows if row["block"] == "m:v"]
    assert (json.loads(row["inputs"]), json.loads(row["output"])) == ({"a": "ä" * 100}, "text")


def test_nothing_at_all_is_a_file_without_rows(store, tmp_path):
    document("export", str(tmp_path / "a.parquet"))
    assert pyarrow.parquet.read_table(tmp_path / "a.parquet").num_rows == 0


def test_a_file_that_is_there_is_written_over_only_when_asked(filled, tmp_path):
    file = tmp_path / "a.parquet"
    file.write_text("mine")
    assert document("export", str(file), code=1)["error"]["code"] == "file"
    assert file.read_text() == "mine"
    assert document("export", str(file), "--overwrite")["rows"] == 6


def test_a_folder_that_is_not_there_is_a_typed_error(filled, tmp_path):
    assert document("export", str(tmp_path / "no" / "a.parquet"), code=1)["error"]["code"] == "file"


def test_an_unknown_ledger_is_an_error_that_names_the_nearest(filled, tmp_path):
    error = document("export", str(tmp_path / "a.parquet"), "--ledger", "ticket", code=1)["error"]
    assert (error["code"], "tickets" in error["hint"]) == ("store.not_found", True)


def test_runs_and_ledgers_are_forgotten_together(filled):
    assert document("forget", "wise-owl", "--ledger", "tickets", "--yes")["rows"] == 1 + 5 + 1 + 2
    assert [each["name"] for each in document()["runs"]] == ["blue-fox"]
    assert [each["name"] for each in document("ledgers")["ledgers"]] == ["older"]


def test_all_that_is_older_than_a_time_is_forgotten(filled, monkeypatch):
    monkeypatch.setattr("conduit.store.store._REMOVED_AT_ONCE", 2)
    assert document("forget", "--before", "1h", "--yes")["rows"] == 0
    assert document("forget", "--before", "0m", "--yes")["rows"] == 2 + 6 + 1
    assert document()["runs"] == []
    assert len(document("ledgers")["ledgers"]) == 2


def test_a_ledger_is_not_forgotten_while_a_process_maps_under_it(filled):
    code = "from conduit.dataflow.ledger import *\nwith opened(Ledger('tickets')): print('up', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "up\n"
            error = document("forget", "wise-owl", "--ledger", "tickets", "--yes", code=1)["error"]
        finally:
            process.communicate("\n", timeout=30)
    assert error["code"] == "store.ledger_in_use"
    assert len(document()["runs"]) == len(document("ledgers")["ledgers"]) == 2
    assert document("forget", "--ledger", "tickets", "--yes")["rows"] == 2


@pytest.mark.parametrize(
    "arguments", [["wise-owl"], ["wise-owl", "no-such", "--yes"], ["--ledger", "no", "--yes"], []]
)
def test_nothing_is_forgotten_by_a_slip(filled, arguments):
    run("forget", *arguments, code=1)
    assert len(document()["runs"]) == len(document("ledgers")["ledgers"]) == 2


def test_another_project_sees_nothing_of_it(filled, monkeypatch):
    monkeypatch.setenv("CONDUIT_PROJECT", "elsewhere")
    assert document()["runs"] == []
    assert "CONDUIT_PROJECT" in document("show", RUN.id, code=1)["error"]["hint"]
    open_store(load()).close()
