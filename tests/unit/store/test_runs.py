"""Flow runs and block calls are kept as they were told, found, and added up."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace

import pytest

from conduit.store import BlockCall, BlockTotals, CallState, FlowRun, FlowTotals, ModelCall, Store

CALL = BlockCall("c0", "m:f", 10.0, 0.5, CallState.DONE, flow_run_id="run")


def log(store: Store, *calls: BlockCall) -> None:
    for call in calls:
        store.log_block_call(call)


def test_a_block_call_keeps_every_field(store: Store):
    call = BlockCall(
        id="a" * 32,
        block="flows.inbox:triage",
        started_at=1.5,
        duration_s=0.25,
        state=CallState.FAILED,
        flow_run_id="run",
        task_run_id="task",
        map_id="map",
        item=7,
        attempts=3,
        inputs_hash="abc",
        error="block.output",
        error_text="no list",
        inputs={"message": ["ä", None, 1.5]},
        output=[],
    )
    log(store, call)
    assert store.block_calls(limit=10) == [call]
    assert isinstance(store.block_calls(limit=1)[0].state, CallState)


def test_nothing_of_a_value_stands_for_no_value(store: Store):
    log(store, CALL)
    (found,) = store.block_calls(limit=1)
    assert (found.inputs, found.output, found.error_text) == (None, None, None)


def test_block_calls_are_found_by_field_newest_or_slowest_first(store: Store):
    log(
        store,
        CALL,
        replace(CALL, id="c1", started_at=20.0, duration_s=0.1, state=CallState.FAILED, map_id="x", item=3),
        replace(CALL, id="c2", started_at=30.0, duration_s=0.2, block="m:g", flow_run_id=None),
    )
    found = {
        "all": store.block_calls(limit=10),
        "slowest": store.block_calls(limit=2, slowest=True),
        "run": store.block_calls(limit=10, flow_run_id="run"),
        "block": store.block_calls(limit=10, block="m:g"),
        "failed": store.block_calls(limit=10, state=CallState.FAILED),
        "map": store.block_calls(limit=10, map_id="x"),
        "limit": store.block_calls(limit=1),
    }
    assert {name: [call.id for call in calls] for name, calls in found.items()} == {
        "all": ["c2", "c1", "c0"],
        "slowest": ["c0", "c2"],
        "run": ["c1", "c0"],
        "block": ["c2"],
        "failed": ["c1"],
        "map": ["c1"],
        "limit": ["c2"],
    }


def test_a_message_with_what_no_database_takes_costs_no_other_row(
    store: Store, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING):
        log(store, replace(CALL, error_text="half \ud800 and nought \0"), replace(CALL, id="c1"))
        assert len(store.block_calls(limit=10)) == 2
    assert caplog.records == []


def test_a_flow_run_is_written_over_by_its_end(store: Store):
    run = FlowRun("r1", "inbox", "wise-owl", 10.0, url="http://127.0.0.1:4200/runs/flow-run/r1")
    ended = replace(run, state="completed", ended_at=12.0)
    store.put_flow_run(run)
    assert store.flow_runs(limit=10) == [run]
    store.put_flow_run(replace(run, name="early"))
    store.put_flow_run(ended)
    store.put_flow_run(FlowRun("r2", "inbox", "later", 11.0))
    assert [found.id for found in store.flow_runs(limit=10)] == ["r2", "r1"]
    assert store.flow_runs(limit=10)[1] == ended


def test_flow_runs_are_found_by_the_beginning_of_their_id_and_by_name(store: Store):
    for run_id, name in (("ab1", "x"), ("ab2", "y"), ("c_3", "ab"), ("cd4", "z")):
        store.put_flow_run(FlowRun(run_id, "inbox", name, 10.0))
    assert {run.id for run in store.flow_runs_named("ab")} == {"ab1", "ab2", "c_3"}
    assert [run.id for run in store.flow_runs_named("z")] == ["cd4"]
    assert [run.id for run in store.flow_runs_named("c_")] == ["c_3"], "no character is a wildcard"
    assert store.flow_runs_named("%") == []


def test_runs_belong_to_their_project(url: str):
    ours, theirs = Store(url, project="ours"), Store(url, project="theirs")
    log(ours, CALL)
    ours.put_flow_run(FlowRun("run", "inbox", "wise-owl", 10.0))
    assert ours.flush()
    assert (theirs.block_calls(limit=1), theirs.flow_runs(limit=1), theirs.flow_runs_named("run")) == (
        [],
        [],
        [],
    )
    assert len(ours.block_calls(limit=1)) == len(ours.flow_runs(limit=1)) == 1
    ours.close()
    theirs.close()


def test_the_totals_of_a_run_are_its_sums(store: Store):
    store.put_flow_run(FlowRun("run", "inbox", "wise-owl", 9.0, state="failed", ended_at=99.0))
    log(store, *(replace(CALL, id=f"f{n}", duration_s=(n + 1) / 10, attempts=2) for n in range(20)))
    log(store, replace(CALL, id="bad", state=CallState.FAILED, duration_s=9.0, block="m:ask"))
    log(store, replace(CALL, id="hit", state=CallState.CACHED, duration_s=0.0, block="m:ask"))
    log(store, replace(CALL, id="other", flow_run_id="another"))
    asked = ModelCall(10.0, "model", block="ask", flow_run_id="run", block_call_id="bad", latency_s=3.0)
    store.log_call(
        replace(asked, prompt_tokens=100, completion_tokens=7, attempts=3, repairs=2, cost_usd=0.5)
    )
    store.log_call(replace(asked, prompt_tokens=10, latency_s=1.0, cost_usd=None))
    store.log_call(replace(asked, block=None, block_call_id=None, completion_tokens=1, latency_s=2.0))
    store.log_call(replace(asked, flow_run_id="another"))
    totals = store.flow_run_totals("run")
    assert totals == FlowTotals(
        block_calls=22,
        done=20,
        failed=1,
        cached=1,
        model_calls=3,
        attempts=5,
        prompt_tokens=110,
        completion_tokens=8,
        cost_usd=0.5,
        p50_s=2.0,
        p95_s=3.0,
        repairs=2,
        started_at=9.0,
        ended_at=99.0,
        by_block=(
            BlockTotals("m:f", calls=20, done=20, attempts=40, p50_s=1.0, p95_s=1.9),
            BlockTotals(
                "m:ask",
                calls=2,
                failed=1,
                cached=1,
                attempts=2,
                p50_s=0.0,
                p95_s=9.0,
                model_calls=2,
                prompt_tokens=110,
                completion_tokens=7,
                cost_usd=0.5,
                repairs=2,
            ),
            BlockTotals("model", model_calls=1, completion_tokens=1),
        ),
    )
    assert all(isinstance(each, int) for each in (totals.attempts, totals.prompt_tokens, totals.done))


def test_a_run_that_nobody_knows_has_no_sums(store: Store):
    assert store.flow_run_totals("none") == FlowTotals()


def test_rows_of_all_kinds_logged_by_many_threads_all_arrive(store: Store):
    def work(thread: int) -> None:
        for number in range(100):
            store.log_block_call(replace(CALL, id=f"{thread}-{number}"))
            store.log_call(ModelCall(float(number), "m", flow_run_id="run"))
        store.put_flow_run(FlowRun(f"r{thread}", "inbox", "name", 1.0))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    totals = store.flow_run_totals("run")
    assert (totals.block_calls, totals.model_calls, len(store.flow_runs(limit=99))) == (1000, 1000, 10)


def test_rows_added_while_the_store_closes_are_written(store: Store):
    stop = threading.Event()
    added = 0

    def work() -> None:
        nonlocal added
        while not stop.wait(0.0002):
            store.log_block_call(replace(CALL, id=f"{added}"))
            added += 1

    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.monotonic() + 30
    while added < 100 and time.monotonic() < deadline:
        store.close()
    stop.set()
    thread.join()
    assert store.flush()
    assert store.flow_run_totals("run").block_calls == added >= 100
